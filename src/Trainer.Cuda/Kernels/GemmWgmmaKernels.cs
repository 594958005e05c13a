using static Trainer.Cuda.Kernels.KernelLaunch;

namespace Trainer.Cuda.Kernels;

/// <summary>The part of a matrix that one asynchronous copy moves: what a tensor map needs besides the matrix, with the 128-byte swizzle.</summary>
internal readonly record struct TileBox(int Columns, int Rows);

/// <summary>How a product is cut: the width of the tiles of its result, and the parts that the sum is divided into.</summary>
internal readonly record struct GemmPlan(int Width, int Splits);

/// <summary>
/// Launches of <c>cuda/gemm_wgmma.cu</c>, the matrix products for compute capability 9.0a. R rows; a layer from K to N channels, both multiples
/// of 8. Matrices are passed as tensor maps. Blocks stay for several tiles: as many as there are multiprocessors, or fewer.
/// </summary>
internal static class GemmWgmmaKernels
{
    private const int TileRows = 128, TileDepth = 64, Threads = 384, Consumers = 2;

    private const int MaxSharedBytes = 227 << 10, BarrierBytes = 1 << 10, OnesBytes = 1 << 10, SlabBytes = 8 << 10, LineBytes = 128;

    private enum Epilogue
    {
        Rounded,
        DGelu,
        Sums,
    }

    /// <summary>The widths of tiles that there are kernels for.</summary>
    public static ReadOnlySpan<int> Widths => [128, 192, 256];

    /// <summary>The box of an A (rows of the result by depth) whose lines run along the depth: x of the forward product, dy of the input's gradient.</summary>
    public static TileBox RowBox => new(TileDepth, TileRows);

    /// <summary>The box of every other matrix: results, what goes into a GELU, and operands whose lines do not run along the depth.</summary>
    public static TileBox SquareBox => new(64, 64);

    /// <summary>The box of a B (columns of the result by depth) whose lines run along the depth: the weight of the forward product.</summary>
    public static TileBox ColumnBox(int width) => new(TileDepth, width);

    /// <summary><c>gemm_forward_wgmma(y, x, weight, bias, R, N, K)</c>; y, x and weight are tensor maps.</summary>
    public static KernelLaunch Forward(int rows, int n, int k, int width, int multiprocessors, bool bias) =>
        Product("gemm_forward_wgmma", Epilogue.Rounded, rows, n, k, rows, n, k, new(width, 1), multiprocessors, (2L * rows * n) + (bias ? 2L * n : 0));

    /// <summary><c>gemm_forward_gelu_wgmma(y, pre, x, weight, bias, R, N, K)</c>; y, pre, x and weight are tensor maps.</summary>
    public static KernelLaunch ForwardGelu(int rows, int n, int k, int width, int multiprocessors, bool bias) =>
        Product("gemm_forward_gelu_wgmma", Epilogue.Rounded, rows, n, k, rows, n, k, new(width, 1), multiprocessors, (4L * rows * n) + (bias ? 2L * n : 0));

    /// <summary><c>gemm_backward_input_wgmma(dx, dy, weight, R, N, K)</c>; dx, dy and weight are tensor maps.</summary>
    public static KernelLaunch BackwardInput(int rows, int n, int k, int width, int multiprocessors) =>
        Product("gemm_backward_input_wgmma", Epilogue.Rounded, rows, n, k, rows, k, n, new(width, 1), multiprocessors, 2L * rows * k);

    /// <summary><c>gemm_backward_input_dgelu_wgmma(dx, dy, weight, pre, R, N, K)</c>; dx, dy, weight and pre are tensor maps.</summary>
    public static KernelLaunch BackwardInputDGelu(int rows, int n, int k, int width, int multiprocessors) =>
        Product("gemm_backward_input_dgelu_wgmma", Epilogue.DGelu, rows, n, k, rows, k, n, new(width, 1), multiprocessors, 4L * rows * k);

