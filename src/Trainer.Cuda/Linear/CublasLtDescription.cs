namespace Trainer.Cuda;

/// <summary>A product described to cuBLASLt: the operation with its epilogue, and how its matrices lie.</summary>
internal sealed class CublasLtDescription : IDisposable
{
    // Operands begin at multiples of 16 bytes; algorithms are found for that. So are those for bias and auxiliary matrix, by the addresses that
    // the description holds meanwhile.
    private const uint OperandAlignment = 16;

    // In the result itself the parts of a sum that is split are added in the order in which they come.
    private const ReductionSchemes Deterministic = ReductionSchemes.ComputeType | ReductionSchemes.OutputType;

    private readonly nint _handle;
    private nint _matmul;
    private nint _a;
    private nint _b;
    private nint _d;

    /// <param name="handle">The handle of the library.</param>
    /// <param name="shape">The product.</param>
    /// <param name="arithmetic">Of what.</param>
    /// <param name="biasGradient">
    /// Of <see cref="LinearForm.BackwardWeight"/>: whether the epilogue computes the gradient of the bias, in fp32 like the result.
    /// </param>
    public CublasLtDescription(nint handle, in LinearShape shape, LinearArithmetic arithmetic, bool biasGradient)
    {
        _handle = handle;
        ColumnProduct product = ColumnProduct.Of(shape);
        CudaDataType result = arithmetic.ResultOf(shape.Form);
        try
        {
            _matmul = CublasLt.CreateMatmul(arithmetic.Compute);
            CublasLt.SetTransposes(_matmul, product.TransposeA, product.TransposeB);
            MatmulEpilogue epilogue = EpilogueOf(shape, biasGradient);
            CublasLt.SetEpilogue(_matmul, epilogue);
            HasBias = epilogue is MatmulEpilogue.Bias or MatmulEpilogue.GeluAuxiliaryBias or MatmulEpilogue.BiasGradientB;
            HasAuxiliary = epilogue is MatmulEpilogue.GeluAuxiliary or MatmulEpilogue.GeluAuxiliaryBias or MatmulEpilogue.GeluGradient;
            if (HasBias)
            {
                CublasLt.SetBiasType(_matmul, result);
                CublasLt.SetBias(_matmul, OperandAlignment);
            }

            if (HasAuxiliary)
            {
                CublasLt.SetAuxiliaryPitch(_matmul, product.M);
                CublasLt.SetAuxiliary(_matmul, OperandAlignment);
            }

            _a = CublasLt.CreateLayout(arithmetic.Element, product.RowsOfA, product.ColumnsOfA, product.RowsOfA);
            _b = CublasLt.CreateLayout(arithmetic.Element, product.RowsOfB, product.ColumnsOfB, product.RowsOfB);
            _d = CublasLt.CreateLayout(result, product.M, product.N, product.M);
        }
        catch
        {
            Dispose();
            throw;
        }
    }

    /// <summary>Whether the epilogue adds a bias or computes the gradient of one.</summary>
    public bool HasBias { get; }

    /// <summary>Whether the epilogue writes or reads what a GELU is applied to.</summary>
    public bool HasAuxiliary { get; }

    /// <summary>The algorithms of the library for this product, the one that is expected to be the fastest first; none if it is not supported.</summary>
    /// <param name="count">How many at most.</param>
    /// <param name="workspaceBytes">The workspace that they may use.</param>
    public IReadOnlyList<MatmulHeuristic> Find(int count, long workspaceBytes)
    {
        nint preference = CublasLt.CreatePreference((nuint)workspaceBytes, Deterministic, OperandAlignment);
        try
        {
            var results = new MatmulHeuristic[count];
            int found = CublasLt.FindAlgorithms(_handle, _matmul, _a, _b, _d, _d, preference, results);

            // The preference excludes the others; the check is for a library that does not keep to it.
            return [.. results.Take(found).Where(result => result.State == 0 && IsUsable(result, workspaceBytes))];
        }
        catch (CublasException exception) when (exception.Code == CublasException.InvalidValue)
        {
            // The other answer to what is not supported, an epilogue for example.
            return [];
        }
        finally
        {
            CublasLt.DestroyPreference(preference);
        }
    }

    /// <summary>An algorithm that was kept from another run, with what it needs; null if it cannot compute this product here.</summary>
    public MatmulHeuristic? Check(in MatmulAlgorithm algorithm, long workspaceBytes) =>
        CublasLt.CheckAlgorithm(_handle, _matmul, _a, _b, _d, _d, algorithm, out MatmulHeuristic result)
        && IsUsable(result with { Algorithm = algorithm }, workspaceBytes)
            ? result with { Algorithm = algorithm }
            : null;

    /// <summary>Puts the product into a stream: D = epilogue(op(A) op(B) + beta D).</summary>
    public void Run(
        in MatmulAlgorithm algorithm, ulong a, ulong b, float beta, ulong d, ulong bias, ulong auxiliary, ulong workspace, long workspaceBytes, nint stream)
    {
        // By value at the time of the call, like everything else in the description.
        if (HasBias)
            CublasLt.SetBias(_matmul, bias);
        if (HasAuxiliary)
            CublasLt.SetAuxiliary(_matmul, auxiliary);
        CublasLt.Matmul(_handle, _matmul, 1, a, _a, b, _b, beta, d, _d, d, _d, algorithm, workspace, (nuint)workspaceBytes, stream);
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        foreach (nint layout in (ReadOnlySpan<nint>)[_a, _b, _d])
        {
            if (layout != 0)
                CublasLt.DestroyLayout(layout);
        }

        if (_matmul != 0)
            CublasLt.DestroyMatmul(_matmul);
        (_matmul, _a, _b, _d) = (0, 0, 0, 0);
    }

    private static MatmulEpilogue EpilogueOf(in LinearShape shape, bool biasGradient) => shape.Form switch
    {
        LinearForm.Forward => shape.Bias ? MatmulEpilogue.Bias : MatmulEpilogue.None,
        LinearForm.ForwardGelu => shape.Bias ? MatmulEpilogue.GeluAuxiliaryBias : MatmulEpilogue.GeluAuxiliary,
        LinearForm.BackwardInput => MatmulEpilogue.None,
        LinearForm.BackwardInputGelu => MatmulEpilogue.GeluGradient,

        // B is dy: its sums over the rows.
        _ => biasGradient ? MatmulEpilogue.BiasGradientB : MatmulEpilogue.None,
    };

    private static bool IsUsable(in MatmulHeuristic found, long workspaceBytes)
    {
        bool inPlace = CublasLt.Setting(found.Algorithm, AlgorithmSetting.SplitK) > 1
            && ((ReductionSchemes)CublasLt.Setting(found.Algorithm, AlgorithmSetting.ReductionScheme) & ReductionSchemes.InPlace) != 0;
        return (long)found.WorkspaceBytes <= workspaceBytes && !inPlace;
    }
}
