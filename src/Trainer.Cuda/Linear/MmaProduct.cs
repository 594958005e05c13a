using Trainer.Cuda.Kernels;

namespace Trainer.Cuda;

/// <summary>The products of <c>cuda/gemm_mma.cu</c>: bf16 on tensor cores, for compute capability 8.0 and later.</summary>
internal sealed class MmaProduct : LinearProduct
{
    private readonly LinearShape _shape;
    private readonly int _splits;
    private readonly PreparedKernel _product;
    private readonly PreparedKernel? _reduce;

    /// <param name="kernels">The kernels.</param>
    /// <param name="shape">The product.</param>
    /// <param name="splits">The parts that the sum is divided into; 1 for all but the gradient of a weight.</param>
    public MmaProduct(CudaKernels kernels, LinearShape shape, int splits)
    {
        (_shape, _splits) = (shape, splits);
        var (rows, n, k) = (shape.Rows, shape.N, shape.K);
        _product = kernels.Prepare(shape.Form switch
        {
            LinearForm.Forward => GemmMmaKernels.Forward(rows, n, k, shape.Bias),
            LinearForm.ForwardGelu => GemmMmaKernels.ForwardGelu(rows, n, k, shape.Bias),
            LinearForm.BackwardInput => GemmMmaKernels.BackwardInput(rows, n, k),
            LinearForm.BackwardInputGelu => GemmMmaKernels.BackwardInputDGelu(rows, n, k),
            _ => GemmMmaKernels.BackwardWeight(rows, n, k, _splits, shape.Bias, shape.Accumulate),
        });
        if (_splits > 1)
            _reduce = kernels.Prepare(GemmKernels.ReduceSplits(n, k, _splits, shape.Bias, shape.Accumulate));
    }

    /// <inheritdoc/>
    public override string Name => FormattableString.Invariant($"mma splits {_splits}");

    /// <inheritdoc/>
    public override long ScratchBytes => sizeof(float) * GemmKernels.PartialCount(_shape.N, _shape.K, _splits);

    /// <summary>The splits that are expected to be best.</summary>
    public static int ExpectedSplits(in LinearShape shape, int multiprocessors) =>
        shape.Form == LinearForm.BackwardWeight ? GemmMmaKernels.Splits(shape.Rows, shape.N, shape.K, multiprocessors) : 1;

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
}
