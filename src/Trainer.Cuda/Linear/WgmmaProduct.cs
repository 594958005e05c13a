using Trainer.Compute;
using Trainer.Cuda.Kernels;

namespace Trainer.Cuda;

/// <summary>The products of <c>cuda/gemm_wgmma.cu</c>: bf16 by TMA and the tensor cores of warpgroups, for compute capability 9.0.</summary>
internal sealed unsafe class WgmmaProduct : LinearProduct
{
    private readonly LinearShape _shape;
    private readonly GemmPlan _plan;
    private readonly TensorMaps _maps;
    private readonly PreparedKernel _product;
    private readonly PreparedKernel? _reduce;

    /// <param name="kernels">The kernels.</param>
    /// <param name="maps">The tensor maps.</param>
    /// <param name="shape">The product.</param>
    /// <param name="plan">How it is cut; one split for all but the gradient of a weight.</param>
    public WgmmaProduct(CudaKernels kernels, TensorMaps maps, LinearShape shape, GemmPlan plan)
    {
        (_shape, _maps, _plan) = (shape, maps, plan);
        var (rows, n, k, units) = (shape.Rows, shape.N, shape.K, kernels.Context.Multiprocessors);
        _product = kernels.Prepare(shape.Form switch
        {
            LinearForm.Forward => GemmWgmmaKernels.Forward(rows, n, k, plan.Width, units, shape.Bias),
            LinearForm.ForwardGelu => GemmWgmmaKernels.ForwardGelu(rows, n, k, plan.Width, units, shape.Bias),
            LinearForm.BackwardInput => GemmWgmmaKernels.BackwardInput(rows, n, k, plan.Width, units),
            LinearForm.BackwardInputGelu => GemmWgmmaKernels.BackwardInputDGelu(rows, n, k, plan.Width, units),
            _ => GemmWgmmaKernels.BackwardWeight(rows, n, k, plan, units, shape.Bias, shape.Accumulate),
        });
        if (plan.Splits > 1)
            _reduce = kernels.Prepare(GemmKernels.ReduceSplits(n, k, plan.Splits, shape.Bias, shape.Accumulate));
    }

    /// <inheritdoc/>
    public override string Name => FormattableString.Invariant($"wgmma {_plan.Width} splits {_plan.Splits}");

    /// <inheritdoc/>
    public override long ScratchBytes => sizeof(float) * GemmKernels.PartialCount(_shape.N, _shape.K, _plan.Splits);

    /// <summary>How a product is expected to be cut best.</summary>
    public static GemmPlan ExpectedPlan(LinearShape shape, int multiprocessors) => shape.Form switch
    {
        LinearForm.BackwardWeight => GemmWgmmaKernels.WeightPlan(shape.Rows, shape.N, shape.K, multiprocessors),
        LinearForm.Forward or LinearForm.ForwardGelu => new(GemmWgmmaKernels.Width(shape.Rows, shape.N, shape.K, multiprocessors), 1),
        _ => new(GemmWgmmaKernels.Width(shape.Rows, shape.K, shape.N, multiprocessors), 1),
    };

    /// <summary>The most splits that there may be.</summary>
    public static int MostSplits(in LinearShape shape) =>
        shape.Form == LinearForm.BackwardWeight ? Math.Min(GemmKernels.MaxSplits, GemmWgmmaKernels.DepthTiles(shape.Rows)) : 1;

    /// <summary>How it is expected to be cut best with each width of tiles.</summary>
    public static IEnumerable<GemmPlan> Plans(LinearShape shape, int multiprocessors) => GemmWgmmaKernels.Widths.ToArray().Select(width => new GemmPlan(width,
        shape.Form == LinearForm.BackwardWeight ? GemmWgmmaKernels.Splits(shape.Rows, shape.N, shape.K, width, multiprocessors) : 1));

    /// <inheritdoc/>
    public override void Run(in LinearOperands x, Scratch scratch)
    {
        var (rows, n, k) = (_shape.Rows, _shape.N, _shape.K);
        switch (_shape.Form)
        {
            case LinearForm.Forward:
                _product.Launch(Square(x.Result, n), Map(x.Left, k, rows, GemmWgmmaKernels.RowBox),
                    Map(x.Right, k, n, GemmWgmmaKernels.ColumnBox(_plan.Width)), x.Bias, rows, n, k);
                break;
            case LinearForm.ForwardGelu:
                _product.Launch(Square(x.Result, n), Square(x.PreActivation, n), Map(x.Left, k, rows, GemmWgmmaKernels.RowBox),
                    Map(x.Right, k, n, GemmWgmmaKernels.ColumnBox(_plan.Width)), x.Bias, rows, n, k);
                break;
            case LinearForm.BackwardInput:
                _product.Launch(Square(x.Result, k), Map(x.Left, n, rows, GemmWgmmaKernels.RowBox), Map(x.Right, k, n, GemmWgmmaKernels.SquareBox), rows, n, k);
                break;
            case LinearForm.BackwardInputGelu:
                _product.Launch(Square(x.Result, k), Map(x.Left, n, rows, GemmWgmmaKernels.RowBox), Map(x.Right, k, n, GemmWgmmaKernels.SquareBox),
                    Square(x.PreActivation, k), rows, n, k);
                break;
            default:
                int accumulate = _shape.Accumulate ? 1 : 0;
                ulong partial = _plan.Splits > 1 ? scratch.Take(ScratchBytes) : 0;
                _product.Launch(x.Result, x.Bias, partial, Square(x.Left, n), Square(x.Right, k), rows, n, k, _plan.Splits, accumulate);
                _reduce?.Launch(x.Result, x.Bias, partial, n, k, _plan.Splits, accumulate);
                break;
        }
    }

    private TensorMap* Square(Tensor matrix, int columns) => Map(matrix, columns, _shape.Rows, GemmWgmmaKernels.SquareBox);

    private TensorMap* Map(Tensor matrix, int columns, int rows, TileBox box) => _maps.Matrix((ulong)matrix.Address, columns, rows, box);
}
