using System.Text.Json;
using System.Text.RegularExpressions;
using Trainer.Reports;

namespace Trainer.Tests.Reports;

public sealed partial class HtmlReportTests
{
    private const string Evil = "</script><img src=x onerror=\"alert('1')\">&amp;<!--";

    [Test]
    public void No_text_of_a_document_becomes_markup()
    {
        string page = Page(
            new Paragraph(Evil), new Facts([new(Evil, Evil)]), new Commands([Evil]), new Details(Evil, Evil),
            new Table([new(Evil), new(Evil, Numeric: true)], [new([Evil, Evil], Emphasised: true)], Evil),
            new Verdicts([new(Outcome.Seen, Evil, Evil)]),
            new Chart(Evil, Evil, Evil, [new(Evil, Evil, [new(1, 2)])]) { Note = Evil });
        Assert.Multiple(() =>
        {
            Assert.That(page, Does.Not.Contain("<img").And.Not.Contain("<!--"));
            Assert.That(Regex.Count(page, "</script>"), Is.EqualTo(2), "that of the chart's data and that of the page");
            const string Escaped = "&lt;/script&gt;&lt;img src=x onerror=&quot;alert(&#39;1&#39;)&quot;&gt;&amp;amp;&lt;!--";
            Assert.That(Regex.Count(page, Regex.Escape(Escaped)), Is.EqualTo(19));
            JsonElement series = Data(page).GetProperty("series")[0];
            Assert.That((series.GetProperty("n").GetString(), series.GetProperty("g").GetString()), Is.EqualTo((Evil, Evil)));
        });
    }

    [Test]
    public void The_page_needs_nothing_else()
    {
        string page = Page(new Chart("t", "x", "y", [new("s", "g", [new(1, 2)])]));
        Assert.That(page, Does.Contain("default-src 'none'"));
        Assert.That(page.Replace("http://www.w3.org/2000/svg", "", StringComparison.Ordinal), Does.Not.Match("(?i)https?:|@import|<[^>]*\\bsrc=|<link"));
        Assert.That(page, Does.Not.Contain("\r"));
    }

    [Test]
    public void The_same_document_gives_the_same_bytes()
    {
        ReportBlock[] blocks = [new Chart("t", "x", "y", [.. Enumerable.Range(0, 20).Select(i => new Series($"s{i}", $"g{i % 7}", [new(i, 1.0 / i)]))])];
        string once = Page(blocks), again = Page(blocks);
        Assert.That(again, Is.EqualTo(once));
    }

    [Test]
    public void A_chart_s_data_are_its_points()
    {
        Series line = new("a", "one", [new(10, 1.23456789, 0.5), new(20, double.NaN), new(30, double.PositiveInfinity)]);
        Series marks = new("b", "two", [new(1, 1e-12), new(2, 0), new(5, -7)]) { Kind = SeriesKind.Scatter, Dashed = true };
        string page = Page(
            new Chart("first", "x", "y", [line, marks]) { YLog = true },
            new Chart("second", "x", "y", [new("c", "two", []), new("d", "one", [new(1, 1)])]));
        JsonElement first = Data(page), second = Data(page, 1);
        Assert.Multiple(() =>
        {
            Assert.That(first.GetProperty("ylog").GetInt32(), Is.EqualTo(1));
            Assert.That(first.GetProperty("xlog").GetInt32(), Is.Zero);
            Assert.That(first.GetProperty("series")[0].GetRawText(),
                Is.EqualTo("""{"n":"a","g":"one","c":0,"k":"line","d":0,"x":{"from":10,"by":10},"y":[1.234568,null,null],"e":[0.5,0,0]}"""));
            Assert.That(first.GetProperty("series")[1].GetRawText(),
                Is.EqualTo("""{"n":"b","g":"two","c":1,"k":"scatter","d":1,"x":[1,2,5],"y":[1E-12,0,-7]}"""));
            Assert.That(second.GetProperty("series").EnumerateArray().Select(series => series.GetProperty("c").GetInt32()),
                Is.EqualTo(new[] { 1, 0 }), "a group keeps its colour");
        });
    }

    [Test]
    public void A_long_series_is_thinned_and_keeps_its_means_where_it_is_smoothed()
    {
        Point[] points = [.. Enumerable.Range(0, 10 * Thinning.Buckets).Select(i => new Point(i, i % 10))];
        foreach (bool smooth in new[] { false, true })
        {
            JsonElement series = Data(Page(new Chart("t", "x", "y", [new("s", "g", points)]) { Smooth = smooth })).GetProperty("series")[0];
            Assert.That(series.GetProperty("y").GetArrayLength(), Is.InRange(2 * Thinning.Buckets, (2 * Thinning.Buckets) + 2));
            Assert.That(series.GetProperty("x").GetArrayLength(), Is.EqualTo(series.GetProperty("y").GetArrayLength()));
            Assert.That(series.TryGetProperty("my", out JsonElement means), Is.EqualTo(smooth));
            if (smooth)
            {
                Assert.That(means.EnumerateArray().Select(mean => mean.GetDouble()), Is.All.EqualTo(4.5));
                Assert.That(series.GetProperty("per").GetDouble(), Is.EqualTo(10));
            }
        }
    }

    [Test]
    public void A_collapsed_section_is_closed_and_its_charts_stand_together()
    {
        using var writer = new StringWriter();
        var chart = new Chart("t", "x", "y", [new("s", "g", [new(1, 2)])]);
        HtmlReport.Write(new ReportDocument("T", "", [new("S", [chart, chart, new Paragraph("p"), chart]) { Collapsed = true }]), writer);
        string page = writer.ToString();
        Assert.That(page, Does.Contain("<details class=\"section\"><summary><h2>S</h2></summary>").And.Not.Contain("class=\"subtitle\""));
        Assert.That(Regex.Count(page, "<div class=\"charts\">"), Is.EqualTo(2));
        Assert.That(Regex.Count(page, "<div"), Is.EqualTo(Regex.Count(page, "</div>")));
    }

    [Test]
    public void A_row_with_too_few_cells_is_refused() =>
        Assert.That(() => Page(new Table([new("a"), new("b")], [new(["1"])], "")), Throws.ArgumentException.With.Message.Contains("1 cells in a table of 2"));

    private static string Page(params ReportBlock[] blocks)
    {
        using var writer = new StringWriter();
        HtmlReport.Write(new ReportDocument(Evil, Evil, [new ReportSection(Evil, blocks)]), writer);
        return writer.ToString();
    }

    private static JsonElement Data(string page, int chart = 0) => JsonDocument.Parse(DataElement().Matches(page)[chart].Groups[1].Value).RootElement;

    [GeneratedRegex("<script type=\"application/json\">(.*?)</script>", RegexOptions.Singleline)]
    private static partial Regex DataElement();
}
