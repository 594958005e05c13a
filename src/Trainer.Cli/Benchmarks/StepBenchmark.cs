using Trainer.Compute;
using Trainer.Model;
using Trainer.Optimization;

namespace Trainer.Cli.Benchmarks;

/// <summary>
/// A training step on random tokens, by phase. Its floating-point operations are counted as those of the matrix products: three times
/// (forward, and two of equal size backward) 2 operations for each weight of a linear layer or the classifier and each token, and for
/// causal attention 2 T C for each layer and token, half of the square of scores being masked.
/// </summary>
internal static class StepBenchmark
{
    /// <summary>Measures a step of B sequences of T tokens, T being the model's longest.</summary>
    public static IReadOnlyList<Figure> Run(IBackend backend, ModelConfig config, int batchSize, int repetitions, CancellationToken stop)
    {
        int t = config.SequenceLength;
        using var model = new Gpt2(backend, config, batchSize, t, ModelUse.Train);
        using var optimizer = new WeightOptimizer(backend, model.Layout, model.Tensors, new OptimizerOptions());
        ParameterInitializer.Initialize(backend, model.Layout, model.Parameters, seed: 1);
        model.RefreshWeights();
        optimizer.Start();
        int[] tokens = Tokens(stream: 1), targets = Tokens(stream: 2);

        // Before and after, and the higher counts: whatever disturbs a measurement of the peak lowers it.
        double peakBefore = backend.MeasurePeakFlops();
        double forward = Timing.Median(repetitions, () => Wait(() => model.ForwardLoss(tokens, targets, batchSize, t)), stop);
        double passes = Timing.Median(repetitions, () => Wait(() => model.LossAndGradients(tokens, targets, batchSize, t)), stop);
        double update = Timing.Median(repetitions, () => optimizer.Step(), stop);
        double step = passes + update;

        double operations = Operations(config) * tokens.Length;
        double peak = Math.Max(peakBefore, backend.MeasurePeakFlops());
        return
        [
            new("tokensPerSecond", "tokens", tokens.Length / step, "per second"),
            new("millisecondsPerStep", "step", 1e3 * step, "ms"),
            new("forwardMilliseconds", "  forward", 1e3 * forward, "ms"),
            new("backwardMilliseconds", "  backward", 1e3 * Math.Max(0, passes - forward), "ms"),
            new("optimizerMilliseconds", "  optimizer", 1e3 * update, "ms"),
            new("flopsPerSecond", "floating point", operations / step, "FLOP/s"),
            new("peakFlopsPerSecond", "measured peak", peak, "FLOP/s"),
            new("shareOfPeak", "share of peak", operations / step / peak, "of 1"),
        ];

        void Wait(Action work)
        {
            work();
            backend.Synchronize();
        }

        int[] Tokens(ulong stream)
        {
            var random = new CounterRandom(seed: 1, stream);
            return [.. Enumerable.Range(0, batchSize * t).Select(index => (int)random.Below((ulong)index, (ulong)config.Vocabulary))];
        }
    }

    /// <summary>The operations of a step for each token.</summary>
    internal static double Operations(ModelConfig config)
    {
        double c = config.Channels;
        double weights = (12 * c * c * config.Layers) + (c * config.PaddedVocabulary);
        double attention = 2 * c * config.SequenceLength * config.Layers;
        return 3 * ((2 * weights) + attention);
    }
}
