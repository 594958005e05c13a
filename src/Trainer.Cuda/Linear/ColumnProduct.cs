namespace Trainer.Cuda;

/// <summary>
/// A product as cuBLAS computes it, D = op(A) op(B) with matrices stored column by column: D is m x n, the sum has k terms. A row-major matrix is
/// its transpose stored by columns, so all forms are computed as their transposes: yᵀ = w xᵀ, dxᵀ = wᵀ dyᵀ, dwᵀ = xᵀ dy.
/// A is always the <see cref="LinearOperands.Right"/> operand, B the <see cref="LinearOperands.Left"/> one, and D the result.
/// </summary>
/// <param name="M">Rows of D: what is contiguous in the result.</param>
/// <param name="N">Columns of D.</param>
/// <param name="K">Terms of a sum.</param>
/// <param name="TransposeA">Whether A is stored as its transpose, K x M.</param>
/// <param name="TransposeB">Whether B is stored as its transpose, N x K.</param>
internal readonly record struct ColumnProduct(int M, int N, int K, bool TransposeA, bool TransposeB)
{
    /// <summary>Rows of A as it is stored, which is what lies between its columns.</summary>
    public int RowsOfA => TransposeA ? K : M;

    /// <summary>Columns of A as it is stored.</summary>
    public int ColumnsOfA => TransposeA ? M : K;

    /// <summary>Rows of B as it is stored.</summary>
    public int RowsOfB => TransposeB ? N : K;

    /// <summary>Columns of B as it is stored.</summary>
    public int ColumnsOfB => TransposeB ? K : N;

    /// <summary>The product that computes one of a linear layer's.</summary>
    public static ColumnProduct Of(in LinearShape shape) => shape.Form switch
    {
        LinearForm.Forward or LinearForm.ForwardGelu => new(shape.N, shape.Rows, shape.K, TransposeA: true, TransposeB: false),
        LinearForm.BackwardInput or LinearForm.BackwardInputGelu => new(shape.K, shape.Rows, shape.N, TransposeA: false, TransposeB: false),
        _ => new(shape.K, shape.N, shape.Rows, TransposeA: false, TransposeB: true),
    };
}
