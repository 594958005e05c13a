using Trainer.Compute;

namespace Trainer.Cuda;

/// <summary>Which of a linear layer's products.</summary>
internal enum LinearForm
{
    /// <summary><c>y = x wᵀ + bias</c>.</summary>
    Forward,

    /// <summary><c>pre = x wᵀ + bias; y = GELU(pre)</c>.</summary>
    ForwardGelu,

    /// <summary><c>dx = dy w</c>.</summary>
    BackwardInput,

    /// <summary><c>dx = (dy w) ∘ GELU'(pre)</c>.</summary>
    BackwardInputGelu,

    /// <summary><c>dw = dyᵀ x; dbias = column sums of dy</c>, or <c>+=</c>.</summary>
    BackwardWeight,
}

/// <summary>A product of a linear layer with R rows, from K to N channels.</summary>
/// <param name="Form">Which.</param>
/// <param name="Rows">R.</param>
/// <param name="N">Output channels, a multiple of 8.</param>
/// <param name="K">Input channels, a multiple of 8.</param>
/// <param name="Bias">Whether there is a bias, or the gradient of one.</param>
/// <param name="Accumulate">Of <see cref="LinearForm.BackwardWeight"/>: whether the gradients are added to.</param>
internal readonly record struct LinearShape(LinearForm Form, int Rows, int N, int K, bool Bias, bool Accumulate)
{
    /// <summary>The operations of the product: two for each multiply-add.</summary>
    public double Flops => 2.0 * Rows * N * K;

    /// <summary>The form in words: <c>forward-gelu</c>.</summary>
    public string FormName => Form switch
    {
        LinearForm.Forward => "forward",
        LinearForm.ForwardGelu => "forward-gelu",
        LinearForm.BackwardInput => "backward-input",
        LinearForm.BackwardInputGelu => "backward-input-gelu",
        _ => "backward-weight",
    };

    /// <summary>What a run records the choice for this product under: <c>forward-gelu 4096x3072x768 bias</c>.</summary>
    public override string ToString() =>
        FormattableString.Invariant($"{FormName} {Rows}x{N}x{K}{(Bias ? " bias" : string.Empty)}{(Accumulate ? " accumulate" : string.Empty)}");
}

/// <summary>The operands of a product.</summary>
/// <param name="Result">y (R, N); dx (R, K); or dw (N, K) in fp32.</param>
/// <param name="Left">x (R, K) of a forward product; dy (R, N) of the others.</param>
/// <param name="Right">w (N, K); or x (R, K) for the gradient of w.</param>
/// <param name="Bias">(N), or its gradient in fp32; or none.</param>
/// <param name="PreActivation">(R, N) of a forward product, (R, K) of a backward one; or none.</param>
internal readonly record struct LinearOperands(Tensor Result, Tensor Left, Tensor Right, Tensor Bias, Tensor PreActivation);

/// <summary>One implementation of a product at one shape, ready to run.</summary>
internal abstract class LinearProduct : IDisposable
{
    /// <summary>What tells it from the other implementations of the same product, and makes it again: <c>wgmma 256 splits 3</c>.</summary>
    public abstract string Name { get; }

    /// <summary>The scratch memory that it needs.</summary>
    public abstract long ScratchBytes { get; }

    /// <summary>Puts the product into the stream. Allocates nothing.</summary>
    public abstract void Run(in LinearOperands operands, Scratch scratch);

    /// <inheritdoc/>
    public virtual void Dispose()
    {
    }
}
