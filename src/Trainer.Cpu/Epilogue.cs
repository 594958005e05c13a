namespace Trainer.Cpu;

/// <summary>What a matrix product does with a finished tile of C while it is in the cache. The default does nothing.</summary>
internal readonly unsafe struct Epilogue(
    delegate*<in EpilogueOperands, float*, nint, int, int, int, int, void> apply, EpilogueOperands operands)
{
    private readonly EpilogueOperands _operands = operands;

    public bool IsNone => apply == null;

    /// <summary>Applies it to rows [row, row + rows) and columns [column, column + columns) of C.</summary>
    public void Apply(float* c, nint ldc, int row, int rows, int column, int columns) =>
        apply(in _operands, c, ldc, row, rows, column, columns);
}

/// <summary>What an epilogue reads and writes besides C.</summary>
internal readonly unsafe struct EpilogueOperands(float* bias, float* preActivation, MantissaRounding mantissa)
{
    /// <summary>What results are rounded to.</summary>
    public readonly MantissaRounding Mantissa = mantissa;

    /// <summary>One value for each column of C, or null.</summary>
    public readonly float* Bias = bias;

    /// <summary>A matrix with the extents and stride of C, or null.</summary>
    public readonly float* PreActivation = preActivation;
}

/// <summary>What becomes of a result, known when the epilogue is compiled.</summary>
internal interface IResult
{
    static abstract bool IsExact { get; }

    static abstract T Of<T>(in EpilogueOperands operands, T sum)
        where T : struct, IVector<T>;
}

/// <summary>A result is its sum.</summary>
internal readonly struct ExactResult : IResult
{
    public static bool IsExact => true;

    public static T Of<T>(in EpilogueOperands operands, T sum)
        where T : struct, IVector<T> => sum;
}

/// <summary>A result is its sum, rounded.</summary>
internal readonly struct RoundedResult : IResult
{
    public static bool IsExact => false;

    public static T Of<T>(in EpilogueOperands operands, T sum)
        where T : struct, IVector<T> => operands.Mantissa.Apply(sum);
}

/// <summary>The epilogues of a linear layer.</summary>
internal static unsafe class LinearEpilogues
{
    /// <summary>C = result(C).</summary>
    public static void Round(in EpilogueOperands operands, float* c, nint ldc, int row, int rows, int column, int columns) =>
        operands.Mantissa.Apply(c + (row * ldc) + column, ldc, rows, columns);

    /// <summary>C = result(C + bias).</summary>
    public static void Bias<TVector, TResult>(in EpilogueOperands operands, float* c, nint ldc, int row, int rows, int column, int columns)
        where TVector : struct, IVector<TVector>
        where TResult : struct, IResult
    {
        float* bias = operands.Bias + column;
        for (int i = row; i < row + rows; i++)
        {
            float* values = c + (i * ldc) + column;
            int j = 0;
            for (; j <= columns - TVector.Width; j += TVector.Width)
                TVector.Store(TResult.Of(operands, TVector.Load(values + j) + TVector.Load(bias + j)), values + j);
            for (; j < columns; j++)
                Float1.Store(TResult.Of(operands, Float1.Load(values + j) + Float1.Load(bias + j)), values + j);
        }
    }

    /// <summary>preActivation = result(C + bias); C = GELU(preActivation).</summary>
    public static void BiasGelu<TVector, TResult>(in EpilogueOperands operands, float* c, nint ldc, int row, int rows, int column, int columns)
        where TVector : struct, IVector<TVector>
        where TResult : struct, IResult
    {
        for (int i = row; i < row + rows; i++)
        {
            nint at = (i * ldc) + column;
            float* bias = operands.Bias == null ? null : operands.Bias + column;
            int j = 0;
            for (; j <= columns - TVector.Width; j += TVector.Width)
                BiasGeluAt<TVector, TResult>(operands, c + at + j, bias == null ? null : bias + j, operands.PreActivation + at + j);
            for (; j < columns; j++)
                BiasGeluAt<Float1, TResult>(operands, c + at + j, bias == null ? null : bias + j, operands.PreActivation + at + j);
        }
    }

    /// <summary>C = result(C) ∘ GELU'(preActivation).</summary>
    public static void GeluDerivative<TVector, TResult>(in EpilogueOperands operands, float* c, nint ldc, int row, int rows, int column, int columns)
        where TVector : struct, IVector<TVector>
        where TResult : struct, IResult
    {
        for (int i = row; i < row + rows; i++)
        {
            nint at = (i * ldc) + column;
            int j = 0;
            for (; j <= columns - TVector.Width; j += TVector.Width)
                GeluDerivativeAt<TVector, TResult>(operands, c + at + j, operands.PreActivation + at + j);
            for (; j < columns; j++)
                GeluDerivativeAt<Float1, TResult>(operands, c + at + j, operands.PreActivation + at + j);
        }
    }

    private static void BiasGeluAt<TVector, TResult>(in EpilogueOperands operands, float* c, float* bias, float* preActivation)
        where TVector : struct, IVector<TVector>
        where TResult : struct, IResult
    {
        var x = TVector.Load(c);
        if (bias != null)
            x += TVector.Load(bias);
        x = TResult.Of(operands, x);
        TVector.Store(x, preActivation);
        TVector.Store(VectorMath.Gelu(x), c);
    }

    private static void GeluDerivativeAt<TVector, TResult>(in EpilogueOperands operands, float* c, float* preActivation)
        where TVector : struct, IVector<TVector>
        where TResult : struct, IResult =>
        TVector.Store(TResult.Of(operands, TVector.Load(c)) * VectorMath.GeluDerivative(TVector.Load(preActivation)), c);
}
