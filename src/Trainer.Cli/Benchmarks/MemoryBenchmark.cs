using Trainer.Compute;
using Trainer.Optimization;

namespace Trainer.Cli.Benchmarks;

/// <summary>The bandwidth of the device's memory, by operations that do next to nothing else: bytes read and written per second.</summary>
internal static class MemoryBenchmark
{
    /// <summary>256 MiB: far beyond any cache.</summary>
    private const int Elements = 64 << 20;

    private const double Bytes = 4.0 * Elements;

    /// <summary>Measures writing, reading, and both.</summary>
    public static IReadOnlyList<Figure> Run(IBackend backend, int repetitions, CancellationToken stop)
    {
        Tensor values = backend.Allocate(ElementType.Float32, new Shape(Elements));
        try
        {
            Segment[] all = [new(0, Elements)];
            double[] sum = new double[1];
            double write = Timing.Median(repetitions, () => Wait(backend, () => backend.Zero(values)), stop);
            double read = Timing.Median(repetitions, () => backend.SumOfSquares(values, all, sum), stop);
            return
            [
                new("writeBytesPerSecond", "write (zero)", Bytes / write, "B/s"),
                new("readBytesPerSecond", "read (sum of squares)", Bytes / read, "B/s"),
                new("readWriteBytesPerSecond", "read and write (copy)", Copy(backend, values, repetitions, stop), "B/s"),
            ];
        }
        finally
        {
            backend.Free(values);
        }
    }

    /// <summary>The bytes that a copy reads and writes per second.</summary>
    public static double CopyBytesPerSecond(IBackend backend, int repetitions, CancellationToken stop)
    {
        Tensor values = backend.Allocate(ElementType.Float32, new Shape(Elements));
        try
        {
            return Copy(backend, values, repetitions, stop);
        }
        finally
        {
            backend.Free(values);
        }
    }

    private static double Copy(IBackend backend, Tensor values, int repetitions, CancellationToken stop)
    {
        Tensor copy = backend.Allocate(ElementType.Float32, new Shape(Elements));
        try
        {
            return 2 * Bytes / Timing.Median(repetitions, () => Wait(backend, () => backend.Convert(copy, values)), stop);
        }
        finally
        {
            backend.Free(copy);
        }
    }

    private static void Wait(IBackend backend, Action work)
    {
        work();
        backend.Synchronize();
    }
}
