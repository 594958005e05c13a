using System.Globalization;
using Trainer.Metrics;

namespace Trainer.Reports;

/// <summary>The report on any number of runs, side by side: how their settings differ, what came of them, and every metric's course.</summary>
public static class RunReport
{
    private const string Missing = "–";

    /// <summary>Looks into run directories, also those of runs that are going on or were killed.</summary>
    /// <param name="directories">At least one; what is named twice is shown once.</param>
    /// <param name="title">The title, or null for one made of the names of the runs.</param>
    /// <exception cref="RequestException">A directory holds no metrics, or is corrupt.</exception>
    public static ReportDocument Create(IReadOnlyList<string> directories, string? title = null)
    {
        ArgumentNullException.ThrowIfNull(directories);
        ArgumentOutOfRangeException.ThrowIfZero(directories.Count);
        IReadOnlyList<ReportedRun> runs = ReportedRun.Load(directories);
        var charts = new RunCharts(runs, RunArms.Of(runs));
        return new ReportDocument(title ?? Title(runs), Subtitle(runs),
        [
            new("Results", [Results(runs), .. Differences(runs)]),
            new("Loss", charts.Loss()),
            .. Section("Weights and learning rate", charts.Weights()),
            .. Section("Other metrics", charts.Others()),
            .. Section("Parts of the model", charts.Parts(), collapsed: true),
            .. Section("Speed", charts.Speed(), collapsed: true),
            new("Repeat it", [new Commands(CommandsOf(runs)), .. Configurations(runs)]),
        ]);
    }

    private static IEnumerable<ReportSection> Section(string heading, IReadOnlyList<ReportBlock> blocks, bool collapsed = false) =>
        blocks.Count == 0 ? [] : [new ReportSection(heading, blocks) { Collapsed = collapsed }];

    private static string Title(IReadOnlyList<ReportedRun> runs) => runs.Count <= 3
        ? string.Join(", ", runs.Select(run => run.Name))
        : $"{runs[0].Name} and {runs.Count - 1} more runs";

    private static string Subtitle(IReadOnlyList<ReportedRun> runs)
    {
        string[] parts =
        [
            .. new[]
            {
                Common("layers", "{0} layers"), Common("channels", "{0} channels"), Common("seqLen", "context of {0} tokens"),
                Common("totalBatchTokens", "{0} tokens a step"), Common("versions: device", "{0}"),
            }.OfType<string>(),
        ];
        return string.Join(" · ", parts.Prepend(runs.Count == 1 ? "one training run" : $"{runs.Count} training runs side by side"));

        string? Common(string key, string format) => runs[0].Setting(key) is { } value && runs.All(run => run.Setting(key) == value)
            ? string.Format(CultureInfo.InvariantCulture, format, value)
            : null;
    }

    private static Table Results(IReadOnlyList<ReportedRun> runs)
    {
        double[] final = [.. runs.Select(run => Last(run, "valLoss"))];
        double best = final.Where(double.IsFinite).DefaultIfEmpty(double.NaN).Min();
        return new Table(
            [
                new("run"), new("steps", Numeric: true), new("tokens", Numeric: true), new("validation loss", Numeric: true),
                new("training loss", Numeric: true), new("gap", Numeric: true), new("best validation loss", Numeric: true),
                new("weight norm", Numeric: true), new("over initial", Numeric: true), new("tokens/s", Numeric: true),
            ],
            [.. runs.Select((run, i) => new TableRow(Row(run), runs.Count > 1 && final[i] == best))],
            "At the last evaluation and step of each run. Losses are means in nats over the evaluation's tokens, gap is validation minus training; "
            + "tokens/s is the median over steps.");
    }

    private static string[] Row(ReportedRun run)
    {
        MetricsHistory history = run.History;
        long step = history.LastStep;
        string planned = run.Number("steps") is { } steps && steps > step ? $" of {Count(steps)}" : string.Empty;
        double validation = Last(run, "valLoss"), training = Last(run, "trainLoss");
        return
        [
            run.Name, Count(step) + planned, run.Number("totalBatchTokens") is { } tokens ? Count(step * tokens) : Missing,
            Fixed(validation, 4), Fixed(training, 4), Fixed(validation - training, 4), Best(history.Series("valLoss")),
            Fixed(Last(run, "weightNorm"), 2), Fixed(Last(run, "normRatio"), 4), Count(Median(history.Series("tokensPerSecond").Values)),
        ];
    }

    private static string Best(MetricsSeries losses)
    {
        int best = -1;
        for (int i = 0; i < losses.Count; i++)
        {
            if (double.IsFinite(losses.Values[i]) && (best < 0 || losses.Values[i] < losses.Values[best]))
                best = i;
        }

        return best < 0 ? Missing : $"{Fixed(losses.Values[best], 4)} at {Count(losses.Steps[best])}";
    }

    private static IEnumerable<ReportBlock> Differences(IReadOnlyList<ReportedRun> runs)
    {
        string[] keys = [.. runs.SelectMany(run => run.Settings).Select(setting => setting.Key).Distinct(StringComparer.Ordinal)];
        ILookup<bool, string> differ = keys.ToLookup(key => runs.Any(run => run.Setting(key) != runs[0].Setting(key)));
        if (differ[true].Any())
        {
            yield return new Table(
                [new("setting"), .. runs.Select(run => new TableColumn(run.Name, Numeric: true))],
                [.. differ[true].Select(key => new TableRow([key, .. runs.Select(run => run.Setting(key) is { } value ? Shown(value) : Missing)]))],
                "The settings in which the runs differ; the others are the same in all of them.");
        }

        if (differ[false].Any())
        {
            yield return new Details(runs.Count == 1 ? "All settings" : "Settings that all runs share",
                string.Join('\n', differ[false].Select(key => $"{key,-24}  {runs[0].Setting(key)}")));
        }
    }

    private static string[] CommandsOf(IReadOnlyList<ReportedRun> runs) =>
    [
        .. from run in runs
           where run.Record.Length > 0
           select $"trainer train --config {Word($"{run.Path}/config.json")} --run {Word(run.Path + "-again")}",
        $"trainer report {string.Join(' ', runs.Select(run => Word(run.Path)))}",
    ];

    private static IEnumerable<Details> Configurations(IReadOnlyList<ReportedRun> runs) =>
        runs.Where(run => run.Record.Length > 0).Select(run => new Details($"{run.Name}: config.json", run.Record));

    // In quotes where a shell would not take it as one word.
    private static string Word(string text) =>
        text.All(letter => char.IsAsciiLetterOrDigit(letter) || "/\\:._-+=,@%".Contains(letter, StringComparison.Ordinal))
            ? text
            : $"'{text.Replace("'", "'\\''", StringComparison.Ordinal)}'";

    private static string Shown(string value) => value.Length == 0 ? "(empty)" : value;

    private static double Last(ReportedRun run, string name) => run.History.Series(name) is { Count: > 0 } series ? series.Values[^1] : double.NaN;

    private static double Median(IReadOnlyList<double> values)
    {
        double[] sorted = [.. values.Where(double.IsFinite).Order()];
        return sorted.Length == 0 ? double.NaN : (sorted[(sorted.Length - 1) / 2] + sorted[sorted.Length / 2]) / 2;
    }

    private static string Fixed(double value, int digits) => double.IsFinite(value) ? value.ToString($"F{digits}", CultureInfo.InvariantCulture) : Missing;

    private static string Count(double value) => double.IsFinite(value) ? value.ToString("N0", CultureInfo.InvariantCulture) : Missing;
}
