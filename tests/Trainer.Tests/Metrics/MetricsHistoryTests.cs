using Trainer.Metrics;

namespace Trainer.Tests.Metrics;

public sealed class MetricsHistoryTests
{
    private TemporaryFolder _directory = null!;

    [SetUp]
    public void Make() => _directory = new TemporaryFolder();

    [TearDown]
    public void Delete() => _directory.Dispose();

    [Test]
    public void Numbers_of_every_kind_of_line_are_series_by_name()
    {
        MetricsHistory history = Load("""
            {"step":1,"loss":2.5,"lr":0.1}
            {"step":1,"angle":0.25,"norm/h.0.attn.c_attn.weight":3,"note":"spike","flag":true,"more":{"loss":9},"list":[1,2]}
            {"step":2,"loss":"NaN","lr":0.2}
            {"step":2,"valLoss":"Infinity","trainLoss":"-Infinity"}

            """);
        Assert.That(history.Names, Is.EqualTo(new[] { "loss", "lr", "angle", "norm/h.0.attn.c_attn.weight", "valLoss", "trainLoss" }));
        Assert.That(history.Series("loss").Steps, Is.EqualTo(new[] { 1L, 2L }));
        Assert.That(history.Series("loss").Values, Is.EqualTo(new[] { 2.5, double.NaN }));
        Assert.That(history.Series("angle").Values, Is.EqualTo(new[] { 0.25 }));
        Assert.That(history.Series("norm/h.0.attn.c_attn.weight").Values, Is.EqualTo(new[] { 3.0 }));
        Assert.That(history.Series("valLoss").Values, Is.EqualTo(new[] { double.PositiveInfinity }));
        Assert.That(history.Series("trainLoss").Values, Is.EqualTo(new[] { double.NegativeInfinity }));
        Assert.That(history.Series("nothing").Count, Is.Zero);
        Assert.That(history.LastStep, Is.EqualTo(2));
    }

    [Test]
    public void What_the_writer_writes_comes_back_to_the_bit()
    {
        string file = _directory.PathOf("metrics.jsonl");
        using MetricsWriter writer = MetricsWriter.Open(file, 0);
        writer.Write(new StepMetrics(1, 1.0 / 3, 1e-3, 7, 8, 9, 10, 11));
        writer.Write(new EvaluationMetrics(1, 2.0 / 3, 4.0 / 3));

        // The writer is still open, as that of a run which goes on.
        MetricsHistory history = MetricsHistory.Load(file);
        Assert.That(history.Names.Select(name => history.Series(name).Values.Single()),
            Is.EqualTo(new[] { 1.0 / 3, 1e-3, 7, 8, 9, 10, 11, 2.0 / 3, 4.0 / 3 }));
    }

    [TestCase("{\"step\":2,\"lo")]
    [TestCase("{\"step\":2,\"loss\":1}")]
    public void A_torn_last_line_is_left_out(string torn) =>
        Assert.That(Load("{\"step\":1,\"loss\":2}\n" + torn).Series("loss").Values, Is.EqualTo(new[] { 2.0 }));

    [TestCase("nonsense")]
    [TestCase("")]
    [TestCase("{\"loss\":2}")]
    [TestCase("{\"step\":2.5,\"loss\":1}")]
    [TestCase("{\"step\":2,\"loss\":1} {}")]
    [TestCase("[1]")]
    public void A_line_that_is_no_metrics_is_refused_with_its_number(string line) =>
        Assert.That(() => Load("{\"step\":1,\"loss\":1}\n" + line + "\n"), Throws.TypeOf<RequestException>().With.Message.Contains("metrics.jsonl, line 2"));

    [Test]
    public void A_missing_file_is_refused() =>
        Assert.That(() => MetricsHistory.Load(_directory.PathOf("none")), Throws.TypeOf<RequestException>().With.Message.Contains("cannot be read"));

    private MetricsHistory Load(string text) => MetricsHistory.Load(_directory.Write("metrics.jsonl", text));
}
