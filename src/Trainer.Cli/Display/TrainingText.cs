using System.Globalization;
using System.Text;
using Trainer.Metrics;
using Trainer.Model;
using Trainer.Training;

namespace Trainer.Cli.Display;

/// <summary>The words and numbers that both displays of a training run share.</summary>
internal static class TrainingText
{
    /// <summary>What the run is going to do.</summary>
    public static IReadOnlyList<(string Name, string Value)> Plan(TrainingPlan plan) =>
    [
        ("run", plan.RunDirectory),
        ("device", plan.Device),
        ("model", string.Create(CultureInfo.InvariantCulture, $"{plan.Model}, {plan.Parameters:N0} parameters")),
        ("data", plan.Data),
        ("rule", plan.Rule),
        ("steps", string.Create(CultureInfo.InvariantCulture,
            $"{(plan.FirstStep == 0 ? string.Empty : $"{plan.FirstStep:N0} taken, up to ")}{plan.Steps:N0}, {plan.TokensPerStep:N0} tokens each")),
        .. Memory(plan.Memory).Select((line, i) => (i == 0 ? "memory" : string.Empty, line)),
        .. plan.Warnings.Select(warning => ("warning", warning)),
    ];

    /// <summary>How the run ended and what can be done with it.</summary>
    public static IReadOnlyList<string> Summary(TrainingSummary summary)
    {
        CultureInfo culture = CultureInfo.InvariantCulture;
        var lines = new List<string>
        {
            string.Create(culture, $"{(summary.Interrupted ? "Interrupted" : "Done")} after step {summary.Step:N0}, {Time(summary.Elapsed)}, {summary.TokensPerSecond:N0} tokens/s."),
        };
        if (summary.Last is { } last)
        {
            string best = summary.Best is { } lowest && lowest.Step != last.Step
                ? string.Create(culture, $"; best {lowest.ValidationLoss:F4} at step {lowest.Step:N0}")
                : string.Empty;
            lines.Add(string.Create(culture, $"Validation loss {last.ValidationLoss:F4}, training loss {last.TrainLoss:F4}{best}."));
        }

        lines.Add($"Everything is in {summary.RunDirectory}{(summary.Checkpoint is null ? string.Empty : $"; last checkpoint {summary.Checkpoint}")}");
        lines.Add(summary.Interrupted
            ? $"Go on:  trainer train --run {summary.RunDirectory} --resume"
            : $"Try:    trainer sample --run {summary.RunDirectory}");
        return lines;
    }

    /// <summary>The result of an evaluation.</summary>
    public static string Evaluation(in EvaluationMetrics metrics) =>
        string.Create(CultureInfo.InvariantCulture, $"step {metrics.Step}: validation loss {metrics.ValidationLoss:F4}, training loss {metrics.TrainLoss:F4}");

    /// <summary>A duration to the second: 1:02:03, 2:03.</summary>
    public static string Time(TimeSpan time) => time.TotalHours >= 1
        ? string.Create(CultureInfo.InvariantCulture, $"{(long)time.TotalHours}:{time.Minutes:00}:{time.Seconds:00}")
        : string.Create(CultureInfo.InvariantCulture, $"{time.Minutes}:{time.Seconds:00}");

    /// <summary>A number of bytes in the unit that fits it.</summary>
    public static string Bytes(double bytes)
    {
        string[] units = ["bytes", "KiB", "MiB", "GiB", "TiB"];
        int unit = 0;
        for (; bytes >= 1024 && unit < units.Length - 1; unit++)
            bytes /= 1024;
        return bytes.ToString(unit == 0 ? "F0" : "F1", CultureInfo.InvariantCulture) + " " + units[unit];
    }

    /// <summary>
    /// Text that is safe to show: a model that has learned little writes control codes, which a terminal would obey.
    /// </summary>
    public static string Printable(string text)
    {
        var shown = new StringBuilder(text.Length);
        foreach (char letter in text)
            shown.Append(char.IsControl(letter) && letter is not ('\n' or '\t') ? '\ufffd' : letter);
        return shown.ToString();
    }

    // All in one unit, so that a region's share is seen at a glance.
    private static IEnumerable<string> Memory(MemoryPlan memory)
    {
        return memory.Regions.Append(new("total", string.Empty, memory.Total)).Select(Line);

        static string Line(MemoryRegion region) =>
            string.Create(CultureInfo.InvariantCulture, $"{region.Name,-14}  {region.Type,-4}  {region.Bytes / (1024.0 * 1024.0),10:N1} MiB");
    }
}
