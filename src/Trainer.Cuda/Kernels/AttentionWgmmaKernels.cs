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

    private const int ForwardSlots = 8;

    /// <summary><c>attention_forward_wgmma(map of qkv, map of out, lse, T, NH, scale)</c>.</summary>
    public static KernelLaunch Forward(AttentionShape shape)
    {
        int consumers = shape.HeadSize == 64 ? 2 : 3;
        long tiles = Blocks(shape.T, Rows);
        return new($"attention_forward_wgmma_{shape.Suffix}", new(Blocks(tiles, consumers), shape.Heads, shape.B), new((consumers * 128) + 32),
            ((consumers + ForwardSlots) * TileBytes(shape)) + (((2 * ForwardSlots) + 1) * sizeof(long)),
            (8 * shape.OutputCount) + (4 * shape.AllHeads * shape.T), shape.Flops(2, tiles * (tiles + 1) / 2 * Rows * Rows));
    }

    private static int TileBytes(AttentionShape shape) => Rows * shape.HeadSize * 2;
}
