using System.Security.Cryptography;
using Trainer.Checkpoints;
using Trainer.Cpu;
using Trainer.Data;
using Trainer.Model;
using Trainer.Tests.Model;
using Trainer.Training;

namespace Trainer.Tests.Training;

/// <summary>Training follows llm.c, given the same model file and the same token shard.</summary>
[TestFixtureSource(nameof(References))]
internal sealed class LlmcParityTests(LlmcReference reference)
{
    /// <summary>
    /// Ours and llm.c's float builds each differ from the exact losses by single-precision rounding; llm.c's by up to 1.4e-6.
    /// </summary>
    private const double LossTolerance = 5e-6;

    public static IEnumerable<TestFixtureData> References()
    {
        yield return new TestFixtureData(LlmcReference.TwoHeads).SetArgDisplayNames("two heads");
        yield return new TestFixtureData(LlmcReference.ThreeHeads).SetArgDisplayNames("three heads");
    }

    [Test]
    public void Files_are_those_that_llmc_was_given()
    {
        Assert.That(Convert.ToHexStringLower(SHA256.HashData(reference.ModelFile())), Is.EqualTo(reference.Sha256));
        Assert.That(Convert.ToHexStringLower(SHA256.HashData(LlmcReference.Shard())), Is.EqualTo(LlmcReference.ShardSha256));
    }

    [Test]
    public void Ten_losses_follow_llmc()
    {
        using var folder = new TemporaryFolder();
        string shard = folder.Write("shard.bin", LlmcReference.Shard());
        var settings = new TrainingSettings
        {
            Run = folder.PathOf("run"), InitFrom = folder.Write("model.bin", reference.ModelFile()), TrainData = shard, ValData = shard,
            SeqLen = reference.T, BatchSize = reference.B, Steps = 10, DataOrder = "sequential", Regularizer = "none", GradClip = 0,
            AdamBeta2 = 0.999, Lr = LlmcReference.LearningRate, LrSchedule = "constant", WarmupSteps = 0, EvalEvery = 0, SampleEvery = 0,
        };
        using var data = TrainingData.Open(settings);
        using var backend = new CpuBackend(threads: 2);
        using var run = TrainingRun.Open(settings, data, backend);
        double[] losses = [.. Enumerable.Range(0, 10).Select(_ => run.Step().Loss)];
        Assert.That(losses, Is.EqualTo(reference.Losses).Within(LossTolerance));
    }

    [Test]
    public void First_gradients_are_llmcs()
    {
        using var folder = new TemporaryFolder();
        using var corpus = TokenCorpus.Open([folder.Write("shard.bin", LlmcReference.Shard())]);
        using var backend = new CpuBackend(threads: 1);
        using var model = new Gpt2(backend, reference.Config, reference.B, reference.T, ModelUse.Train);
        ModelSource.Open(folder.Write("model.bin", reference.ModelFile())).Load(backend, model.Parameters);
        var loader = new BatchLoader(corpus, reference.B, reference.T, reference.Config.Vocabulary, DataOrder.Sequential, seed: 0);
        var (tokens, targets) = (new int[reference.B * reference.T], new int[reference.B * reference.T]);
        loader.Next(tokens, targets);

        model.LossAndGradients(tokens, targets, reference.B, reference.T);
        Assert.That(model.ReadLoss(), Is.EqualTo(reference.Losses[0]).Within(LossTolerance));

        var sums = new double[model.Layout.Tensors.Count];
        backend.SumOfSquares(model.Gradients, model.Layout.Segments, sums);
        Assert.Multiple(() =>
        {
            for (int i = 0; i < LlmcReference.TensorNames.Length; i++)
            {
                string name = LlmcReference.TensorNames[i];
                double sum = model.Layout.Tensors.Select((tensor, index) => IsPartOf(tensor.Name, name) ? sums[index] : 0).Sum();
                Assert.That(Math.Sqrt(sum), Is.EqualTo(reference.GradientNorms[i]).Within(1e-5 * reference.GradientNorms[i]), name);
            }
        });
    }

    private static bool IsPartOf(string tensor, string name) =>
        name.StartsWith('w') || name.StartsWith("ln_f", StringComparison.Ordinal) ? tensor.StartsWith(name, StringComparison.Ordinal)
        : tensor.StartsWith("h.", StringComparison.Ordinal) && tensor.EndsWith("." + name, StringComparison.Ordinal);
}
