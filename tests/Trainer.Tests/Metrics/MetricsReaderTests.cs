using Trainer.Metrics;

namespace Trainer.Tests.Metrics;

public sealed class MetricsReaderTests
{
    private TemporaryFolder _directory = null!;

    private string File => _directory.PathOf("metrics.jsonl");

    [SetUp]
    public void Make() => _directory = new TemporaryFolder();

    [TearDown]
    public void Delete() => _directory.Dispose();

    [Test]
    public void Lines_come_back_to_the_bit_across_the_reader_s_buffer()
    {
        var random = new CounterRandom(1, 1);
        StepMetrics[] steps = [.. Enumerable.Range(1, 1000).Select(t => new StepMetrics(t, random.Normal((ulong)t), 1e-3 / t, t, t / 7.0, 1, 2, 3))];
        using (MetricsWriter writer = MetricsWriter.Open(File, 0))
        {
            foreach (StepMetrics step in steps)
                writer.Write(step);
            writer.Write(new EvaluationMetrics(1000, 1.0 / 3, 2.0 / 3));
        }

        MetricsLine[] lines = [.. MetricsReader.Read(File)];
        Assert.That(new FileInfo(File).Length, Is.GreaterThan(1 << 16));
        Assert.That(lines[..^1].Select(line => line.Training), Is.EqualTo(steps));
        Assert.That(lines[..^1].Select(line => line.Evaluation), Is.All.Null);
        Assert.That(lines[^1], Is.EqualTo(new MetricsLine(1000, null, new EvaluationMetrics(1000, 1.0 / 3, 2.0 / 3))));
    }

    [Test]
    public void Names_that_are_not_known_are_skipped()
    {
        System.IO.File.WriteAllText(File, "{\"step\":3,\"loss\":1.5,\"extra\":{\"a\":[1,2]},\"lr\":0.5}\n");
        StepMetrics read = MetricsReader.Read(File).Single().Training!.Value;
        Assert.That((read.Step, read.Loss, read.LearningRate, read.GradientNorm), Is.EqualTo((3L, 1.5, 0.5, double.NaN)));
    }

    [TestCase("nonsense")]
    [TestCase("")]
    [TestCase("{\"loss\":2}")]
    [TestCase("{\"step\":2,\"loss\":\"much\"}")]
    [TestCase("{\"step\":2.5,\"loss\":1}")]
    [TestCase("{\"step\":2,\"loss\":1} {}")]
    [TestCase("{\"step\":2,\"loss\":1")]
    [TestCase("[1]")]
    public void A_line_that_is_no_metrics_is_refused_with_its_number(string line)
    {
        System.IO.File.WriteAllText(File, "{\"step\":1,\"loss\":1}\n" + line + "\n");
        Assert.That(() => MetricsReader.Read(File).Count(), Throws.TypeOf<RequestException>().With.Message.Contains($"{File}, line 2"));
    }

    [Test]
    public void A_file_without_line_feeds_is_refused()
    {
        System.IO.File.WriteAllText(File, new string(' ', 1 << 17));
        Assert.That(() => MetricsReader.Read(File).Count(), Throws.TypeOf<RequestException>().With.Message.Contains("line 1"));
    }

    [Test]
    public void A_missing_file_is_refused() =>
        Assert.That(() => MetricsReader.Read(File).Count(), Throws.TypeOf<RequestException>().With.Message.Contains("cannot be read"));

    [Test]
    public void An_empty_file_has_no_lines()
    {
        System.IO.File.WriteAllText(File, "");
        Assert.That(MetricsReader.Read(File), Is.Empty);
    }
}
