using Trainer.Cuda.Kernels;

namespace Trainer.Cuda;

/// <summary>The products of <c>cuda/gemm_f32.cu</c> and <c>cuda/gemm_tf32.cu</c>: fp32 matrices, for compute capability 8.0 and later.</summary>
internal sealed class FloatTileProduct : LinearProduct
{
    private readonly FloatProduct _product;
    private readonly LinearShape _shape;
    private readonly int _splits;
    private readonly PreparedKernel _kernel;
    private readonly PreparedKernel? _reduce;

    /// <param name="kernels">The kernels.</param>
    /// <param name="product">How numbers are multiplied.</param>
    /// <param name="shape">The product.</param>
    /// <param name="splits">The parts that the sum is divided into; 1 for all but the gradient of a weight.</param>
    public FloatTileProduct(CudaKernels kernels, FloatProduct product, LinearShape shape, int splits)
    {
        (_product, _shape, _splits) = (product, shape, splits);
        var (rows, n, k) = (shape.Rows, shape.N, shape.K);
        _kernel = kernels.Prepare(shape.Form switch
        {
            LinearForm.Forward => GemmFloatKernels.Forward(product, rows, n, k, shape.Bias),
            LinearForm.ForwardGelu => GemmFloatKernels.ForwardGelu(product, rows, n, k, shape.Bias),
            LinearForm.BackwardInput => GemmFloatKernels.BackwardInput(product, rows, n, k),
            LinearForm.BackwardInputGelu => GemmFloatKernels.BackwardInputDGelu(product, rows, n, k),
            _ => GemmFloatKernels.BackwardWeight(product, rows, n, k, splits, shape.Bias, shape.Accumulate),
        });
        if (splits > 1)
            _reduce = kernels.Prepare(GemmKernels.ReduceSplits(n, k, splits, shape.Bias, shape.Accumulate));
    }

    /// <inheritdoc/>
    public override string Name => FormattableString.Invariant($"{(_product == FloatProduct.Tf32 ? "tf32" : "f32")} splits {_splits}");

    /// <inheritdoc/>
    public override long ScratchBytes => sizeof(float) * GemmKernels.PartialCount(_shape.N, _shape.K, _splits);

    /// <summary>The splits that are expected to be best.</summary>
    public static int ExpectedSplits(FloatProduct product, in LinearShape shape, int multiprocessors) =>
        shape.Form == LinearForm.BackwardWeight ? GemmFloatKernels.Splits(product, shape.Rows, shape.N, shape.K, multiprocessors) : 1;

    /// <inheritdoc/>
    public override void Run(in LinearOperands x, Scratch scratch)
    {
        var (rows, n, k) = (_shape.Rows, _shape.N, _shape.K);
        switch (_shape.Form)
        {
            case LinearForm.Forward:
                _kernel.Launch(x.Result, x.Left, x.Right, x.Bias, rows, n, k);
                break;
            case LinearForm.ForwardGelu:
                _kernel.Launch(x.Result, x.PreActivation, x.Left, x.Right, x.Bias, rows, n, k);
                break;
            case LinearForm.BackwardInput:
                _kernel.Launch(x.Result, x.Left, x.Right, rows, n, k);
                break;
            case LinearForm.BackwardInputGelu:
                _kernel.Launch(x.Result, x.Left, x.Right, x.PreActivation, rows, n, k);
                break;
            default:
                int accumulate = _shape.Accumulate ? 1 : 0;
                ulong partial = _splits > 1 ? scratch.Take(ScratchBytes) : 0;
                _kernel.Launch(x.Result, x.Bias, partial, x.Left, x.Right, rows, n, k, _splits, accumulate);
                _reduce?.Launch(x.Result, x.Bias, partial, n, k, _splits, accumulate);
                break;
        }
    }
}
