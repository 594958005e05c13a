using Trainer.Cuda.Kernels;

namespace Trainer.Cuda;

/// <summary>A product of cuBLAS, which chooses its kernel by itself and has no epilogues.</summary>
internal sealed class CublasProduct : LinearProduct
{
    private readonly CudaKernels _kernels;
    private readonly CublasHandles _blas;
    private readonly LinearShape _shape;
    private readonly LinearArithmetic _arithmetic;
    private readonly ColumnProduct _product;
    private readonly BiasGradient? _bias;
    private readonly KernelLaunch _cost;

    /// <param name="kernels">The kernels.</param>
    /// <param name="blas">The library.</param>
    /// <param name="shape">The product, of those that it <see cref="Supports"/>.</param>
    /// <param name="arithmetic">Of what.</param>
    public CublasProduct(CudaKernels kernels, CublasHandles blas, LinearShape shape, LinearArithmetic arithmetic)
    {
        (_kernels, _blas, _shape, _arithmetic, _product) = (kernels, blas, shape, arithmetic, ColumnProduct.Of(shape));
        if (shape is { Form: LinearForm.BackwardWeight, Bias: true })
            _bias = new BiasGradient(kernels, shape, arithmetic.Type);
        _cost = LibraryCost.Of("cublas", shape, arithmetic, withBias: _bias is null);
        Name = NameOf(blas);
    }

    /// <inheritdoc/>
    public override string Name { get; }

    /// <inheritdoc/>
    public override long ScratchBytes => MostScratchBytes(_blas, _shape);

    /// <summary>The scratch memory that such a product needs.</summary>
    public static long MostScratchBytes(CublasHandles blas, in LinearShape shape) =>
        Math.Max(blas.WorkspaceBytes, shape is { Form: LinearForm.BackwardWeight, Bias: true } ? BiasGradient.ScratchBytes(shape) : 0);

    /// <summary>Whether there is such a product: a result that needs nothing added and no GELU.</summary>
    public static bool Supports(in LinearShape shape) =>
        shape.Form is LinearForm.BackwardInput or LinearForm.BackwardWeight || shape is { Form: LinearForm.Forward, Bias: false };

    /// <summary>The name of all its products.</summary>
    public static string NameOf(CublasHandles blas) => FormattableString.Invariant($"cublas {blas.ClassicVersion}");

    /// <inheritdoc/>
    public override void Run(in LinearOperands x, Scratch scratch)
    {
        ulong workspace = scratch.Take(ScratchBytes);
        _kernels.Context.MakeCurrent();
        _blas.UseWorkspace(workspace);
        _kernels.Observer?.Before(_cost);
        Driver.GemmEx(_blas.Classic, _product.TransposeA, _product.TransposeB, _product.M, _product.N, _product.K, 1,
            (ulong)x.Right.Address, _arithmetic.Element, _product.RowsOfA, (ulong)x.Left.Address, _arithmetic.Element, _product.RowsOfB,
            _shape.Accumulate ? 1 : 0, (ulong)x.Result.Address, _arithmetic.ResultOf(_shape.Form), _product.M, _arithmetic.Compute);
        _kernels.Observer?.After(_cost);
        _bias?.Run(x.Bias, x.Left, workspace);
    }
}
