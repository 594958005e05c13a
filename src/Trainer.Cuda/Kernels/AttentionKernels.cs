using static Trainer.Cuda.Kernels.KernelLaunch;

namespace Trainer.Cuda.Kernels;

/// <summary>Launches of <c>cuda/attention_*_mma.cu</c>, for sm_80 and later, and of <c>cuda/attention_backward_stats.cu</c>, for all.</summary>
/// <remarks>The backward pass is <see cref="BackwardStats"/>, then <see cref="BackwardKv"/> and <see cref="BackwardQ"/> in any order.</remarks>
internal static class AttentionKernels
{
    private const int Threads = 128;
    private const int Warps = Threads / 32;
    private const int ForwardKeys = 64;
    private const int Slice = 16;
    private const int StatsRows = 16;

    /// <summary><c>attention_forward(out, lse, qkv, T, NH, scale)</c>.</summary>
    public static KernelLaunch Forward(AttentionShape shape)
    {
        int warpRows = WarpRows(shape), rows = warpRows * Warps;
        return new($"attention_forward_{shape.Suffix}", new(Blocks(shape.T, rows), shape.Heads, shape.B), new(Threads),
            (rows + (4 * ForwardKeys)) * shape.HeadSize * 2, (8 * shape.OutputCount) + (4 * shape.AllHeads * shape.T),
            shape.Flops(2, Pairs(shape.T, warpRows, query => Math.Min(RoundUp(query + warpRows, ForwardKeys), RoundUp(shape.T, ForwardKeys)))));
    }

    /// <summary><c>attention_backward_stats(stats, lse, out, dout, T, NH)</c>; stats holds <see cref="AttentionShape.StatsCount"/> floats.</summary>
    public static KernelLaunch BackwardStats(AttentionShape shape) =>
        new($"attention_backward_stats_{shape.Suffix}", new(shape.PaddedT / StatsRows, shape.Heads, shape.B), new(Threads), 0,
            (4 * shape.OutputCount) + (4 * shape.AllHeads * shape.T) + (4 * shape.StatsCount), 2 * shape.OutputCount);

    /// <summary><c>attention_backward_kv(dqkv, qkv, dout, stats, T, NH, scale)</c>.</summary>
    public static KernelLaunch BackwardKv(AttentionShape shape)
    {
        int warpRows = WarpRows(shape), rows = warpRows * Warps, queries = Columns(shape);
        return new($"attention_backward_kv_{shape.Suffix}", new(Blocks(shape.T, rows), shape.Heads, shape.B), new(Threads),
            ((2 * rows) + (4 * queries)) * shape.HeadSize * 2 + (2 * queries * 2 * sizeof(float)),
            (12 * shape.OutputCount) + (8 * shape.AllHeads * RoundUp(shape.T, queries)),
            shape.Flops(4, Pairs(shape.T, warpRows, key => RoundUp(shape.T, Slice) - key)));
    }

    /// <summary><c>attention_backward_q(dqkv, qkv, dout, stats, T, NH, scale)</c>.</summary>
    public static KernelLaunch BackwardQ(AttentionShape shape)
    {
        int warpRows = WarpRows(shape), rows = warpRows * Warps, keys = Columns(shape);
        return new($"attention_backward_q_{shape.Suffix}", new(Blocks(shape.T, rows), shape.Heads, shape.B), new(Threads),
            ((2 * rows) + (4 * keys)) * shape.HeadSize * 2, (10 * shape.OutputCount) + (8 * shape.AllHeads * RoundUp(shape.T, rows)),
            shape.Flops(3, Pairs(shape.T, warpRows, query => Math.Min(query + warpRows, RoundUp(shape.T, keys)))));
    }

    // The rows that a warp owns: as many as its registers hold.
    private static int WarpRows(AttentionShape shape) => shape.HeadSize == 64 ? 32 : 16;

    // The rows of the other side that a block of the backward pass takes at a time.
    private static int Columns(AttentionShape shape) => shape.HeadSize == 64 ? 64 : 32;

    // Over the warps that have a row before T: their rows times the columns they compute.
    private static long Pairs(int t, int warpRows, Func<int, int> columns)
    {
        long pairs = 0;
        for (int row = 0; row < t; row += warpRows)
            pairs += (long)warpRows * columns(row);
        return pairs;
    }

    private static int RoundUp(int value, int part) => Blocks(value, part) * part;
}
