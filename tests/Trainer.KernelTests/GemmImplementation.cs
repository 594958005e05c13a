using Trainer.Cuda.Kernels;

namespace Trainer.KernelTests;

/// <summary>A linear layer with R rows, from K to N channels.</summary>
internal readonly record struct LayerShape(int R, int N, int K);

/// <summary>A kernel's launch with its arguments.</summary>
internal sealed record KernelCall(KernelLaunch Launch, params KernelArgument[] Arguments);

/// <summary>One version of the matrix products of a linear layer, so that the same tests run against each.</summary>
internal abstract class GemmImplementation
{
    public static GemmImplementation Create(string name) => name switch
    {
        "mma" => new GemmMma(),
        "f32" => new GemmFloat(FloatProduct.Float32),
        "tf32" => new GemmFloat(FloatProduct.Tf32),
        "wgmma 128" => new GemmWgmma(128),
        "wgmma 192" => new GemmWgmma(192),
        "wgmma 256" => new GemmWgmma(256),
        _ => throw new ArgumentException(name),
    };

    /// <summary>What the matrices are made of, but for the gradients of parameters.</summary>
    public virtual KernelType Type => KernelType.Bf16;

    /// <summary>What is left of a factor when it is multiplied.</summary>
    public virtual float[] Factors(float[] values) => values;

    /// <summary>The tensor-core FLOPs of a launch, by the instruction that this version uses; null if it uses none.</summary>
    public abstract ulong? TensorFlops(Traffic traffic);

    /// <summary>The depth of a tile: a split has at least one.</summary>
    public abstract int TileDepth { get; }

    public abstract KernelCall Forward(LayerShape shape, DeviceBuffer y, DeviceBuffer? pre, DeviceBuffer x, DeviceBuffer weight, DeviceBuffer? bias);

    public abstract KernelCall BackwardInput(LayerShape shape, DeviceBuffer dx, DeviceBuffer dy, DeviceBuffer weight, DeviceBuffer? pre);

    public abstract KernelCall BackwardWeight(
        LayerShape shape, DeviceBuffer dWeight, DeviceBuffer? dBias, DeviceBuffer? partial, DeviceBuffer dy, DeviceBuffer x, int splits, bool accumulate);

    public static KernelCall ReduceSplits(LayerShape shape, DeviceBuffer dWeight, DeviceBuffer? dBias, DeviceBuffer partial, int splits, bool accumulate) =>
        new(
            GemmKernels.ReduceSplits(shape.N, shape.K, splits, dBias != null, accumulate),
            dWeight, dBias, partial, shape.N, shape.K, splits, accumulate ? 1 : 0);
}

internal sealed class GemmMma : GemmImplementation
{
    public override int TileDepth => 32;

    public override ulong? TensorFlops(Traffic traffic) => traffic.MmaFlops;

    public override KernelCall Forward(LayerShape shape, DeviceBuffer y, DeviceBuffer? pre, DeviceBuffer x, DeviceBuffer weight, DeviceBuffer? bias)
    {
        var (r, n, k) = shape;
        return pre == null
            ? new(GemmMmaKernels.Forward(r, n, k, bias != null), y, x, weight, bias, r, n, k)
            : new(GemmMmaKernels.ForwardGelu(r, n, k, bias != null), y, pre, x, weight, bias, r, n, k);
    }

    public override KernelCall BackwardInput(LayerShape shape, DeviceBuffer dx, DeviceBuffer dy, DeviceBuffer weight, DeviceBuffer? pre)
    {
        var (r, n, k) = shape;
        return pre == null
            ? new(GemmMmaKernels.BackwardInput(r, n, k), dx, dy, weight, r, n, k)
            : new(GemmMmaKernels.BackwardInputDGelu(r, n, k), dx, dy, weight, pre, r, n, k);
    }

    public override KernelCall BackwardWeight(
        LayerShape shape, DeviceBuffer dWeight, DeviceBuffer? dBias, DeviceBuffer? partial, DeviceBuffer dy, DeviceBuffer x, int splits, bool accumulate)
    {
        var (r, n, k) = shape;
        var launch = GemmMmaKernels.BackwardWeight(r, n, k, splits, dBias != null, accumulate);
        return new(launch, dWeight, dBias, partial, dy, x, r, n, k, splits, accumulate ? 1 : 0);
    }
}

/// <param name="product">How fp32 is multiplied.</param>
internal sealed class GemmFloat(FloatProduct product) : GemmImplementation
{
    public override KernelType Type => KernelType.Float;

    public override int TileDepth => 16;

