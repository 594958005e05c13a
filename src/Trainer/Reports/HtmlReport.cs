using System.Net;
using System.Text;

namespace Trainer.Reports;

/// <summary>
/// Writes a report as one page of HTML that needs nothing else: styles, script and data are inside, and its own policy forbids it any
/// network. The same document gives the same bytes.
/// </summary>
/// <remarks>Text of the document is escaped wherever it stands. What the page looks like is in <c>report.css</c>, what it does in <c>report.js</c>.</remarks>
public static class HtmlReport
{
    /// <summary>Writes the page as it goes; charts are written one by one.</summary>
    public static void Write(ReportDocument document, TextWriter output)
    {
        ArgumentNullException.ThrowIfNull(document);
        ArgumentNullException.ThrowIfNull(output);
        var charts = new ChartData(document);
        output.Write($"""
            <!DOCTYPE html>
            <html lang="en">
            <head>
            <meta charset="utf-8">
            <meta name="viewport" content="width=device-width, initial-scale=1">
            <meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'">
            <title>{Text(document.Title)}</title>
            <style>
            {Resource("report.css")}</style>
            </head>
            <body>
            <header>
            <button id="theme" type="button" aria-label="Switch between light and dark" title="Light or dark"></button>
            <h1>{Text(document.Title)}</h1>

            """.ReplaceLineEndings("\n"));
        if (document.Subtitle.Length > 0)
            output.Write($"<p class=\"subtitle\">{Text(document.Subtitle)}</p>\n");
        output.Write("</header>\n<main>\n");
        output.Write("<noscript><p class=\"noscript\">The charts of this page are drawn by its script, which is switched off. ");
        output.Write("Text and tables are complete.</p></noscript>\n");
        foreach (ReportSection section in document.Sections)
            Write(section, charts, output);
        output.Write($"</main>\n<script>\n{Resource("report.js")}</script>\n</body>\n</html>\n");
    }

    private static void Write(ReportSection section, ChartData charts, TextWriter output)
    {
        string heading = $"<h2>{Text(section.Heading)}</h2>";
        output.Write(section.Collapsed ? $"<details class=\"section\"><summary>{heading}</summary>\n" : $"<section>\n{heading}\n");
        bool open = false;
        foreach (ReportBlock block in section.Blocks)
        {
            // Charts that follow each other stand side by side where there is room.
            if (open != block is Chart)
                output.Write(open ? "</div>\n" : "<div class=\"charts\">\n");
            open = block is Chart;
            Write(block, charts, output);
        }

        output.Write(open ? "</div>\n" : string.Empty);
        output.Write(section.Collapsed ? "</details>\n" : "</section>\n");
    }

    private static void Write(ReportBlock block, ChartData charts, TextWriter output)
    {
        switch (block)
        {
            case Paragraph paragraph:
                output.Write($"<p>{Text(paragraph.Text)}</p>\n");
                break;
            case Facts facts:
                output.Write("<dl>\n");
                foreach (Fact fact in facts.Items)
                    output.Write($"<div><dt>{Text(fact.Name)}</dt><dd>{Text(fact.Value)}</dd></div>\n");
                output.Write("</dl>\n");
                break;
            case Commands commands:
                output.Write("<div class=\"commands\">\n");
                foreach (string line in commands.Lines)
                    output.Write($"<div><code>{Text(line)}</code></div>\n");
                output.Write("</div>\n");
                break;
            case Details details:
                output.Write($"<details><summary>{Text(details.Summary)}</summary>\n<pre>{Text(details.Text)}</pre></details>\n");
                break;
            case Table table:
                Write(table, output);
                break;
            case Verdicts verdicts:
                Write(verdicts, output);
                break;
            case Chart chart:
                output.Write($"<figure>\n<figcaption>{Text(chart.Title)}</figcaption>\n<script type=\"application/json\">");
                charts.Write(chart, output);
                output.Write("</script>\n");
                if (chart.Note.Length > 0)
                    output.Write($"<p class=\"note\">{Text(chart.Note)}</p>\n");
                output.Write("</figure>\n");
                break;
            default:
                throw new ArgumentException($"a report has no way to show a {block.GetType().Name}", nameof(block));
        }
    }

    private static void Write(Table table, TextWriter output)
    {
        output.Write("<div class=\"table\"><table>\n");
        if (table.Caption.Length > 0)
            output.Write($"<caption>{Text(table.Caption)}</caption>\n");
        output.Write("<thead><tr>");
        foreach (TableColumn column in table.Columns)
            output.Write($"<th scope=\"col\"{Class(column)}>{Text(column.Name)}</th>");
        output.Write("</tr></thead>\n<tbody>\n");
        foreach (TableRow row in table.Rows)
        {
            if (row.Cells.Count != table.Columns.Count)
                throw new ArgumentException($"a row has {row.Cells.Count} cells in a table of {table.Columns.Count} columns", nameof(table));
            output.Write(row.Emphasised ? "<tr class=\"best\">" : "<tr>");
            foreach ((string cell, TableColumn column) in row.Cells.Zip(table.Columns))
                output.Write($"<td{Class(column)}>{Text(cell)}</td>");
            output.Write("</tr>\n");
        }

        output.Write("</tbody>\n</table></div>\n");

        static string Class(TableColumn column) => column.Numeric ? " class=\"number\"" : string.Empty;
    }

    private static void Write(Verdicts verdicts, TextWriter output)
    {
        output.Write("<ul class=\"verdicts\">\n");
        foreach (Verdict verdict in verdicts.Items)
        {
            (string style, string words) = verdict.Outcome switch
            {
                Outcome.Seen => ("seen", "✓ seen"),
                Outcome.NotSeen => ("not-seen", "✗ not seen"),
                _ => ("inconclusive", "? inconclusive"),
            };
            output.Write($"<li class=\"{style}\"><b>{words}</b><div><p>{Text(verdict.Expectation)}</p>");
            output.Write($"<p class=\"numbers\">{Text(verdict.Numbers)}</p></div></li>\n");
        }

        output.Write("</ul>\n");
    }

    private static string Text(string text) => WebUtility.HtmlEncode(text);

    private static string Resource(string name)
    {
        using Stream stream = typeof(HtmlReport).Assembly.GetManifestResourceStream("reports/" + name)!;
        using var reader = new StreamReader(stream, Encoding.UTF8);
        return reader.ReadToEnd();
    }
}
