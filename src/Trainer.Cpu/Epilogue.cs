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
internal readonly unsafe struct EpilogueOperands(float* bias, float* preActivation)
{
    /// <summary>One value for each column of C, or null.</summary>
    public readonly float* Bias = bias;

    /// <summary>A matrix with the extents and stride of C, or null.</summary>
    public readonly float* PreActivation = preActivation;
}

/// <summary>The epilogues of a linear layer.</summary>
internal static unsafe class LinearEpilogues
{
    /// <summary>C += bias.</summary>
    public static void Bias<TVector>(in EpilogueOperands operands, float* c, nint ldc, int row, int rows, int column, int columns)
        where TVector : struct, IVector<TVector>
    {
        float* bias = operands.Bias + column;
        for (int i = row; i < row + rows; i++)
        {
            float* values = c + (i * ldc) + column;
            int j = 0;
            for (; j <= columns - TVector.Width; j += TVector.Width)
                TVector.Store(TVector.Load(values + j) + TVector.Load(bias + j), values + j);
            for (; j < columns; j++)
                values[j] += bias[j];
        }
    }

    /// <summary>preActivation = C + bias; C = GELU(preActivation).</summary>
    public static void BiasGelu<TVector>(in EpilogueOperands operands, float* c, nint ldc, int row, int rows, int column, int columns)
        where TVector : struct, IVector<TVector>
    {
        for (int i = row; i < row + rows; i++)
        {
            nint at = (i * ldc) + column;
            float* bias = operands.Bias == null ? null : operands.Bias + column;
            int j = 0;
            for (; j <= columns - TVector.Width; j += TVector.Width)
                BiasGeluAt<TVector>(c + at + j, bias == null ? null : bias + j, operands.PreActivation + at + j);
            for (; j < columns; j++)
                BiasGeluAt<Float1>(c + at + j, bias == null ? null : bias + j, operands.PreActivation + at + j);
        }
    }

    /// <summary>C = C ∘ GELU'(preActivation).</summary>
    public static void GeluDerivative<TVector>(in EpilogueOperands operands, float* c, nint ldc, int row, int rows, int column, int columns)
        where TVector : struct, IVector<TVector>
    {
        for (int i = row; i < row + rows; i++)
        {
            nint at = (i * ldc) + column;
            int j = 0;
            for (; j <= columns - TVector.Width; j += TVector.Width)
                GeluDerivativeAt<TVector>(c + at + j, operands.PreActivation + at + j);
            for (; j < columns; j++)
                GeluDerivativeAt<Float1>(c + at + j, operands.PreActivation + at + j);
        }
    }

    private static void BiasGeluAt<TVector>(float* c, float* bias, float* preActivation)
        where TVector : struct, IVector<TVector>
    {
        var x = TVector.Load(c);
        if (bias != null)
            x += TVector.Load(bias);
        TVector.Store(x, preActivation);
        TVector.Store(VectorMath.Gelu(x), c);
    }

    private static void GeluDerivativeAt<TVector>(float* c, float* preActivation)
        where TVector : struct, IVector<TVector> =>
        TVector.Store(TVector.Load(c) * VectorMath.GeluDerivative(TVector.Load(preActivation)), c);
}
