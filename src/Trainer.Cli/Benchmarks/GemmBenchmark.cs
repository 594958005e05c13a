using Trainer.Compute;
using Trainer.Model;

namespace Trainer.Cli.Benchmarks;

/// <summary>
/// The matrix products of a model's linear layers, forward and both backward forms, in 2 R N K floating-point operations each, beside the
/// peak of the device.
/// </summary>
internal static class GemmBenchmark
{
    /// <summary>Measures the products of R rows through the layers of a model.</summary>
    public static IReadOnlyList<Figure> Run(IBackend backend, ModelConfig config, int rows, int repetitions, CancellationToken stop)
    {
        int c = config.Channels;
        (string Key, string Label, int N, int K)[] layers =
        [
            ("qkv", "queries, keys, values", 3 * c, c), ("attentionProjection", "attention projection", c, c),
            ("mlp", "MLP", 4 * c, c), ("mlpProjection", "MLP projection", c, 4 * c), ("classifier", "classifier", config.PaddedVocabulary, c),
        ];
        var figures = new List<Figure>();
        foreach ((string key, string label, int n, int k) in layers)
            figures.AddRange(Layer(backend, key, label, (rows, n, k), repetitions, stop));
        figures.Add(new Figure("peakFlopsPerSecond", "peak, multiply-adds on registers", backend.MeasurePeakFlops(), "FLOP/s"));
        return figures;
    }

    private static Figure[] Layer(IBackend backend, string key, string label, (int Rows, int N, int K) size, int repetitions, CancellationToken stop)
    {
        ElementType working = backend.Precision.Working;
        var allocations = new List<Tensor>();
        try
        {
            Tensor input = Allocate(working, size.Rows, size.K), output = Allocate(working, size.Rows, size.N);
            Tensor weight = Allocate(working, size.N, size.K), dWeight = Allocate(ElementType.Float32, size.N, size.K);
            double operations = 2.0 * size.Rows * size.N * size.K;
            return
            [
                Measure("Forward", "forward", () => backend.LinearForward(output, input, weight)),
                Measure("BackwardInput", "backward to input", () => backend.LinearBackwardInput(input, output, weight)),
                Measure("BackwardWeight", "backward to weight", () => backend.LinearBackwardWeight(dWeight, default, output, input)),
            ];

            Figure Measure(string form, string name, Action work) =>
                new($"{key}{form}FlopsPerSecond", $"{label}, {name}", operations / Timing.Median(repetitions, () => Wait(work), stop), "FLOP/s");

            void Wait(Action work)
            {
                work();
                backend.Synchronize();
            }

            Tensor Allocate(ElementType type, int rows, int columns)
            {
                Tensor tensor = backend.Allocate(type, new Shape(rows, columns));
                allocations.Add(tensor);
                return tensor;
            }
        }
        finally
        {
            foreach (Tensor allocation in allocations)
                backend.Free(allocation);
        }
    }
}
