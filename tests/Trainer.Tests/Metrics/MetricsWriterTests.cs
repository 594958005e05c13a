using System.Text.Json;
using Trainer.Metrics;

namespace Trainer.Tests.Metrics;

public sealed class MetricsWriterTests
{
    private TemporaryFolder _directory = null!;

    private string File => _directory.PathOf("metrics.jsonl");

    [SetUp]
    public void Make() => _directory = new TemporaryFolder();

    [TearDown]
    public void Delete() => _directory.Dispose();

    [Test]
    public void Lines_have_the_names_and_order_that_are_documented()
    {
        using (MetricsWriter writer = MetricsWriter.Open(File, 0))
        {
            writer.Write(new StepMetrics(1, 10.5, 1e-3, 2, 3, 1.5, 12.25, 1e6));
            writer.Write(new EvaluationMetrics(1, 10.25, 10));
        }

        Assert.That(System.IO.File.ReadAllText(File), Is.EqualTo(
            """{"step":1,"loss":10.5,"lr":0.001,"gradNorm":2,"weightNorm":3,"normRatio":1.5,"stepMs":12.25,"tokensPerSecond":1000000}""" + "\n"
            + """{"step":1,"valLoss":10.25,"trainLoss":10}""" + "\n"));
    }

    [Test]
    public void A_line_can_be_read_as_soon_as_it_is_written()
    {
        using MetricsWriter writer = MetricsWriter.Open(File, 0);
        for (int step = 1; step <= 3; step++)
        {
            writer.Write(Metrics(step));
            Assert.That(MetricsReader.Read(File).Count(), Is.EqualTo(step));
        }
    }

    [Test]
    public void Numbers_that_are_not_finite_are_valid_json_and_come_back()
    {
        using (MetricsWriter writer = MetricsWriter.Open(File, 0))
            writer.Write(new StepMetrics(1, double.NaN, 1e-3, double.PositiveInfinity, double.NegativeInfinity, 1, 1, 1));
        Assert.That(() => JsonDocument.Parse(System.IO.File.ReadAllText(File)).Dispose(), Throws.Nothing);
        StepMetrics read = MetricsReader.Read(File).Single().Training!.Value;
        Assert.That((read.Loss, read.GradientNorm, read.WeightNorm), Is.EqualTo((double.NaN, double.PositiveInfinity, double.NegativeInfinity)));
    }

    [Test]
    public void A_step_line_allocates_nothing_after_the_first()
    {
        using MetricsWriter writer = MetricsWriter.Open(File, 0);
        writer.Write(Metrics(1));
        long before = GC.GetAllocatedBytesForCurrentThread();
        for (int step = 2; step < 100; step++)
            writer.Write(Metrics(step));
        Assert.That(GC.GetAllocatedBytesForCurrentThread() - before, Is.Zero);
    }

    [TestCase(0, 0)]
    [TestCase(5, 6)]
    [TestCase(9, 10)]
    [TestCase(10, 12)]
    [TestCase(100, 12)]
    public void Resuming_cuts_off_what_came_after_the_checkpoint(int step, int lines)
    {
        using (MetricsWriter writer = MetricsWriter.Open(File, 0))
        {
            for (int t = 1; t <= 10; t++)
            {
                writer.Write(Metrics(t));
                if (t % 5 == 0)
                    writer.Write(new EvaluationMetrics(t, t, t));
            }
        }

        string before = System.IO.File.ReadAllText(File);
        using (MetricsWriter writer = MetricsWriter.Open(File, step))
            writer.Write(Metrics(step + 1));
        Assert.That(MetricsReader.Read(File).Select(line => line.Step), Is.Ordered);
        Assert.That(MetricsReader.Read(File).Count(), Is.EqualTo(lines + 1));
        string[] after = System.IO.File.ReadAllLines(File);
        Assert.That(before, Does.StartWith(string.Concat(after[..^1].Select(line => line + "\n"))));
    }

    [Test]
    public void Resuming_cuts_off_a_torn_last_line()
    {
        using (MetricsWriter writer = MetricsWriter.Open(File, 0))
        {
            writer.Write(Metrics(1));
            writer.Write(Metrics(2));
        }

        byte[] whole = System.IO.File.ReadAllBytes(File);
        for (int cut = 1; cut < 20; cut++)
        {
            System.IO.File.WriteAllBytes(File, whole[..^cut]);
            MetricsWriter.Open(File, 2).Dispose();
            Assert.That(System.IO.File.ReadAllBytes(File), Is.EqualTo(whole[..(whole.Length / 2)]));
        }
    }

    [Test]
    public void A_directory_that_is_missing_is_refused() =>
        Assert.That(() => MetricsWriter.Open(_directory.PathOf("none/metrics.jsonl"), 0), Throws.TypeOf<RequestException>().With.Message.Contains("none"));

    private static StepMetrics Metrics(long step) => new(step, 3.25 / step, 1e-3 / 3, 0.1, 190.2, 1.01, 12.3, 123_456.7);
}
