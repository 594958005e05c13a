using System.Globalization;
using System.Text.Encodings.Web;

namespace Trainer.Reports;

/// <summary>
/// Writes charts as the JSON that <c>report.js</c> draws:
/// <c>{"x":label,"y":label,"title":title,"xlog":0|1,"ylog":0|1,"smooth":0|1,"series":[{"n":name,"g":group,"c":colour,"k":"line"|"scatter","d":0|1,
/// "x":[...]|{"from":x,"by":step},"y":[...],"e":[errors],"mx":[...],"my":[...],"per":points}]}</c>. The last three stand for a long series of a chart
/// that can be smoothed: the means of its buckets, each over so many points.
/// </summary>
/// <remarks>
/// It is written by hand, number by number: seven significant digits, which is what single precision has, and null for a value that is not finite.
/// </remarks>
internal sealed class ChartData
{
    private readonly Dictionary<string, int> _colours = new(StringComparer.Ordinal);

    /// <summary>Gives each group of a document its colour, in the order in which they come.</summary>
    public ChartData(ReportDocument document)
    {
        foreach (Series series in document.Sections.SelectMany(section => section.Blocks).OfType<Chart>().SelectMany(chart => chart.Series))
            _colours.TryAdd(series.Group, _colours.Count);
    }

    /// <summary>Writes a chart's data; nothing in it can end the script element that it stands in.</summary>
    public void Write(Chart chart, TextWriter output)
    {
        output.Write($"{{\"x\":{Quoted(chart.XLabel)},\"y\":{Quoted(chart.YLabel)},\"title\":{Quoted(chart.Title)}");
        output.Write($",\"xlog\":{Flag(chart.XLog)},\"ylog\":{Flag(chart.YLog)},\"smooth\":{Flag(chart.Smooth)},\"series\":[");
        for (int i = 0; i < chart.Series.Count; i++)
        {
            output.Write(i > 0 ? ",\n" : "\n");
            Write(chart.Series[i], chart.Smooth, output);
        }

        output.Write("]}");
    }

    private void Write(Series series, bool smooth, TextWriter output)
    {
        bool line = series.Kind == SeriesKind.Line;
        bool isLong = line && series.Points.Count > Thinning.Limit;
        IReadOnlyList<Point> points = isLong ? Thinning.Extremes(series.Points) : series.Points;
        output.Write($"{{\"n\":{Quoted(series.Name)},\"g\":{Quoted(series.Group)},\"c\":{_colours[series.Group]}");
        output.Write($",\"k\":\"{(line ? "line" : "scatter")}\",\"d\":{Flag(series.Dashed)},\"x\":");
        WriteX(points, output);
        WriteNumbers(",\"y\":", points.Select(point => Rounded(point.Y)), output);
        if (points.Any(point => point.Error > 0))
            WriteNumbers(",\"e\":", points.Select(point => Rounded(point.Error)), output);
        if (isLong && smooth)
        {
            List<Point> means = Thinning.Means(series.Points);
            WriteNumbers(",\"mx\":", means.Select(point => Exact(point.X)), output);
            WriteNumbers(",\"my\":", means.Select(point => Rounded(point.Y)), output);
            output.Write($",\"per\":{Exact((double)series.Points.Count / means.Count)}");
        }

        output.Write('}');
    }

    // Most series have a point at every step, or at every so many.
    private static void WriteX(IReadOnlyList<Point> points, TextWriter output)
    {
        double by = points.Count > 1 ? points[1].X - points[0].X : 1;
        bool even = points.Count > 2;
        for (int i = 1; even && i < points.Count; i++)
            even = points[i].X == points[0].X + (i * by);
        if (even)
            output.Write($"{{\"from\":{Exact(points[0].X)},\"by\":{Exact(by)}}}");
        else
            WriteNumbers(string.Empty, points.Select(point => Exact(point.X)), output);
    }

    private static void WriteNumbers(string key, IEnumerable<string> numbers, TextWriter output)
    {
        output.Write(key);
        output.Write('[');
        bool first = true;
        foreach (string number in numbers)
        {
            if (!first)
                output.Write(',');
            first = false;
            output.Write(number);
        }

        output.Write(']');
    }

    private static string Rounded(double value) => double.IsFinite(value) ? value.ToString("G7", CultureInfo.InvariantCulture) : "null";

    private static string Exact(double value) => double.IsFinite(value) ? value.ToString("R", CultureInfo.InvariantCulture) : "null";

    // The encoder also escapes <, > and &, so that no text can end the script element or begin a comment.
    private static string Quoted(string text) => $"\"{JavaScriptEncoder.Default.Encode(text)}\"";

    private static int Flag(bool value) => value ? 1 : 0;
}
