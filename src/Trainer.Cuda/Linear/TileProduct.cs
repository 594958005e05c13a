using Trainer.Cuda.Kernels;

namespace Trainer.Cuda;

/// <summary>The kernels of <see cref="TileProduct"/>, for compute capability 8.0 and later.</summary>
internal enum TileKernels
{
    /// <summary><c>cuda/gemm_mma.cu</c>: bf16 on tensor cores.</summary>
    Mma,

    /// <summary><c>cuda/gemm_f32.cu</c>: fp32 on the ordinary cores.</summary>
    Float32,

    /// <summary><c>cuda/gemm_tf32.cu</c>: fp32 rounded to TF32 on tensor cores.</summary>
    TensorFloat32,
}

/// <summary>A product of our own kernels that take plain addresses: a block for each tile of the result.</summary>
internal sealed class TileProduct : LinearProduct
{
    private readonly TileKernels _family;
    private readonly LinearShape _shape;
    private readonly int _splits;
    private readonly PreparedKernel _product;
    private readonly PreparedKernel? _reduce;

    /// <param name="kernels">The kernels.</param>
    /// <param name="family">Which of them.</param>
    /// <param name="shape">The product.</param>
    /// <param name="splits">The parts that the sum is divided into; 1 for all but the gradient of a weight.</param>
    public TileProduct(CudaKernels kernels, TileKernels family, LinearShape shape, int splits)
    {
        (_family, _shape, _splits) = (family, shape, splits);
        _product = kernels.Prepare(family switch
        {
            TileKernels.Mma => MmaLaunch(shape, splits),
            _ => FloatLaunch(FloatProductOf(family), shape, splits),
        });
        if (splits > 1)
            _reduce = kernels.Prepare(GemmKernels.ReduceSplits(shape.N, shape.K, splits, shape.Bias, shape.Accumulate));
    }

    /// <inheritdoc/>
    public override string Name => FormattableString.Invariant($"{NameOf(_family)} splits {_splits}");

    /// <inheritdoc/>
    public override long ScratchBytes => sizeof(float) * GemmKernels.PartialCount(_shape.N, _shape.K, _splits);

    /// <summary>The first word of the names of their products.</summary>
    public static string NameOf(TileKernels family) => family switch
    {
        TileKernels.Mma => "mma",
        TileKernels.Float32 => "f32",
        _ => "tf32",
    };

    /// <summary>The splits that are expected to be best.</summary>
    public static int ExpectedSplits(TileKernels family, in LinearShape shape, int multiprocessors) => shape.Form != LinearForm.BackwardWeight ? 1
        : family switch
        {
            TileKernels.Mma => GemmMmaKernels.Splits(shape.Rows, shape.N, shape.K, multiprocessors),
            _ => GemmFloatKernels.Splits(FloatProductOf(family), shape.Rows, shape.N, shape.K, multiprocessors),
        };

    /// <summary>The most splits that there may be.</summary>
    public static int MostSplits(TileKernels family, in LinearShape shape) => shape.Form != LinearForm.BackwardWeight ? 1
        : Math.Min(GemmKernels.MaxSplits, family == TileKernels.Mma ? GemmMmaKernels.DepthTiles(shape.Rows) : GemmFloatKernels.DepthTiles(shape.Rows));

    /// <inheritdoc/>
    public override void Run(in LinearOperands x, Scratch scratch)
    {
        var (rows, n, k) = (_shape.Rows, _shape.N, _shape.K);
        switch (_shape.Form)
        {
            case LinearForm.Forward:
                _product.Launch(x.Result, x.Left, x.Right, x.Bias, rows, n, k);
                break;
            case LinearForm.ForwardGelu:
                _product.Launch(x.Result, x.PreActivation, x.Left, x.Right, x.Bias, rows, n, k);
                break;
            case LinearForm.BackwardInput:
                _product.Launch(x.Result, x.Left, x.Right, rows, n, k);
                break;
            case LinearForm.BackwardInputGelu:
                _product.Launch(x.Result, x.Left, x.Right, x.PreActivation, rows, n, k);
                break;
            default:
                int accumulate = _shape.Accumulate ? 1 : 0;
                ulong partial = _splits > 1 ? scratch.Take(ScratchBytes) : 0;
                _product.Launch(x.Result, x.Bias, partial, x.Left, x.Right, rows, n, k, _splits, accumulate);
                _reduce?.Launch(x.Result, x.Bias, partial, n, k, _splits, accumulate);
                break;
        }
    }

    private static FloatProduct FloatProductOf(TileKernels family) => family == TileKernels.Float32 ? FloatProduct.Float32 : FloatProduct.Tf32;

    private static KernelLaunch MmaLaunch(in LinearShape shape, int splits)
    {
        var (rows, n, k) = (shape.Rows, shape.N, shape.K);
        return shape.Form switch
        {
            LinearForm.Forward => GemmMmaKernels.Forward(rows, n, k, shape.Bias),
            LinearForm.ForwardGelu => GemmMmaKernels.ForwardGelu(rows, n, k, shape.Bias),
            LinearForm.BackwardInput => GemmMmaKernels.BackwardInput(rows, n, k),
            LinearForm.BackwardInputGelu => GemmMmaKernels.BackwardInputDGelu(rows, n, k),
            _ => GemmMmaKernels.BackwardWeight(rows, n, k, splits, shape.Bias, shape.Accumulate),
        };
    }

    private static KernelLaunch FloatLaunch(FloatProduct product, in LinearShape shape, int splits)
    {
        var (rows, n, k) = (shape.Rows, shape.N, shape.K);
        return shape.Form switch
        {
            LinearForm.Forward => GemmFloatKernels.Forward(product, rows, n, k, shape.Bias),
            LinearForm.ForwardGelu => GemmFloatKernels.ForwardGelu(product, rows, n, k, shape.Bias),
            LinearForm.BackwardInput => GemmFloatKernels.BackwardInput(product, rows, n, k),
            LinearForm.BackwardInputGelu => GemmFloatKernels.BackwardInputDGelu(product, rows, n, k),
            _ => GemmFloatKernels.BackwardWeight(product, rows, n, k, splits, shape.Bias, shape.Accumulate),
        };
    }
}
