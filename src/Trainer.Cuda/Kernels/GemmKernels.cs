using static Trainer.Cuda.Kernels.KernelLaunch;

namespace Trainer.Cuda.Kernels;

/// <summary>
/// What both versions of the matrix products share: a linear layer with R rows, from K to N channels, N and K multiples of 8; and the
/// division of a weight's gradient, which has few tiles and a long sum, among more blocks than it has tiles.
/// </summary>
internal static class GemmKernels
{
    /// <summary>The most parts that a sum is divided into.</summary>
    public const int MaxSplits = 32;

    private const int ReduceThreads = 256;

    // What a byte of device memory costs in FLOPs of tensor cores: 790 TFLOP/s at 4.3 TB/s on an H200; an A100 has 150.
    private const double FlopsPerByte = 180;

    /// <summary><c>gemm_reduce_splits(dweight, dbias, partial, N, K, splits, accumulate)</c> after a backward-weight product in several splits.</summary>
    public static KernelLaunch ReduceSplits(int n, int k, int splits, bool bias, bool accumulate)
    {
        Check(rows: 1, n, k);
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(splits);
        long sums = Sums(n, k, bias);
        long bytes = 4 * (splits + (accumulate ? 2 : 1)) * sums;
        return new("gemm_reduce_splits", new(Blocks(sums / 4, ReduceThreads)), new(ReduceThreads), 0, bytes, splits * sums);
    }

    /// <summary>The floats of scratch memory that a backward-weight product in several splits needs.</summary>
    public static long PartialCount(int n, int k, int splits) => splits == 1 ? 0 : splits * Sums(n, k, bias: true);

    /// <summary>Checks N and K.</summary>
    public static void Check(int rows, int n, int k)
    {
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(rows);
        if (n <= 0 || n % 8 != 0)
            throw new ArgumentOutOfRangeException(nameof(n), n, "must be a multiple of 8");
        if (k <= 0 || k % 8 != 0)
            throw new ArgumentOutOfRangeException(nameof(k), k, "must be a multiple of 8");
    }

    /// <summary>The bytes of the sums that a backward-weight product reads and writes.</summary>
    internal static long SumBytes(int n, int k, int splits, bool bias, bool accumulate) => 4 * Sums(n, k, bias) * (splits > 1 ? splits : accumulate ? 2 : 1);

    /// <summary>
    /// The splits with which a product is expected to take the least time, and that time in FLOPs of the whole device: as many waves of units
    /// as the units need, each as long as its part of the depth, and the partial sums written and read.
    /// </summary>
    /// <param name="tiles">The tiles of the result.</param>
    /// <param name="depthTiles">The tiles of the sum.</param>
    /// <param name="units">The units that run at the same time.</param>
    /// <param name="flops">What a tile of the sum costs one of them.</param>
    /// <param name="sums">The numbers of the result.</param>
    /// <param name="maxSplits">The most splits.</param>
    internal static (int Splits, double Cost) Divide(long tiles, int depthTiles, int units, double flops, long sums, int maxSplits)
    {
        var best = (Splits: 0, Cost: double.PositiveInfinity);
        for (int splits = 1; splits <= Math.Min(maxSplits, depthTiles); splits++)
        {
            double waves = Blocks(tiles * splits, units), partial = splits == 1 ? 0 : 8.0 * sums * splits * FlopsPerByte;
            double cost = (waves * Blocks(depthTiles, splits) * flops * units) + partial;
            if (cost < best.Cost)
                best = (splits, cost);
        }

        return best;
    }

    private static long Sums(int n, int k, bool bias) => ((long)n * k) + (bias ? n : 0);
}
