using static Trainer.Cuda.Kernels.KernelLaunch;

namespace Trainer.Cuda.Kernels;

/// <summary>How matrices of fp32 are multiplied.</summary>
internal enum FloatProduct
{
    /// <summary>In fp32, on the ordinary cores.</summary>
    Float32,

    /// <summary>With factors rounded to the 11 significant bits of tf32, on tensor cores; their products are added in fp32.</summary>
    Tf32,
}

/// <summary>
/// Launches of <c>cuda/gemm_f32.cu</c> and <c>cuda/gemm_tf32.cu</c>, the matrix products with fp32 matrices for compute capability 8.0 and later. R rows; a
/// layer from K to N channels, both multiples of 8.
/// </summary>
internal static class GemmFloatKernels
{
    private const int Tile = 128, TileDepth = 16, Threads = 256, SharedBytes = 48 << 10, BlocksPerMultiprocessor = 2;

    private const long TileFlops = 2L * Tile * Tile * TileDepth;

    /// <summary><c>gemm_forward_f32(y, x, weight, bias, R, N, K)</c>, or <c>_tf32</c>.</summary>
    public static KernelLaunch Forward(FloatProduct product, int rows, int n, int k, bool bias) =>
        Product("gemm_forward", product, rows, n, k, rows, n, k, 4L * n * (rows + (bias ? 1 : 0)));

    /// <summary><c>gemm_forward_gelu_f32(y, pre, x, weight, bias, R, N, K)</c>, or <c>_tf32</c>.</summary>
    public static KernelLaunch ForwardGelu(FloatProduct product, int rows, int n, int k, bool bias) =>
        Product("gemm_forward_gelu", product, rows, n, k, rows, n, k, 4L * n * ((2L * rows) + (bias ? 1 : 0)));

    /// <summary><c>gemm_backward_input_f32(dx, dy, weight, R, N, K)</c>, or <c>_tf32</c>.</summary>
    public static KernelLaunch BackwardInput(FloatProduct product, int rows, int n, int k) =>
        Product("gemm_backward_input", product, rows, n, k, rows, k, n, 4L * rows * k);

    /// <summary><c>gemm_backward_input_dgelu_f32(dx, dy, weight, pre, R, N, K)</c>, or <c>_tf32</c>.</summary>
    public static KernelLaunch BackwardInputDGelu(FloatProduct product, int rows, int n, int k) =>
        Product("gemm_backward_input_dgelu", product, rows, n, k, rows, k, n, 8L * rows * k);

    /// <summary>
    /// <c>gemm_backward_weight_f32(dweight, dbias, partial, dy, x, R, N, K, splits, accumulate)</c>, or <c>_tf32</c>; with several splits
    /// <see cref="GemmKernels.ReduceSplits"/> follows, and partial holds <see cref="GemmKernels.PartialCount"/> floats. The bias's gradient is summed in fp32.
    /// </summary>
    public static KernelLaunch BackwardWeight(FloatProduct product, int rows, int n, int k, int splits, bool bias, bool accumulate)
    {
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(splits);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(splits, Blocks(rows, TileDepth));
        var launch = Product("gemm_backward_weight", product, rows, n, k, n, k, rows, GemmKernels.SumBytes(n, k, splits, bias, accumulate));
        return launch with { Grid = new(checked(launch.Grid.X * splits)) };
    }

    /// <summary>The tiles that the sum of <see cref="BackwardWeight"/> has, which is the most splits.</summary>
    public static int DepthTiles(int rows) => Blocks(rows, TileDepth);

    /// <summary>The splits of <see cref="BackwardWeight"/> that are expected to take the least time.</summary>
    public static int Splits(FloatProduct product, int rows, int n, int k, int multiprocessors)
    {
        long tiles = (long)Blocks(n, Tile) * Blocks(k, Tile);
        int units = multiprocessors * BlocksPerMultiprocessor;

        // The rate, relative to that of tensor cores in bf16: half in tf32, and 67 of 990 TFLOP/s (H100) or 19.5 of 312 (A100) on the ordinary cores.
        double share = product == FloatProduct.Tf32 ? 1.0 / 2 : 1.0 / 15;
        return GemmKernels.Divide(tiles, Blocks(rows, TileDepth), units, TileFlops / share, (long)n * k, GemmKernels.MaxSplits).Splits;
    }

    // `rows` x `n`, and so on, is the layer; `height` x `width` the result, `depth` the sum. `bytes` is what is not an operand.
    private static KernelLaunch Product(string kernel, FloatProduct product, int rows, int n, int k, int height, int width, int depth, long bytes)
    {
        GemmKernels.Check(rows, n, k);
        string name = kernel + (product == FloatProduct.Tf32 ? "_tf32" : "_f32");
        long tiles = (long)Blocks(height, Tile) * Blocks(width, Tile), operands = 4 * (((long)height * depth) + ((long)width * depth));
        return new(name, new(checked((int)tiles)), new(Threads), SharedBytes, operands + bytes, tiles * Blocks(depth, TileDepth) * TileFlops);
    }
}
