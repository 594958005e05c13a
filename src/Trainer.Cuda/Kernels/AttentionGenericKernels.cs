using static Trainer.Cuda.Kernels.KernelLaunch;

namespace Trainer.Cuda.Kernels;

/// <summary>
/// Launches of <c>cuda/attention_generic.cu</c>: attention in fp32, and in bf16 for head sizes that the tensor cores' kernels do not have. Any head size that
/// is a multiple of 8 up to <see cref="MaxHeadSize"/>.
/// </summary>
/// <remarks>The backward pass is <see cref="BackwardStats"/>, then <see cref="BackwardKv"/> and <see cref="BackwardQ"/> in any order.</remarks>
internal static class AttentionGenericKernels
{
    /// <summary>The most channels of a head.</summary>
    public const int MaxHeadSize = 128;

    private const int Threads = 128;
    private const int Warps = Threads / 32;
    private const int RowGroups = 4;
    private const int Columns = 32;
    private const int StatsRows = 16;

    /// <summary><c>attention_forward_generic(out, lse, qkv, T, NH, HS, scale)</c>.</summary>
    public static KernelLaunch Forward(AttentionShape shape, KernelType type)
    {
        int padded = PaddedHeadSize(shape), rows = padded == 64 ? 8 : 4;
        return Launch("attention_forward_generic", shape, type, padded, rows, sides: 1,
            (4L * type.Bytes() * shape.OutputCount) + (4 * shape.AllHeads * shape.T), 2, SeenKeys(shape.T, rows));
    }

    /// <summary>
    /// <c>attention_backward_stats_generic(stats, lse, out, dout, T, NH, HS)</c>; stats holds <see cref="AttentionShape.StatsCount"/> floats.
    /// </summary>
    public static KernelLaunch BackwardStats(AttentionShape shape, KernelType type)
    {
        Check(shape);
        return new(type.NameOf("attention_backward_stats_generic"), new(shape.PaddedT / StatsRows, shape.Heads, shape.B), new(Threads), 0,
            (2L * type.Bytes() * shape.OutputCount) + (4 * shape.AllHeads * shape.T) + (4 * shape.StatsCount), 2 * shape.OutputCount);
    }

    /// <summary><c>attention_backward_kv_generic(dqkv, qkv, dout, stats, T, NH, HS, scale)</c>.</summary>
    public static KernelLaunch BackwardKv(AttentionShape shape, KernelType type)
    {
        int padded = PaddedHeadSize(shape), rows = BackwardRows(padded), t = RoundUp(shape.T, Columns);
        return Launch("attention_backward_kv_generic", shape, type, padded, rows, sides: 2,
            (6L * type.Bytes() * shape.OutputCount) + (8 * shape.AllHeads * t), 4, Pairs(shape.T, rows, key => t - (key / Columns * Columns)));
    }

    /// <summary><c>attention_backward_q_generic(dqkv, qkv, dout, stats, T, NH, HS, scale)</c>.</summary>
    public static KernelLaunch BackwardQ(AttentionShape shape, KernelType type)
    {
        int padded = PaddedHeadSize(shape), rows = BackwardRows(padded), blockRows = Warps * RowGroups * rows;
        return Launch("attention_backward_q_generic", shape, type, padded, rows, sides: 2,
            (5L * type.Bytes() * shape.OutputCount) + (8 * shape.AllHeads * RoundUp(shape.T, blockRows)), 3, SeenKeys(shape.T, rows));
    }

    // The head sizes that the kernels are compiled for; others are computed like the next.
    private static int PaddedHeadSize(AttentionShape shape)
    {
        Check(shape);
        return shape.HeadSize <= 32 ? 32 : shape.HeadSize <= 64 ? 64 : MaxHeadSize;
    }

    private static void Check(AttentionShape shape)
    {
        if (shape.HeadSize is <= 0 or > MaxHeadSize || shape.HeadSize % 8 != 0)
            throw new ArgumentException($"attention has kernels for heads of a multiple of 8 channels up to {MaxHeadSize}, not {shape.HeadSize}");
        shape.CheckRange();
    }

    // The rows of a lane: as many as registers and shared memory hold.
    private static int BackwardRows(int padded) => padded == MaxHeadSize ? 2 : 4;

    // `sides`: how many matrices a block keeps its rows of.
    private static KernelLaunch Launch(
        string kernel, AttentionShape shape, KernelType type, int padded, int rows, int sides, long bytes, int products, long pairs)
    {
        int warpRows = RowGroups * rows, blockRows = Warps * warpRows;
        int shared = 4 * ((((sides * blockRows) + (2 * Columns)) * padded) + (Warps * Columns * (warpRows + 4)));
        return new(type.NameOf($"{kernel}_hs{padded}"), new(Blocks(shape.T, blockRows), shape.Heads, shape.B), new(Threads), shared, bytes,
            shape.Flops(products, pairs));
    }

    private static long SeenKeys(int t, int rows) => Pairs(t, rows, query => Math.Min(RoundUp(query + (RowGroups * rows), Columns), RoundUp(t, Columns)));

    // Over the warps that have a row before T: their rows times the columns they compute.
    private static long Pairs(int t, int rows, Func<int, int> columns)
    {
        long pairs = 0;
        for (int row = 0; row < t; row += RowGroups * rows)
            pairs += (long)RowGroups * rows * columns(row);
        return pairs;
    }

    private static int RoundUp(int value, int part) => Blocks(value, part) * part;
}
