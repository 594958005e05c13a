using Trainer.Optimization;

namespace Trainer.Diagnostics;

/// <summary>Sums of squares of some parameters over a step, from which all norms, ratios and angles follow. Those of disjoint sets add up.</summary>
/// <param name="Count">C, the number of parameters.</param>
/// <param name="Initial">Σ θ₀².</param>
/// <param name="Before">Σ θ², as the step began.</param>
/// <param name="After">Σ θ², after the step.</param>
/// <param name="Gradient">Σ g², before clipping.</param>
/// <param name="Change">Σ (Δθ)², whatever moved the parameters.</param>
/// <param name="Decay">Σ ((s - 1) θ)², the regulariser's part of Δθ; s is its factor.</param>
/// <param name="Descent">Σ (Δθ - (s - 1) θ)², the part of Δθ that is left: the gradient step, which under L2 includes the penalty's gradient.</param>
public readonly record struct NormSums(
    long Count, double Initial, double Before, double After, double Gradient, double Change, double Decay, double Descent)
{
    /// <summary>‖θ‖ after the step.</summary>
    public double Norm => Math.Sqrt(After);

    /// <summary>‖θ‖ / √C.</summary>
    public double RootMeanSquare => Math.Sqrt(After / Count);

    /// <summary>‖θ‖ / ‖θ₀‖; not a number when the parameters began as zeros.</summary>
    public double Ratio => Initial > 0 ? Math.Sqrt(After / Initial) : double.NaN;

    /// <summary>‖g‖ before clipping.</summary>
    public double GradientNorm => Math.Sqrt(Gradient);

    /// <summary>‖Δθ‖ / ‖θ‖, over the norm as the step began; not a number when that was 0.</summary>
    public double UpdateRatio => OverNorm(Change);

    /// <summary>The regulariser's part of <see cref="UpdateRatio"/>: |s - 1| where all parameters have one factor.</summary>
    public double DecayRatio => OverNorm(Decay);

    /// <summary>The gradient step's part of <see cref="UpdateRatio"/>: lr ‖u‖ / ‖θ‖ where no factor follows it.</summary>
    public double DescentRatio => OverNorm(Descent);

    /// <summary>The angle between θ before and after the step, in radians.</summary>
    public double Angle => StepGeometry.Angle(Math.Sqrt(Before), Math.Sqrt(After), Change);

    /// <summary>The sums of both sets.</summary>
    public static NormSums operator +(in NormSums a, in NormSums b) => Add(a, b);

    /// <summary>The sums of both sets.</summary>
    public static NormSums Add(in NormSums a, in NormSums b) => new(
        a.Count + b.Count, a.Initial + b.Initial, a.Before + b.Before, a.After + b.After, a.Gradient + b.Gradient, a.Change + b.Change,
        a.Decay + b.Decay, a.Descent + b.Descent);

    /// <summary>Those of parameters that one factor was applied to.</summary>
    /// <param name="count">C.</param>
    /// <param name="initial">Σ θ₀².</param>
    /// <param name="before">B = Σ θ², as the step began.</param>
    /// <param name="after">A = Σ θ², after the step.</param>
    /// <param name="gradient">Σ g².</param>
    /// <param name="change">D = Σ (Δθ)².</param>
    /// <param name="factor">s.</param>
    /// <remarks>
    /// With d = (s - 1) θ the other part is ‖Δθ - d‖² = D - 2 (s - 1) ⟨Δθ, θ⟩ + (s - 1)² B, and 2 ⟨Δθ, θ⟩ = A - B - D: no pass over the parameters is needed.
    /// </remarks>
    public static NormSums Of(long count, double initial, double before, double after, double gradient, double change, double factor)
    {
        double s = factor - 1, decay = s * s * before;
        return new NormSums(count, initial, before, after, gradient, change, decay, Math.Max(0, change - (s * (after - before - change)) + decay));
    }

    private double OverNorm(double squares) => Before > 0 ? Math.Sqrt(squares / Before) : double.NaN;
}
