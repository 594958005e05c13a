using System.Globalization;

namespace Trainer.Cli.Display;

/// <summary>
/// A curve of losses over steps in braille characters, two dots wide and four high each. Losses that fall into the same column of dots
/// are averaged, so memory does not grow with the run.
/// </summary>
internal sealed class LossCurve
{
    /// <summary>The dots of a braille character from top to bottom, left column first (Unicode 15, block 2800).</summary>
    private static readonly int[,] Dots = { { 0x01, 0x02, 0x04, 0x40 }, { 0x08, 0x10, 0x20, 0x80 } };

    private readonly int _width;
    private readonly int _height;
    private readonly long _first;
    private readonly long _last;
    private readonly double[] _sums;
    private readonly int[] _counts;

    /// <summary>An empty curve.</summary>
    /// <param name="width">Characters across.</param>
    /// <param name="height">Characters down.</param>
    /// <param name="firstStep">The step at the left edge.</param>
    /// <param name="lastStep">The step at the right edge.</param>
    public LossCurve(int width, int height, long firstStep, long lastStep)
    {
        (_width, _height, _first, _last) = (width, height, firstStep, Math.Max(lastStep, firstStep + 1));
        _sums = new double[2 * width];
        _counts = new int[2 * width];
    }

    /// <summary>Adds the loss of a step; one that is no number is left out.</summary>
    public void Add(long step, double loss)
    {
        if (!double.IsFinite(loss))
            return;
        long column = (step - _first) * (_sums.Length - 1) / (_last - _first);
        int index = (int)Math.Clamp(column, 0, _sums.Length - 1);
        _sums[index] += loss;
        _counts[index]++;
    }

    /// <summary>The curve, one string per line of text, with the largest and the smallest loss at its left.</summary>
    public IReadOnlyList<string> Lines()
    {
        double low = double.PositiveInfinity, high = double.NegativeInfinity;
        for (int column = 0; column < _sums.Length; column++)
        {
            if (_counts[column] == 0)
                continue;
            double mean = _sums[column] / _counts[column];
            (low, high) = (Math.Min(low, mean), Math.Max(high, mean));
        }

        char[,] cells = Draw(low, high);
        var lines = new string[_height];
        for (int row = 0; row < _height; row++)
        {
            string label = double.IsFinite(low) && row == 0 ? Label(high) : double.IsFinite(low) && row == _height - 1 ? Label(low) : string.Empty;
            lines[row] = $"{label,8} ┤" + string.Concat(Enumerable.Range(0, _width).Select(column => cells[row, column]));
        }

        return lines;
    }

    private char[,] Draw(double low, double high)
    {
        var cells = new char[_height, _width];
        for (int row = 0; row < _height; row++)
        {
            for (int column = 0; column < _width; column++)
                cells[row, column] = '\u2800';
        }

        int lastRow = (4 * _height) - 1;
        (int Column, int Row)? previous = null;
        for (int column = 0; column < _sums.Length; column++)
        {
            if (_counts[column] == 0)
                continue;
            double share = high > low ? (high - (_sums[column] / _counts[column])) / (high - low) : 0.5;
            (int Column, int Row) point = (column, (int)Math.Round(share * lastRow));
            Join(cells, previous ?? point, point);
            previous = point;
        }

        return cells;
    }

    /// <summary>A line of dots from one point to another, both included, without gaps in either direction.</summary>
    private static void Join(char[,] cells, (int Column, int Row) from, (int Column, int Row) to)
    {
        int length = Math.Max(Math.Max(Math.Abs(to.Column - from.Column), Math.Abs(to.Row - from.Row)), 1);
        for (int dot = 0; dot <= length; dot++)
        {
            int column = from.Column + (int)Math.Round((double)(to.Column - from.Column) * dot / length);
            int row = from.Row + (int)Math.Round((double)(to.Row - from.Row) * dot / length);
            cells[row / 4, column / 2] |= (char)Dots[column % 2, row % 4];
        }
    }

    private static string Label(double loss) => loss.ToString("F3", CultureInfo.InvariantCulture);
}
