using Trainer.Compute;
using Trainer.Optimization;

namespace Trainer.Cli.Benchmarks;

/// <summary>The bandwidth of the device's memory, by operations that do next to nothing else: bytes read and written per second.</summary>
internal static class MemoryBenchmark
{
    /// <summary>256 MiB: far beyond any cache.</summary>
    private const int Elements = 64 << 20;

    /// <summary>Measures writing, reading, and both.</summary>
    public static IReadOnlyList<Figure> Run(IBackend backend, int repetitions, CancellationToken stop)
    {
        const double bytes = 4.0 * Elements;
        Tensor values = backend.Allocate(ElementType.Float32, new Shape(Elements));
        try
        {
            Segment[] all = [new(0, Elements)];
            double[] sum = new double[1];
            // Two factors in turn, so that repetitions neither overflow nor become denormal.
            float[] factor = [2];
            return
            [
                new("writeBytesPerSecond", "write (zero)", bytes / Timing.Median(repetitions, () => backend.Zero(values), stop), "B/s"),
                new("readBytesPerSecond", "read (sum of squares)", bytes / Timing.Median(repetitions, () => backend.SumOfSquares(values, all, sum), stop), "B/s"),
                new("readWriteBytesPerSecond", "read and write (scale)", 2 * bytes / Timing.Median(repetitions, Scale, stop), "B/s"),
            ];

            void Scale()
            {
                factor[0] = 1 / factor[0];
                backend.Scale(values, all, factor);
            }
        }
        finally
        {
            backend.Free(values);
        }
    }
}