    public override float[] Factors(float[] values) => product == FloatProduct.Tf32 ? Array.ConvertAll(values, Tf32.Round) : values;

    public override ulong? TensorFlops(Traffic traffic) => product == FloatProduct.Tf32 ? traffic.MmaFlops : null;

    public override KernelCall Forward(LayerShape shape, DeviceBuffer y, DeviceBuffer? pre, DeviceBuffer x, DeviceBuffer weight, DeviceBuffer? bias)
    {
        var (r, n, k) = shape;
        return pre == null
            ? new(GemmFloatKernels.Forward(product, r, n, k, bias != null), y, x, weight, bias, r, n, k)
            : new(GemmFloatKernels.ForwardGelu(product, r, n, k, bias != null), y, pre, x, weight, bias, r, n, k);
    }

    public override KernelCall BackwardInput(LayerShape shape, DeviceBuffer dx, DeviceBuffer dy, DeviceBuffer weight, DeviceBuffer? pre)
    {
        var (r, n, k) = shape;
        return pre == null
            ? new(GemmFloatKernels.BackwardInput(product, r, n, k), dx, dy, weight, r, n, k)
            : new(GemmFloatKernels.BackwardInputDGelu(product, r, n, k), dx, dy, weight, pre, r, n, k);
    }

    public override KernelCall BackwardWeight(
        LayerShape shape, DeviceBuffer dWeight, DeviceBuffer? dBias, DeviceBuffer? partial, DeviceBuffer dy, DeviceBuffer x, int splits, bool accumulate)
    {
        var (r, n, k) = shape;
        var launch = GemmFloatKernels.BackwardWeight(product, r, n, k, splits, dBias != null, accumulate);
        return new(launch, dWeight, dBias, partial, dy, x, r, n, k, splits, accumulate ? 1 : 0);
    }
}

/// <param name="width">The width of the tiles.</param>
internal sealed class GemmWgmma(int width) : GemmImplementation
{
    // Few, so that a block computes several tiles, one after the other.
    private const int Multiprocessors = 3;

    public override int TileDepth => 64;

    public override ulong? TensorFlops(Traffic traffic) => traffic.WgmmaFlops;

    public override KernelCall Forward(LayerShape shape, DeviceBuffer y, DeviceBuffer? pre, DeviceBuffer x, DeviceBuffer weight, DeviceBuffer? bias)
    {
        var (r, n, k) = shape;
        TensorMap result = Square(y, n, r), a = Map(x, k, r, GemmWgmmaKernels.RowBox), b = Map(weight, k, n, GemmWgmmaKernels.ColumnBox(width));
        return pre == null
            ? new(GemmWgmmaKernels.Forward(r, n, k, width, Multiprocessors, bias != null), result, a, b, bias, r, n, k)
            : new(GemmWgmmaKernels.ForwardGelu(r, n, k, width, Multiprocessors, bias != null), result, Square(pre, n, r), a, b, bias, r, n, k);
    }

    public override KernelCall BackwardInput(LayerShape shape, DeviceBuffer dx, DeviceBuffer dy, DeviceBuffer weight, DeviceBuffer? pre)
    {
        var (r, n, k) = shape;
        TensorMap result = Square(dx, k, r), a = Map(dy, n, r, GemmWgmmaKernels.RowBox), b = Square(weight, k, n);
        return pre == null
            ? new(GemmWgmmaKernels.BackwardInput(r, n, k, width, Multiprocessors), result, a, b, r, n, k)
            : new(GemmWgmmaKernels.BackwardInputDGelu(r, n, k, width, Multiprocessors), result, a, b, Square(pre, k, r), r, n, k);
    }

    public override KernelCall BackwardWeight(
        LayerShape shape, DeviceBuffer dWeight, DeviceBuffer? dBias, DeviceBuffer? partial, DeviceBuffer dy, DeviceBuffer x, int splits, bool accumulate)
    {
        var (r, n, k) = shape;
        var launch = GemmWgmmaKernels.BackwardWeight(r, n, k, new(width, splits), Multiprocessors, dBias != null, accumulate);
        return new(launch, dWeight, dBias, partial, Square(dy, n, r), Square(x, k, r), r, n, k, splits, accumulate ? 1 : 0);
    }

    private static TensorMap Square(DeviceBuffer matrix, int columns, int rows) => Map(matrix, columns, rows, GemmWgmmaKernels.SquareBox);

    private static TensorMap Map(DeviceBuffer matrix, int columns, int rows, TileBox box) => new(matrix, columns, rows, box.Columns, box.Rows);
}
