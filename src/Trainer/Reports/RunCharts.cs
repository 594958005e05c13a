using Trainer.Metrics;

namespace Trainer.Reports;

/// <summary>The charts of a report on runs: those every run has, and one for each other metric that is found.</summary>
/// <param name="runs">The runs.</param>
/// <param name="arms">The arm of each.</param>
internal sealed class RunCharts(IReadOnlyList<ReportedRun> runs, IReadOnlyList<string> arms)
{
    private const string Step = "step";

    private const char TensorMark = '/';

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

    /// <summary>Metrics of the whole model under any other name.</summary>
    public IReadOnlyList<ReportBlock> Others() => Existing([.. OtherNames().Where(name => !name.Contains(TensorMark)).Select(name => Of(name, name, name))]);

    /// <summary>Metrics of single tensors, as in <c>norm/wte</c>: a chart for each quantity.</summary>
    public IReadOnlyList<ReportBlock> PerTensor() => Existing([
        .. OtherNames().Where(name => name.Contains(TensorMark)).GroupBy(name => name[..name.IndexOf(TensorMark)], StringComparer.Ordinal)
            .Select(quantity => new Chart($"{quantity.Key}, per tensor", Step, quantity.Key, [.. quantity.SelectMany(TensorSeries)]))]);

    /// <summary>How fast the runs were.</summary>
    public IReadOnlyList<ReportBlock> Speed() => Existing(
        Of("Trained tokens per second", "tokens/s", "tokensPerSecond") with { Smooth = true },
        Of("Wall time of a step", "ms", "stepMs") with { Smooth = true });

    private static ReportBlock[] Existing(params IReadOnlyList<Chart> charts) => [.. charts.Where(chart => chart.Series.Count > 0)];

    private IEnumerable<string> OtherNames() => runs.SelectMany(run => run.History.Names).Distinct(StringComparer.Ordinal).Except(Shown);

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

    // A run alone shows its tensors in colours of their own; several are told apart by theirs.
    private IEnumerable<Series> TensorSeries(string name)
    {
        string tensor = name[(name.IndexOf(TensorMark) + 1)..];
        return runs.Count == 1
            ? Series(run => Points(run.History.Series(name))).Select(series => series with { Name = tensor, Group = tensor })
            : Series(run => Points(run.History.Series(name))).Select(series => series with { Name = $"{tensor}, {series.Name}" });
    }

    private static Point[] Points(MetricsSeries series)
    {
        var points = new Point[series.Count];
        for (int i = 0; i < points.Length; i++)
            points[i] = new Point(series.Steps[i], series.Values[i]);
        return points;
    }
}
