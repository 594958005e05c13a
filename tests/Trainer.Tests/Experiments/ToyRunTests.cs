using System.Text.Json;
using Trainer.Experiments;

namespace Trainer.Tests.Experiments;

public sealed class ToyRunTests
{
    private static readonly ScaleInvariantOptions Spiral = new() { LearningRate = 0.1, Steps = 4001, Dimension = 4, BatchSize = 1 };

    [Test]
    public void A_run_is_thinned_and_says_what_its_result_is()
    {
        using var folder = new TemporaryFolder();
        var result = ToyRun.Write(folder.PathOf("run"), Spiral);
        JsonElement[] lines = Lines(folder.PathOf("run/metrics.jsonl"));
        Assert.Multiple(() =>
        {
            Assert.That(lines, Has.Length.InRange(1000, 2000));
            Assert.That(lines[^1].GetProperty("step").GetInt64(), Is.EqualTo(4001));
            foreach (string name in new[] { "loss", "lr", "weightNorm", "normRatio", "elr", "angle" })
                Assert.That(lines.Select(line => line.GetProperty(name).GetDouble()), Is.All.Positive, name);
            Assert.That(lines[^1].GetProperty("weightNorm").GetDouble(), Is.EqualTo(result.FinalNorm));
            JsonElement final = Json(folder.PathOf("run/result.json"));
            Assert.That(final.GetProperty("growthExponent").GetDouble(), Is.EqualTo(result.GrowthExponent));
            Assert.That(final.GetProperty("angleToTheory").GetString(), Is.EqualTo("NaN"), "there is no equilibrium without decay");
            JsonElement config = Json(folder.PathOf("run/config.json"));
            Assert.That(config.GetProperty("toy").GetString(), Is.EqualTo("scale-invariant"));
            Assert.That(config.GetProperty("lr").GetDouble(), Is.EqualTo(0.1));
        });
    }

    [Test]
    public void Lines_of_the_network_have_its_test_loss_and_trace()
    {
        using var folder = new TemporaryFolder();
        var options = new TwoLayerReluOptions { LearningRate = 0.01, Steps = 50, DropStep = 30, Width = 5 };
        var result = ToyRun.Write(folder.PathOf("run"), options);
        JsonElement last = Lines(folder.PathOf("run/metrics.jsonl"))[^1];
        JsonElement final = Json(folder.PathOf("run/result.json"));
        Assert.Multiple(() =>
        {
            foreach (JsonElement numbers in new[] { last, final })
            {
                Assert.That(numbers.GetProperty("loss").GetDouble(), Is.EqualTo(result.TrainLoss));
                Assert.That(numbers.GetProperty("testLoss").GetDouble(), Is.EqualTo(result.TestLoss));
                Assert.That(numbers.GetProperty("hessianTrace").GetDouble(), Is.EqualTo(result.HessianTrace));
            }

            Assert.That(last.GetProperty("lr").GetDouble(), Is.EqualTo(0.001));
            Assert.That(Json(folder.PathOf("run/config.json")).GetProperty("toy").GetString(), Is.EqualTo("relu-regression"));
        });
    }

    [Test]
    public void The_same_settings_make_the_same_bytes()
    {
        using var folder = new TemporaryFolder();
        var options = Spiral with { Steps = 100, WeightDecay = 0.01 };
        ToyRun.Write(folder.PathOf("a"), options);
        ToyRun.Write(folder.PathOf("b"), Spiral);
        ToyRun.Write(folder.PathOf("b"), options);
        foreach (string file in new[] { "config.json", "metrics.jsonl", "result.json" })
            Assert.That(File.ReadAllBytes(folder.PathOf($"b/{file}")), Is.EqualTo(File.ReadAllBytes(folder.PathOf($"a/{file}"))), file);
    }

    [Test]
    public void A_directory_that_cannot_be_made_is_refused_by_name()
    {
        using var folder = new TemporaryFolder();
        folder.Write("file", "text");
        Assert.That(() => ToyRun.Write(folder.PathOf("file/run"), Spiral), Throws.TypeOf<RequestException>().With.Message.Contains("file/run"));
    }

    private static JsonElement[] Lines(string path) => [.. File.ReadLines(path).Select(line => JsonDocument.Parse(line).RootElement)];

    private static JsonElement Json(string path) => JsonDocument.Parse(File.ReadAllBytes(path)).RootElement;
}
