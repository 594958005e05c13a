using static Trainer.Cuda.Kernels.KernelLaunch;

namespace Trainer.Cuda.Kernels;

/// <summary>Launches of <c>cuda/bias.cu</c>: the sums over R rows of N columns, a multiple of 8.</summary>
internal static class BiasKernels
{
    private const int RowBytes = 512, Threads = 256, MinRowsPerBlock = 64, MaxParts = 256;
    private const int ReduceColumns = 32, ReduceThreads = 512;

    /// <summary><c>bias_gradient(partial, dy, R, N)</c>; partial holds <see cref="PartialCount"/> floats.</summary>
    public static KernelLaunch Gradient(int rows, int n, KernelType type = KernelType.Bf16)
    {
        Check(rows, n);
        return new(type.NameOf("bias_gradient"), new(Blocks((long)n * type.Bytes(), RowBytes), Parts(rows)), new(Threads), 0,
            ((long)type.Bytes() * rows * n) + (sizeof(float) * PartialCount(rows, n)), (long)rows * n);
    }

    /// <summary>
    /// <c>bias_gradient_reduce(dbias, partial, parts, N, accumulate)</c>, with <see cref="Parts"/>; or with one part, a gradient that is added to another.
    /// </summary>
    public static KernelLaunch Reduce(int parts, int n, bool accumulate)
    {
        Check(parts, n);
        return new("bias_gradient_reduce", new(Blocks(n, ReduceColumns)), new(ReduceThreads), 0, sizeof(float) * (long)n * (parts + (accumulate ? 2 : 1)), (long)parts * n);
    }

    /// <summary>The parts in which the rows are added up.</summary>
    public static int Parts(int rows) => Math.Min(Blocks(rows, MinRowsPerBlock), MaxParts);

    /// <summary>The floats of scratch memory between the two kernels.</summary>
    public static long PartialCount(int rows, int n) => (long)Parts(rows) * n;

    private static void Check(int rows, int n)
    {
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(rows);
        if (n <= 0 || n % 8 != 0)
            throw new ArgumentOutOfRangeException(nameof(n), n, "must be a multiple of 8");
    }
}
