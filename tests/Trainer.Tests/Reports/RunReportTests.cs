using Trainer.Reports;

namespace Trainer.Tests.Reports;

public sealed class RunReportTests
{
    private const string Metrics = """
        {"step":1,"loss":3,"lr":0.1,"gradNorm":1,"weightNorm":2,"normRatio":1,"stepMs":5,"tokensPerSecond":100}
        {"step":2,"loss":2,"lr":0.2,"gradNorm":1,"weightNorm":4,"normRatio":2,"stepMs":5,"tokensPerSecond":300}
        {"step":2,"valLoss":2.5,"trainLoss":2.25}
        {"step":2,"angle":0.5,"trace":9,"scale/default":1,"norm/wte.weight":3,"norm/wpe.weight":4,"norm/qkv":5,"norm/all":6}
        {"step":3,"loss":1,"lr":0.1,"gradNorm":1,"weightNorm":5,"normRatio":2.5,"stepMs":5,"tokensPerSecond":200}
        {"step":3,"valLoss":2.625,"trainLoss":2}

        """;

    private TemporaryFolder _directory = null!;

    [SetUp]
    public void Make() => _directory = new TemporaryFolder();

    [TearDown]
    public void Delete() => _directory.Dispose();

    [Test]
    public void A_run_alone_has_results_and_a_chart_for_every_metric()
    {
        ReportDocument report = RunReport.Create([Run("first", Record(steps: 10))]);
        Assert.That(report.Title, Is.EqualTo("first"));
        Table results = report.Sections[0].Blocks.OfType<Table>().Single();
        Assert.That(results.Rows.Single().Cells,
            Is.EqualTo(new[] { "first", "3 of 10", "96", "2.6250", "2.0000", "0.6250", "2.5000 at 2", "5.00", "2.5000", "200" }));
        Assert.That(results.Rows.Single().Emphasised, Is.False);
        Chart[] charts = [.. report.Sections.SelectMany(section => section.Blocks).OfType<Chart>()];
        Assert.That(charts.Select(chart => chart.Title), Is.EqualTo(new[]
        {
            "Training loss, each step", "Validation loss", "Training loss, at evaluations", "Validation minus training loss",
            "Weight norm over its initial value",
            "Effective learning rate", "Angle a step turns the weights by", "Learning rate", "Gradient norm before clipping", "trace",
            "scale, default", "norm, tensors", "norm, groups of tensors", "Trained tokens per second", "Wall time of a step",
        }));
        Assert.That(charts[3].Series.Single().Points, Is.EqualTo(new Point[] { new(2, 0.25), new(3, 0.625) }));
        Assert.That(charts[5].Series.Single().Points, Is.EqualTo(new Point[] { new(1, 0.05), new(2, 0.05), new(3, 0.02) }));
        Assert.That(charts[11].Series.Select(series => (series.Name, series.Group)),
            Is.EqualTo(new[] { ("wte.weight", "wte.weight"), ("wpe.weight", "wpe.weight") }));
        Assert.That(charts[12].Series.Select(series => series.Name), Is.EqualTo(new[] { "qkv", "all" }));
        Assert.That(report.Sections.Single(section => section.Heading == "Parts of the model").Collapsed, Is.True);
    }

    [Test]
    public void Runs_side_by_side_show_what_differs_and_seeds_share_an_arm()
    {
        string[] runs =
        [
            Run("decay-s1", Record(seed: 1)), Run("decay-s2", Record(seed: 2)),
            Run("none", Record(decay: "0"), Metrics.Replace("2.625", "2.5", StringComparison.Ordinal)),
        ];
        ReportDocument report = RunReport.Create(runs, "Title");
        Assert.That(report.Title, Is.EqualTo("Title"));
        Table[] tables = [.. report.Sections[0].Blocks.OfType<Table>()];
        Assert.That(tables[0].Rows.Select(row => row.Emphasised), Is.EqualTo(new[] { false, false, true }));
        Assert.That(tables[1].Rows.Select(row => string.Join(' ', row.Cells)), Is.EqualTo(new[] { "seed 1 2 1", "weightDecay 0.5 0.5 0" }));
        Assert.That(report.Sections[0].Blocks.OfType<Details>().Single().Text,
            Does.Contain("totalBatchTokens").And.Contain("versions: device").And.Not.Contain("weightDecay"));
        Chart loss = report.Sections[1].Blocks.OfType<Chart>().First();
        Assert.That(loss.Series.Select(series => (series.Name, series.Group)),
            Is.EqualTo(new[] { ("decay-s1", "decay × 2 seeds"), ("decay-s2", "decay × 2 seeds"), ("none", "none") }));
    }

