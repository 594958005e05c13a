using Trainer.Metrics;

namespace Trainer.Reports;

/// <summary>The charts of a report on runs: those every run has, and one for each other metric that is found.</summary>
/// <param name="runs">The runs.</param>
/// <param name="arms">The arm of each.</param>
internal sealed class RunCharts(IReadOnlyList<ReportedRun> runs, IReadOnlyList<string> arms)
{
    private const string Step = "step";

    private const char PartMark = '/';

    private static readonly string[] Shown =
        ["loss", "valLoss", "trainLoss", "lr", "gradNorm", "weightNorm", "normRatio", "updateRatio", "angle", "targetGap", "stepMs", "tokensPerSecond"];

    /// <summary>What training is for.</summary>
    public IReadOnlyList<ReportBlock> Loss() => Existing(
        Of("Training loss, each step", "nats per token", "loss") with { Smooth = true },
        Of("Validation loss", "nats per token", "valLoss"),
        Of("Training loss, at evaluations", "nats per token", "trainLoss"),
        Combined("Validation minus training loss", "nats per token", "valLoss", "trainLoss", (validation, training) => validation - training));

    /// <summary>What the regulariser acts on.</summary>
    public IReadOnlyList<ReportBlock> Weights() => Existing(
        Of("Weight norm over its initial value", "‖w‖ / ‖w₀‖", "normRatio"),
        Combined("Effective learning rate", "lr / ‖w‖", "lr", "weightNorm", (rate, norm) => rate / norm),
        Of("Angle a step turns the weights by", "radians", "angle") with { Smooth = true },
        Of("Step over weights", "‖Δw‖ / ‖w‖", "updateRatio") with { Smooth = true },
        Of("Weight norm off its target", "(‖w‖ − target) / target", "targetGap"),
        Of("Learning rate", "lr", "lr"),
        Of("Gradient norm before clipping", "‖g‖", "gradNorm") with { Smooth = true, YLog = true });

    /// <summary>Metrics under any other name that have one value for the whole model.</summary>
    public IReadOnlyList<ReportBlock> Others() =>
        Existing([.. Quantities().Where(quantity => quantity.Count() == 1).Select(quantity => Of(Title(quantity.Single()), quantity.Key, quantity.Single()))]);

    /// <summary>Metrics of parts of the model, as <c>norm/wte.weight</c> and <c>norm/qkv</c>: a chart of tensors and one of groups each.</summary>
    public IReadOnlyList<ReportBlock> Parts() => Existing([
        .. from quantity in Quantities()
           where quantity.Count() > 1
           from part in quantity.GroupBy(IsTensor)
           select new Chart($"{quantity.Key}, {(part.Key ? "tensors" : "groups of tensors")}", Step, quantity.Key, [.. part.SelectMany(PartSeries)])]);

    /// <summary>How fast the runs were.</summary>
    public IReadOnlyList<ReportBlock> Speed() => Existing(
        Of("Trained tokens per second", "tokens/s", "tokensPerSecond") with { Smooth = true },
        Of("Wall time of a step", "ms", "stepMs") with { Smooth = true });

    private static ReportBlock[] Existing(params IReadOnlyList<Chart> charts) => [.. charts.Where(chart => chart.Series.Count > 0)];

    // What is measured stands before the mark, where it is measured behind it.
    private IEnumerable<IGrouping<string, string>> Quantities() => runs.SelectMany(run => run.History.Names).Distinct(StringComparer.Ordinal).Except(Shown)
        .GroupBy(name => name.Split(PartMark, 2)[0], StringComparer.Ordinal);

    private static bool IsTensor(string name) => name.EndsWith(".weight", StringComparison.Ordinal) || name.EndsWith(".bias", StringComparison.Ordinal);

    private static string Title(string name) => name.Replace($"{PartMark}", ", ", StringComparison.Ordinal);

    private Chart Of(string title, string unit, string name) => new(title, Step, unit, Series(run => Points(run.History.Series(name))));

    private Chart Combined(string title, string unit, string first, string second, Func<double, double, double> combine) => new(title, Step, unit, Series(run =>
    {
        MetricsSeries one = run.History.Series(first);
        Dictionary<long, double> other = [];
        foreach ((long step, double value) in run.History.Series(second).Steps.Zip(run.History.Series(second).Values))
            other[step] = value;
        return
        [
            .. from pair in one.Steps.Zip(one.Values)
               where other.ContainsKey(pair.First)
               select new Point(pair.First, combine(pair.Second, other[pair.First])),
        ];
    }));

    private List<Series> Series(Func<ReportedRun, IReadOnlyList<Point>> points) =>
        [.. runs.Select((run, i) => new Series(run.Name, arms[i], points(run))).Where(series => series.Points.Count > 0)];

    // A run alone shows its parts in colours of their own; several are told apart by theirs.
    private IEnumerable<Series> PartSeries(string name)
    {
        string part = name[(name.IndexOf(PartMark) + 1)..];
        return Series(run => Points(run.History.Series(name)))
            .Select(series => runs.Count == 1 ? series with { Name = part, Group = part } : series with { Name = $"{part}, {series.Name}" });
    }

    private static Point[] Points(MetricsSeries series)
    {
        var points = new Point[series.Count];
        for (int i = 0; i < points.Length; i++)
            points[i] = new Point(series.Steps[i], series.Values[i]);
        return points;
    }
}
