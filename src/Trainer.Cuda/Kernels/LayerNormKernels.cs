using static Trainer.Cuda.Kernels.KernelLaunch;

namespace Trainer.Cuda.Kernels;

/// <summary>Launches of <c>cuda/layernorm.cu</c>. R rows; C channels, a multiple of 8 up to <see cref="MaxChannels"/>.</summary>
internal static class LayerNormKernels
{
    /// <summary>The most channels.</summary>
    public const int MaxChannels = 4096;

    private const int PackBytes = 16;
    private const int BackwardRowsPerBlock = 4;
    private const int MaxBackwardBlocks = 512;
    private const int ReduceThreads = 512;
    private const int ReduceColumns = 32;

    /// <summary><c>layernorm_forward(y, mean, rstd, x, weight, bias, R, C)</c>.</summary>
    public static KernelLaunch Forward(int rows, int channels, KernelType type = KernelType.Bf16) =>
        new(type.NameOf("layernorm_forward"), new(Blocks(rows, RowsPerBlock(type))), Threads(channels, type), 0,
            (2L * type.Bytes() * (rows + 1) * channels) + (8L * rows), 8L * rows * channels);

    /// <summary><c>residual_layernorm_forward(sum, y, mean, rstd, residual, branch, weight, bias, R, C)</c>.</summary>
    public static KernelLaunch ResidualForward(int rows, int channels, KernelType type = KernelType.Bf16) =>
        new(type.NameOf("residual_layernorm_forward"), new(Blocks(rows, RowsPerBlock(type))), Threads(channels, type), 0,
            (type.Bytes() * ((4L * rows) + 2) * channels) + (8L * rows), 9L * rows * channels);

    /// <summary><c>layernorm_backward(dx, partial, dy, x, weight, mean, rstd, R, C)</c>; partial holds <see cref="PartialCount"/> floats.</summary>
    public static KernelLaunch Backward(int rows, int channels, KernelType type = KernelType.Bf16) =>
        new(type.NameOf("layernorm_backward"), new(BackwardBlocks(rows)), Threads(channels, type), 0,
            (type.Bytes() * ((4L * rows) + 1) * channels) + (8L * rows) + (4L * PartialCount(rows, channels)), 14L * rows * channels);

    /// <summary><c>layernorm_backward_reduce(dweight, dbias, partial, blocks, C)</c>, with <see cref="BackwardBlocks"/>.</summary>
    public static KernelLaunch BackwardReduce(int rows, int channels) =>
        new("layernorm_backward_reduce", new(Blocks(2 * channels, ReduceColumns)), new(ReduceThreads), 0,
            (4L * PartialCount(rows, channels)) + (16L * channels), PartialCount(rows, channels));

    /// <summary>The blocks of <see cref="Backward"/>: each leaves its own sums for the gradients of weight and bias.</summary>
    public static int BackwardBlocks(int rows) => Math.Min(Blocks(rows, BackwardRowsPerBlock), MaxBackwardBlocks);

    /// <summary>The floats of scratch memory between the two kernels of the backward pass.</summary>
    public static long PartialCount(int rows, int channels) => 2L * BackwardBlocks(rows) * channels;

    private static int RowsPerBlock(KernelType type) => 8 / type.Bytes();

    private static Dim3 Threads(int channels, KernelType type)
    {
        if (channels is <= 0 or > MaxChannels || channels % 8 != 0)
            throw new ArgumentOutOfRangeException(nameof(channels), channels, $"must be a multiple of 8 up to {MaxChannels}");
        return new(Blocks(channels * type.Bytes() / PackBytes, 32) * 32);
    }
}
