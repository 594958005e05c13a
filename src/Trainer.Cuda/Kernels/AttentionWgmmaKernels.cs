using static Trainer.Cuda.Kernels.KernelLaunch;

namespace Trainer.Cuda.Kernels;

/// <summary>Launches of <c>cuda/attention_*_wgmma.cu</c>, for sm_90a. The backward pass also takes <see cref="AttentionKernels.BackwardStats"/>, before the others.</summary>
/// <remarks>
/// Tensor maps have three dimensions: the columns of all parts and heads, T rows, B planes; boxes of <see cref="BoxColumns"/> x <see cref="Rows"/> x 1, with the
/// 128-byte swizzle and zeros outside.
/// </remarks>
internal static class AttentionWgmmaKernels
{
    /// <summary>The rows of a box, and of the tile of a warpgroup.</summary>
    public const int Rows = 64;

    /// <summary>The columns of a box.</summary>
    public const int BoxColumns = 64;

    private const int Warpgroup = 128;
    private const int ForwardSlots = 8;
    private const int BackwardSlots = 4;
    private const int StatsBytes = 2 * sizeof(float);

    /// <summary><c>attention_forward_wgmma(map of qkv, map of out, lse, T, NH, scale)</c>.</summary>
    public static KernelLaunch Forward(AttentionShape shape)
    {
        int consumers = shape.HeadSize == 64 ? 2 : 3;
        return new($"attention_forward_wgmma_{shape.Suffix}", Grid(shape, consumers), new((consumers * Warpgroup) + 32),
            ((consumers + ForwardSlots) * TileBytes(shape)) + BarrierBytes(ForwardSlots),
            (8 * shape.OutputCount) + (4 * shape.AllHeads * shape.T), shape.Flops(2, Pairs(shape)));
    }

    /// <summary><c>attention_backward_kv_wgmma(map of qkv, map of dout, map of dqkv, stats, T, NH, scale)</c>.</summary>
    public static KernelLaunch BackwardKv(AttentionShape shape)
    {
        int consumers = shape.HeadSize == 64 ? 3 : 2;
        return new($"attention_backward_kv_wgmma_{shape.Suffix}", Grid(shape, consumers), new((consumers + 1) * Warpgroup),
            (2 * (consumers + BackwardSlots) * TileBytes(shape)) + (BackwardSlots * Rows * StatsBytes) + BarrierBytes(BackwardSlots),
            (12 * shape.OutputCount) + (shape.AllHeads * Blocks(shape.T, Rows) * Rows * StatsBytes), shape.Flops(4, Pairs(shape)));
    }

    /// <summary><c>attention_backward_q_wgmma(map of qkv, map of dout, map of dqkv, stats, T, NH, scale)</c>.</summary>
    public static KernelLaunch BackwardQ(AttentionShape shape)
    {
        const int consumers = 3;
        return new($"attention_backward_q_wgmma_{shape.Suffix}", Grid(shape, consumers), new((consumers + 1) * Warpgroup),
            (2 * (consumers + BackwardSlots) * TileBytes(shape)) + BarrierBytes(BackwardSlots),
            (10 * shape.OutputCount) + (shape.AllHeads * Blocks(shape.T, Rows) * Rows * StatsBytes), shape.Flops(3, Pairs(shape)));
    }

    // One tile of rows for each consumer.
    private static Dim3 Grid(AttentionShape shape, int consumers) => new(Blocks(shape.T, consumers * Rows), shape.Heads, shape.B);

    // The tiles on and below the diagonal.
    private static long Pairs(AttentionShape shape)
    {
        long tiles = Blocks(shape.T, Rows);
        return tiles * (tiles + 1) / 2 * Rows * Rows;
    }

    private static int TileBytes(AttentionShape shape) => Rows * shape.HeadSize * 2;

    // Two barriers for each slot of the ring, one for the block's own tiles.
    private static int BarrierBytes(int slots) => ((2 * slots) + 1) * sizeof(long);
}