    [Test]
    public void The_commands_repeat_it_from_any_path()
    {
        string run = Run("it's one", Record());
        Commands commands = RunReport.Create([run]).Sections[^1].Blocks.OfType<Commands>().Single();
        string quoted = run.Replace("'", "'\\''", StringComparison.Ordinal);
        Assert.That(commands.Lines,
            Is.EqualTo(new[] { $"trainer train --config '{quoted}/config.json' --run '{quoted}-again'", $"trainer report '{quoted}'" }));
    }

    [Test]
    public void Runs_of_one_name_are_told_apart_by_their_paths()
    {
        string[] runs = [Run("a/x", Record()), Run("b/x", Record(decay: "0"))];
        Assert.That(RunReport.Create(runs).Sections[0].Blocks.OfType<Table>().First().Rows.Select(row => row.Cells[0]), Is.EqualTo(runs));
        Assert.That(RunReport.Create([runs[0], runs[0] + "/"]).Title, Is.EqualTo("x"), "named twice, shown once");
    }

    [Test]
    public void A_run_that_goes_on_or_has_no_record_is_shown_as_far_as_it_is()
    {
        string torn = _directory.PathOf("torn");
        _directory.Write("torn/metrics.jsonl", "{\"step\":1,\"loss\":\"NaN\"}\n{\"step\":2,\"lo");
        ReportDocument report = RunReport.Create([torn]);
        Assert.That(report.Sections[0].Blocks.OfType<Table>().Single().Rows.Single().Cells,
            Is.EqualTo(new[] { "torn", "1", "–", "–", "–", "–", "–", "–", "–", "–" }));
        Assert.That(report.Sections[^1].Blocks.OfType<Commands>().Single().Lines, Is.EqualTo(new[] { $"trainer report {torn}" }));
        using var writer = new StringWriter();
        Assert.That(() => HtmlReport.Write(report, writer), Throws.Nothing);
    }

    [Test]
    public void What_is_no_run_is_refused_with_what_to_do()
    {
        string empty = Run("empty", Record(), ""), corrupt = Run("corrupt", "{");
        Directory.CreateDirectory(_directory.PathOf("nothing"));
        Assert.That(() => RunReport.Create([_directory.PathOf("missing")]),
            Throws.TypeOf<RequestException>().With.Message.Contains("does not exist; name directories of runs"));
        Assert.That(() => RunReport.Create([_directory.PathOf("nothing")]), Throws.TypeOf<RequestException>().With.Message.Contains("has no metrics.jsonl"));
        Assert.That(() => RunReport.Create([empty]), Throws.TypeOf<RequestException>().With.Message.Contains("wait for the first step"));
        Assert.That(() => RunReport.Create([corrupt]), Throws.TypeOf<RequestException>().With.Message.Contains("config.json is no record of a run"));
    }

    private static string Record(int seed = 1, string decay = "0.5", int steps = 3) =>
        $$$"""{"seed":{{{seed}}},"steps":{{{steps}}},"totalBatchTokens":32,"weightDecay":{{{decay}}},"versions":{"device":"cpu"}}""";

    private string Run(string name, string record, string metrics = Metrics)
    {
        _directory.Write($"{name}/config.json", record);
        _directory.Write($"{name}/metrics.jsonl", metrics);
        return _directory.PathOf(name);
    }
}
