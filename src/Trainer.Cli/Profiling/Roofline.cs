using Trainer.Cli.Benchmarks;
using Trainer.Compute;

namespace Trainer.Cli.Profiling;

/// <summary>What a device can do at most (Williams, Waterman and Patterson 2009): an operation takes at least what its bytes or its FLOPs take.</summary>
/// <param name="BytesPerSecond">Reading and writing memory, by the largest copy.</param>
/// <param name="FlopsPerSecond">Multiply-adds in the precision of matrix products.</param>
internal readonly record struct Roofline(double BytesPerSecond, double FlopsPerSecond)
{
    private const int Repetitions = 5;

    /// <summary>Measures both now.</summary>
    public static Roofline Measure(IBackend backend, CancellationToken stop) =>
        new(MemoryBenchmark.CopyBytesPerSecond(backend, Repetitions, stop), backend.MeasurePeakFlops());

    /// <summary>The higher figures of two measurements: whatever disturbs one lowers it.</summary>
    public static Roofline Higher(Roofline a, Roofline b) =>
        new(Math.Max(a.BytesPerSecond, b.BytesPerSecond), Math.Max(a.FlopsPerSecond, b.FlopsPerSecond));

    /// <summary>The floor: the least time in seconds that an operation can take, unless its operands lie in a cache.</summary>
    public double Floor(in OperationCost cost) => Math.Max(cost.Bytes / BytesPerSecond, cost.Flops / FlopsPerSecond);
}
