using Trainer.Compute;
using Trainer.Cuda.Kernels;

namespace Trainer.Cuda;

/// <summary>The type and the extents of an operand.</summary>
internal readonly record struct LinearPiece(ElementType Type, Shape Shape)
{
    /// <summary>Its size; 0 for an operand that the product does not have.</summary>
    public long Bytes => Shape.Count * Tensor.SizeOf(Type);
}

/// <summary>The operands of a product: what it reads, and what it writes or adds to.</summary>
internal sealed class LinearSizes
{
    public LinearSizes(in LinearShape shape, LinearArithmetic arithmetic)
    {
        ElementType working = arithmetic.Type == KernelType.Bf16 ? ElementType.BFloat16 : ElementType.Float32;
        var (rows, n, k) = (shape.Rows, shape.N, shape.K);
        LinearPiece x = new(working, new(rows, k)), y = new(working, new(rows, n)), w = new(working, new(n, k)), bias = new(working, new(n));
        switch (shape.Form)
        {
            case LinearForm.Forward:
                (Left, Right, Bias, Outputs) = (x, w, shape.Bias ? bias : default, [y]);
                break;
            case LinearForm.ForwardGelu:
                (Left, Right, Bias, Outputs) = (x, w, shape.Bias ? bias : default, [y, y]);
                break;
            case LinearForm.BackwardInput:
                (Left, Right, Outputs) = (y, w, [x]);
                break;
            case LinearForm.BackwardInputGelu:
                (Left, Right, PreActivation, Outputs) = (y, w, x, [x]);
                break;
            default:
                LinearPiece dWeight = new(ElementType.Float32, w.Shape), dBias = new(ElementType.Float32, bias.Shape);
                (Left, Right, Outputs) = (y, x, shape.Bias ? [dWeight, dBias] : [dWeight]);
                break;
        }
    }

    /// <summary><see cref="LinearOperands.Left"/>.</summary>
    public LinearPiece Left { get; }

    /// <summary><see cref="LinearOperands.Right"/>.</summary>
    public LinearPiece Right { get; }

    /// <summary><see cref="LinearOperands.Bias"/> of a forward product.</summary>
    public LinearPiece Bias { get; }

    /// <summary><see cref="LinearOperands.PreActivation"/> of a backward product.</summary>
    public LinearPiece PreActivation { get; }

    /// <summary>The result, and behind it the pre-activation of a forward product or the gradient of the bias.</summary>
    public LinearPiece[] Outputs { get; }

    /// <summary>The bytes of all of them, the outputs twice.</summary>
    public long Bytes => Left.Bytes + Right.Bytes + Bias.Bytes + PreActivation.Bytes + (2 * Outputs.Sum(output => output.Bytes));
}
