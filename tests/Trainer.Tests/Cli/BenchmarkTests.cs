using System.Text.Json;
using Trainer.Cli;
using Trainer.Cli.Benchmarks;
using Trainer.Model;

namespace Trainer.Tests.Cli;

public sealed class BenchmarkTests
{
    [Test]
    public void A_token_of_GPT2_takes_0_85_billion_operations()
    {
        // 12 layers x 12 x 768^2 weights and 50304 x 768 of the classifier are 123.57 million, at 6 operations each; attention adds
        // 6 x 12 x 768 x 1024 = 56.6 million.
        double operations = StepBenchmark.Operations(new ModelConfig(12, 12, 768, 1024, 50257));
        Assert.That(operations, Is.EqualTo(6 * 123_568_128.0 + 56_623_104.0));
    }

    [Test]
    public void The_step_benchmark_reports_time_by_phase()
    {
        using var recorded = new RecordedTerminal();
        int code = CommandLine.Run(["bench", "step", "--seq-len", "16", "--batch-size", "1", "--vocab-size", "64", "--steps", "1", "--threads", "1", "--json"], recorded.Terminal);
        Assert.That(code, Is.Zero, recorded.Error);
        using var json = JsonDocument.Parse(recorded.Output);
        foreach (string key in new[] { "tokensPerSecond", "millisecondsPerStep", "forwardMilliseconds", "optimizerMilliseconds", "flopsPerSecond", "peakFlopsPerSecond" })
            Assert.That(json.RootElement.GetProperty(key).GetDouble(), Is.Positive, key);
    }

    [Test]
    public void Large_figures_are_shown_in_billions() =>
        Assert.That(FigureReport.Text("cpu", [new("a", "speed", 2.5e9, "FLOP/s"), new("b", "step time", 1234, "ms")]),
            Is.EqualTo("cpu\nspeed              2.50 GFLOP/s\nstep time         1,234 ms"));
}
