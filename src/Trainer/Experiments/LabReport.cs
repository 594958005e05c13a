using System.Globalization;
using Trainer.Metrics;
using Trainer.Reports;

namespace Trainer.Experiments;

/// <summary>Reports of experiments.</summary>
public static class LabReport
{
    /// <summary>The report of one experiment: claim, verdicts, table, curves, and how to repeat it.</summary>
    /// <param name="results">Its runs.</param>
    /// <param name="command">The command line that repeats it.</param>
    public static ReportDocument Of(ExperimentResults results, string command)
    {
        ArgumentNullException.ThrowIfNull(results);
        Experiment experiment = results.Experiment;
        return new ReportDocument($"{experiment.Id}: {experiment.Title}", experiment.Claim,
        [
            new("Verdicts", [VerdictsOf(results)]),
            new("Results", [TableOf(results), .. experiment.Charts(results)]),
            new("Curves", [.. experiment.Curves.Select(curve => Curve(results, curve)).Where(chart => chart.Series.Count > 0)]),
            new("How it was made",
            [
                new Facts([new("Source", experiment.Source), new("Setting", experiment.Setting), new("Seeds", string.Join(", ", results.Seeds))]),
                new Commands([command]),
                .. results.Runs.Where(run => run.Seed == results.Seeds[0]).Select(run => new Details($"Configuration of {run.Arm}, seed {run.Seed}", Configuration(run))),
            ]) { Collapsed = true },
        ]);
    }

    /// <summary>One report of several experiments: of each its claim, verdicts and table.</summary>
    /// <param name="all">The experiments that were run.</param>
    public static ReportDocument Overview(IReadOnlyList<ExperimentResults> all)
    {
        ArgumentNullException.ThrowIfNull(all);
        return new ReportDocument("The weight-decay laboratory", "What each experiment claims, and what was seen here.",
        [
            new("Summary", [SummaryOf(all)]),
            .. all.Select(results => new ReportSection($"{results.Experiment.Id}: {results.Experiment.Title}",
                [new Paragraph(results.Experiment.Claim), VerdictsOf(results), TableOf(results), .. results.Experiment.Charts(results)])),
        ]);
    }

    /// <summary>The verdicts on an experiment's expectations.</summary>
    public static Verdicts VerdictsOf(ExperimentResults results)
    {
        ArgumentNullException.ThrowIfNull(results);
        return new Verdicts([.. results.Experiment.Expectations.Select(expectation =>
        {
            Finding finding = expectation.Judge(results);
            return new Verdict(finding.Outcome, expectation.Text, finding.Numbers);
        })]);
    }

    private static Table SummaryOf(IReadOnlyList<ExperimentResults> all) => new(
        [new("experiment"), new("claim"), new("seen", true), new("not seen", true), new("inconclusive", true)],
        [.. all.Select(results =>
        {
            IReadOnlyList<Verdict> verdicts = VerdictsOf(results).Items;
            string Count(Outcome outcome) => verdicts.Count(verdict => verdict.Outcome == outcome).ToString(CultureInfo.InvariantCulture);
            return new TableRow([$"{results.Experiment.Id} {results.Experiment.Title}", results.Experiment.Claim, Count(Outcome.Seen), Count(Outcome.NotSeen), Count(Outcome.Inconclusive)]);
        })],
        "Expectations, by what came of them.");

    private static Table TableOf(ExperimentResults results) => new(
        [new("arm"), .. results.Experiment.Measures.Select(measure => new TableColumn(measure.Name, true))],
        [.. results.Experiment.Arms.Select(arm => new TableRow([arm.Name, .. results.Experiment.Measures.Select(measure => Cell(results.Values(arm.Name, measure)))]))],
        results.Seeds.Count > 1 ? $"Means over {results.Seeds.Count} seeds, with the standard error of the mean. Arms share seeds, so that their differences are more certain than this." : string.Empty);

    private static string Cell(IReadOnlyList<double> values)
    {
        var sample = new Sample(values);
        if (double.IsNaN(sample.Mean))
            return "-";
        string format = Math.Abs(sample.Mean) is >= 0.001 and < 1000 ? "0.0000" : "0.###e0";
        string mean = sample.Mean.ToString(format, CultureInfo.InvariantCulture);
        return values.Count > 1 ? $"{mean} ± {sample.StandardError.ToString(format, CultureInfo.InvariantCulture)}" : mean;
    }

    private static Chart Curve(ExperimentResults results, (string Metric, string Title, string Unit) curve)
    {
        var series = new List<Series>();
        foreach (FinishedRun run in results.Runs)
        {
            MetricsSeries values = run.History.Series(curve.Metric);
            if (values.Count > 0)
                series.Add(new Series($"{run.Arm}, seed {run.Seed}", run.Arm, [.. values.Steps.Zip(values.Values, (step, value) => new Point(step, value))]));
        }

        return new Chart(curve.Title, "step", curve.Unit, series) { Smooth = curve.Metric == "loss" };
    }

    private static string Configuration(FinishedRun run)
    {
        foreach (string name in new[] { "config.json", ToyRun.ResultFile })
        {
            string path = Path.Combine(run.Directory, name);
            if (File.Exists(path))
                return File.ReadAllText(path);
        }

        return string.Empty;
    }
}
