using Trainer.Cpu;
using Trainer.Model;
using Trainer.Tests.Compute;

namespace Trainer.Tests.Model;

/// <summary>Activations that are computed again are those of the forward pass, to the bit.</summary>
[TestFixtureSource(typeof(CpuInstructionSets), nameof(CpuInstructionSets.Supported))]
public sealed class RecomputeTests(CpuInstructionSet instructionSet)
{
    // Rows of 18 and 72 numbers: the ends of vectors are crossed.
    private static readonly ModelConfig Config = new(Layers: 3, Heads: 2, Channels: 18, SequenceLength: 8, Vocabulary: 13) { PaddedVocabulary = 16 };

    private static readonly (int B, int T)[] MicroBatches = [(3, 7), (2, 8), (1, 1)];

    [Test]
    public void Losses_and_gradients_have_the_same_bits([Values(Recompute.GeluLayerNorm, Recompute.Block)] Recompute recompute, [Values(1, 3)] int microBatches,
        [Values(1, 3)] int layers)
    {
        var (expectedLosses, expectedGradients) = Run(Config with { Layers = layers }, Recompute.None, microBatches);
        var (losses, gradients) = Run(Config with { Layers = layers }, recompute, microBatches);
        Assert.That(expectedLosses[0], Is.Not.EqualTo(expectedLosses[1]), "the steps differ");
        Assert.That(losses, Is.EqualTo(expectedLosses));
        Assert.That(gradients.AsSpan().SequenceEqual(expectedGradients));
        Assert.That(gradients.Max(Math.Abs), Is.GreaterThan(0.01f), "the gradients are large enough to tell");
    }

    [Test]
    public void Less_is_kept()
    {
        using var backend = new CpuBackend(1, instructionSet);
        long Activations(Recompute recompute)
        {
            using var model = new Gpt2(backend, Config, 3, 8, ModelUse.Train, recompute);
            return model.Memory.ActivationBytes;
        }

        Assert.That(Activations(Recompute.GeluLayerNorm), Is.LessThan(Activations(Recompute.None)));
        Assert.That(Activations(Recompute.Block), Is.LessThan(Activations(Recompute.GeluLayerNorm)));
    }

    /// <summary>The losses of two steps of different sizes, and the gradients of the second, whose activations lie where the first step's were.</summary>
    private (double[] Losses, float[] Gradients) Run(ModelConfig config, Recompute recompute, int microBatches)
    {
        using var backend = new CpuBackend(threads: 2, instructionSet);
        using var model = new Gpt2(backend, config, 3, 8, ModelUse.Train, recompute);
        float[] weights = TestValues.Normal(model.Layout.Count, 1, deviation: 0.3);
        foreach (var gain in model.Layout.Tensors.Where(tensor => tensor.Kind == ParameterKind.LayerNorm && tensor.Name.EndsWith("weight", StringComparison.Ordinal)))
        {
            foreach (ref float weight in weights.AsSpan((int)gain.Segment.Offset, (int)gain.Segment.Count))
                weight += 1;
        }

        backend.Upload<float>(weights, model.Parameters);
        var losses = new double[2];
        for (int step = 0; step < 2; step++)
        {
            for (int i = 0; i < microBatches; i++)
            {
                var (b, t) = MicroBatches[(step + i) % MicroBatches.Length];
                int[] tokens = TestValues.Tokens(b * t, config.Vocabulary, 2 + (ulong)i), targets = TestValues.Tokens(b * t, config.Vocabulary, 20 + (ulong)i);
                model.LossAndGradients(tokens, targets, b, t, microBatches, accumulate: i > 0);
            }

            losses[step] = model.ReadLoss();
        }

        var gradients = new float[model.Layout.Count];
        backend.Download(model.Gradients, gradients.AsSpan());
        return (losses, gradients);
    }
}