    /// <summary>
    /// <c>gemm_backward_weight_wgmma(dweight, dbias, partial, dy, x, R, N, K, splits, accumulate)</c>; dy and x are tensor maps. With several splits
    /// <see cref="GemmKernels.ReduceSplits"/> follows, and partial holds <see cref="GemmKernels.PartialCount"/> floats.
    /// </summary>
    public static KernelLaunch BackwardWeight(int rows, int n, int k, GemmPlan plan, int multiprocessors, bool bias, bool accumulate)
    {
        int depthTiles = DepthTiles(rows);
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(plan.Splits);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(plan.Splits, depthTiles);
        long sums = GemmKernels.SumBytes(n, k, plan.Splits, bias, accumulate), biasFlops = bias ? Blocks(n, TileRows) * depthTiles * Flops(8) : 0;
        var launch = Product("gemm_backward_weight_wgmma", Epilogue.Sums, rows, n, k, n, k, rows, plan, multiprocessors, sums);
        return launch with { Flops = launch.Flops + biasFlops };
    }

    /// <summary>The tiles that the sum of <see cref="BackwardWeight"/> has, which is the most splits.</summary>
    public static int DepthTiles(int rows) => Blocks(rows, TileDepth);

    /// <summary>
    /// The width of tiles with which a product of <paramref name="height"/> x <paramref name="width"/>, summed over <paramref name="depth"/>, is
    /// expected to take the least time.
    /// </summary>
    public static int Width(int height, int width, int depth, int multiprocessors) => Plan(height, width, depth, multiprocessors, maxSplits: 1).Width;

    /// <summary>The same with the splits, for <see cref="BackwardWeight"/>.</summary>
    public static GemmPlan WeightPlan(int rows, int n, int k, int multiprocessors) => Plan(n, k, rows, multiprocessors, GemmKernels.MaxSplits);

    /// <summary>The splits of <see cref="BackwardWeight"/> that are expected to take the least time with tiles of one width.</summary>
    public static int Splits(int rows, int n, int k, int width, int multiprocessors) => Divide(n, k, rows, width, multiprocessors, GemmKernels.MaxSplits).Splits;

    private static GemmPlan Plan(int height, int width, int depth, int multiprocessors, int maxSplits)
    {
        GemmPlan best = default;
        double least = double.PositiveInfinity;
        foreach (int tile in Widths)
        {
            var (splits, cost) = Divide(height, width, depth, tile, multiprocessors, maxSplits);
            if (cost < least)
                (best, least) = (new(tile, splits), cost);
        }

        return best;
    }

    private static (int Splits, double Cost) Divide(int height, int width, int depth, int tile, int multiprocessors, int maxSplits)
    {
        // The rows that a tile of the depth brings from L2, which without multicast is the narrower pass: 128 + W for products worth 128 W.
        // Scaled so that the widest tile costs its FLOPs.
        double flops = Flops(256) * (TileRows + tile) / (TileRows + 256.0);
        long tiles = (long)Blocks(height, TileRows) * Blocks(width, tile);
        return GemmKernels.Divide(tiles, Blocks(depth, TileDepth), multiprocessors, flops, (long)height * width, maxSplits);
    }

    private static long Flops(int width) => 2L * TileRows * width * TileDepth;

    // `rows` x `n`, and so on, is the layer; `height` x `width` the result, `depth` the sum. `bytes` is what is not an operand.
    private static KernelLaunch Product(
        string kernel, Epilogue epilogue, int rows, int n, int k, int height, int width, int depth, GemmPlan plan, int multiprocessors, long bytes)
    {
        GemmKernels.Check(rows, n, k);
        if (!Widths.Contains(plan.Width))
            throw new ArgumentOutOfRangeException(nameof(plan), plan.Width, "must be the width of a kernel's tiles");
        long tiles = (long)Blocks(height, TileRows) * Blocks(width, plan.Width), operands = 2 * (((long)height * depth) + ((long)width * depth));
        int blocks = (int)Math.Min(tiles * plan.Splits, multiprocessors);
        long flops = tiles * Blocks(depth, TileDepth) * Flops(plan.Width);
        return new($"{kernel}_{plan.Width}", new(blocks), new(Threads), SharedBytes(plan.Width, epilogue), operands + bytes, flops);
    }

    // Layout in cuda/gemm_wgmma.cu.
    private static int SharedBytes(int width, Epilogue epilogue)
    {
        int slabs = epilogue == Epilogue.Sums ? 0 : epilogue == Epilogue.DGelu || width == 192 ? width / 64 : 2;
        int others = (Consumers * slabs * SlabBytes) + (epilogue == Epilogue.Sums ? OnesBytes : 0) + BarrierBytes, stage = (TileRows + width) * LineBytes;
        return ((MaxSharedBytes - others) / stage * stage) + others;
    }
}
