using System.Globalization;
using System.Text;
using System.Text.Json;

namespace Trainer.Cli.Benchmarks;

/// <summary>One measured figure.</summary>
/// <param name="Key">Its key in JSON: <c>tokensPerSecond</c>.</param>
/// <param name="Label">What it is called in the table.</param>
/// <param name="Value">The figure.</param>
/// <param name="Unit">Its unit; JSON keys name theirs.</param>
internal readonly record struct Figure(string Key, string Label, double Value, string Unit);

/// <summary>The result of a benchmark, for people or as one JSON object.</summary>
internal static class FigureReport
{
    public static string Text(string device, IReadOnlyList<Figure> figures)
    {
        int width = figures.Max(figure => figure.Label.Length);
        var text = new StringBuilder(device);
        foreach (Figure figure in figures)
        {
            // Flops and bytes come in the unit of the base; tables are read in billions.
            bool large = figure.Unit is "FLOP/s" or "B/s";
            string value = (large ? figure.Value / 1e9 : figure.Value).ToString(figure.Value >= 1000 && !large ? "N0" : "N2", CultureInfo.InvariantCulture);
            text.Append('\n').Append(figure.Label.PadRight(width)).Append(' ', 2).Append(value.PadLeft(12)).Append(' ').Append(large ? "G" : string.Empty).Append(figure.Unit);
        }

        return text.ToString();
    }

    public static string Json(string device, IReadOnlyList<Figure> figures)
    {
        using var stream = new MemoryStream();
        using (var writer = new Utf8JsonWriter(stream, new JsonWriterOptions { Indented = true }))
        {
            writer.WriteStartObject();
            writer.WriteString("device", device);
            foreach (Figure figure in figures)
                writer.WriteNumber(figure.Key, figure.Value);
            writer.WriteEndObject();
        }

        return Encoding.UTF8.GetString(stream.ToArray());
    }
}
