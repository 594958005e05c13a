namespace Trainer.Compute;

/// <summary>In which formats a backend computes. Gradients of parameters, moments, statistics and losses are fp32 in all of them.</summary>
/// <param name="Name">The name in <c>--precision</c>.</param>
/// <param name="Working">The type of activations, of their gradients, and of the weights that forward and backward passes read.</param>
/// <param name="HasMaster">Whether the optimizer keeps weights of fp32 beside those of <paramref name="Working"/>.</param>
/// <param name="UsesTensorFloat32">Whether matrix products round their fp32 operands to 11 significant bits (TF32).</param>
/// <param name="RoundsStochastically">Whether updated weights are rounded up or down at random, so that the mean is the number itself.</param>
public sealed record Precision(string Name, ElementType Working, bool HasMaster = false, bool UsesTensorFloat32 = false, bool RoundsStochastically = false)
{
    /// <summary>Everything in fp32.</summary>
    public static Precision Float32 { get; } = new("fp32", ElementType.Float32);

    /// <summary>fp32 with matrix products of TF32.</summary>
    public static Precision TensorFloat32 { get; } = new("tf32", ElementType.Float32, UsesTensorFloat32: true);

    /// <summary>bf16 with fp32 master weights (Micikevicius et al. 2018, with bf16 no loss scaling is needed).</summary>
    public static Precision BFloat16Mixed { get; } = new("bf16-mixed", ElementType.BFloat16, HasMaster: true);

    /// <summary>bf16 weights alone, rounded to the nearest after each step.</summary>
    public static Precision BFloat16Pure { get; } = new("bf16-pure", ElementType.BFloat16);

    /// <summary>bf16 weights alone, rounded at random after each step (Gupta et al. 2015).</summary>
    public static Precision BFloat16PureStochastic { get; } = new("bf16-pure-stochastic", ElementType.BFloat16, RoundsStochastically: true);

    /// <summary>All of them.</summary>
    public static IReadOnlyList<Precision> All { get; } = [Float32, TensorFloat32, BFloat16Mixed, BFloat16Pure, BFloat16PureStochastic];

    /// <summary>The name.</summary>
    public override string ToString() => Name;
}
