using static Trainer.Cuda.Kernels.KernelLaunch;

namespace Trainer.Cuda.Kernels;

/// <summary>
/// Launches of <c>cuda/gemm_mma.cu</c>, the matrix products for compute capability 8.0 and later. R rows; a layer from K to N channels, both
/// multiples of 8.
/// </summary>
internal static class GemmMmaKernels
{
    private const int Tile = 128, TileDepth = 32, Threads = 256, SharedBytes = 64 << 10, BlocksPerMultiprocessor = 2;

    private const long TileFlops = 2L * Tile * Tile * TileDepth, BiasFlops = 2L * Tile * 8 * TileDepth;

    /// <summary><c>gemm_forward_mma(y, x, weight, bias, R, N, K)</c>.</summary>
    public static KernelLaunch Forward(int rows, int n, int k, bool bias) =>
        Product("gemm_forward_mma", rows, n, k, rows, n, k, (2L * rows * n) + (bias ? 2L * n : 0));

    /// <summary><c>gemm_forward_gelu_mma(y, pre, x, weight, bias, R, N, K)</c>.</summary>
    public static KernelLaunch ForwardGelu(int rows, int n, int k, bool bias) =>
        Product("gemm_forward_gelu_mma", rows, n, k, rows, n, k, (4L * rows * n) + (bias ? 2L * n : 0));

    /// <summary><c>gemm_backward_input_mma(dx, dy, weight, R, N, K)</c>.</summary>
    public static KernelLaunch BackwardInput(int rows, int n, int k) => Product("gemm_backward_input_mma", rows, n, k, rows, k, n, 2L * rows * k);

    /// <summary><c>gemm_backward_input_dgelu_mma(dx, dy, weight, pre, R, N, K)</c>.</summary>
    public static KernelLaunch BackwardInputDGelu(int rows, int n, int k) => Product("gemm_backward_input_dgelu_mma", rows, n, k, rows, k, n, 4L * rows * k);

    /// <summary>
    /// <c>gemm_backward_weight_mma(dweight, dbias, partial, dy, x, R, N, K, splits, accumulate)</c>; with several splits
    /// <see cref="GemmKernels.ReduceSplits"/> follows, and partial holds <see cref="GemmKernels.PartialCount"/> floats.
    /// </summary>
    public static KernelLaunch BackwardWeight(int rows, int n, int k, int splits, bool bias, bool accumulate)
    {
        int depthTiles = DepthTiles(rows);
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(splits);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(splits, depthTiles);
        var launch = Product("gemm_backward_weight_mma", rows, n, k, n, k, rows, GemmKernels.SumBytes(n, k, splits, bias, accumulate));
        long biasFlops = bias ? (long)Blocks(n, Tile) * depthTiles * BiasFlops : 0;
        return launch with { Grid = new(checked(launch.Grid.X * splits)), Flops = launch.Flops + biasFlops };
    }

    /// <summary>The tiles that the sum of <see cref="BackwardWeight"/> has, which is the most splits.</summary>
    public static int DepthTiles(int rows) => Blocks(rows, TileDepth);

    /// <summary>The splits of <see cref="BackwardWeight"/> that are expected to take the least time.</summary>
    public static int Splits(int rows, int n, int k, int multiprocessors)
    {
        long tiles = (long)Blocks(n, Tile) * Blocks(k, Tile);
        int units = multiprocessors * BlocksPerMultiprocessor;
        return GemmKernels.Divide(tiles, DepthTiles(rows), units, TileFlops, (long)n * k, GemmKernels.MaxSplits).Splits;
    }

    // `rows` x `n`, and so on, is the layer; `height` x `width` the result, `depth` the sum. `bytes` is what is not an operand.
    private static KernelLaunch Product(string kernel, int rows, int n, int k, int height, int width, int depth, long bytes)
    {
        GemmKernels.Check(rows, n, k);
        long tiles = (long)Blocks(height, Tile) * Blocks(width, Tile), operands = 2 * (((long)height * depth) + ((long)width * depth));
        return new(kernel, new(checked((int)tiles)), new(Threads), SharedBytes, operands + bytes, tiles * Blocks(depth, TileDepth) * TileFlops);
    }
}
