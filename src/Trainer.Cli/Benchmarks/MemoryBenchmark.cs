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
        Tensor values = backend.Allocate(ElementType.Float32, new Shape(Elements)), copy = default;
        try
        {
            copy = backend.Allocate(ElementType.Float32, new Shape(Elements));
            Segment[] all = [new(0, Elements)];
            double[] sum = new double[1];
            return
            [
                new("writeBytesPerSecond", "write (zero)", bytes / Timing.Median(repetitions, () => Wait(() => backend.Zero(values)), stop), "B/s"),
                new("readBytesPerSecond", "read (sum of squares)", bytes / Timing.Median(repetitions, () => backend.SumOfSquares(values, all, sum), stop), "B/s"),
                new("readWriteBytesPerSecond", "read and write (copy)", 2 * bytes / Timing.Median(repetitions, () => Wait(() => backend.Convert(copy, values)), stop), "B/s"),
            ];

            void Wait(Action work)
            {
                work();
                backend.Synchronize();
            }
        }
        finally
        {
            backend.Free(values);
            if (!copy.IsNone)
                backend.Free(copy);
        }
    }
}
