using System.Text;

namespace Trainer.Cli.Profiling;

/// <summary>A table of plain text: the first column to the left, all others to the right.</summary>
internal static class TextTable
{
    private const string Gap = "  ";

    /// <summary>The lines of a table, without an end of line after the last.</summary>
    /// <param name="rows">The headings and the rows, all of as many cells.</param>
    public static string Text(IReadOnlyList<IReadOnlyList<string>> rows)
    {
        int[] widths = [.. Enumerable.Range(0, rows[0].Count).Select(column => rows.Max(row => row[column].Length))];
        var text = new StringBuilder();
        foreach (IReadOnlyList<string> row in rows)
        {
            var line = new StringBuilder(row[0].PadRight(widths[0]));
            for (int column = 1; column < row.Count; column++)
                line.Append(Gap).Append(row[column].PadLeft(widths[column]));
            text.Append(text.Length > 0 ? "\n" : string.Empty).Append(line.ToString().TrimEnd());
        }

        return text.ToString();
    }
}
