using Trainer.Model;

namespace Trainer.Optimization;

/// <summary>
/// Weight norm control, AdamWN (Loshchilov, "Weight Norm Control", 2023, line 13.c): each step moves the norm of each unit of weights
/// towards a target, <c>new norm = (1 - k_t) norm + k_t r_t ‖θ₀‖</c>, by the one factor <c>s = 1 - k_t (1 - r_t ‖θ₀‖ / norm)</c>.
/// </summary>
/// <remarks>
/// Below the target weights grow, above it they shrink; r = 0 is weight decay and k = 1 a sphere. A unit whose norm is zero has nothing
/// to scale and is left alone.
/// </remarks>
/// <param name="layout">Where each tensor is.</param>
/// <param name="groups">The regularised set; a group's own strength is its target.</param>
/// <param name="options">Target, rate, schedules, scope and order.</param>
public sealed class NormControl(ParameterLayout layout, ParameterGroups groups, RegularizerOptions options) : NormRule(layout, groups, options)
{
    /// <summary>r_t ‖θ₀‖, the norm that a unit is steered to in a step.</summary>
    public double TargetNorm(WeightUnit unit, long step)
    {
        ArgumentNullException.ThrowIfNull(unit);
        return TargetRatio(unit, step) * unit.InitialNorm;
    }

    /// <summary>(‖θ‖ - τ) / τ over all units, where τ² adds up their squared target norms.</summary>
    /// <param name="sumsOfSquares">Σ w² of every segment after the step.</param>
    /// <param name="step">t.</param>
    public double Gap(ReadOnlySpan<double> sumsOfSquares, long step)
    {
        double squares = 0;
        foreach (WeightUnit unit in Units)
            squares += Math.Pow(TargetNorm(unit, step), 2);
        double target = Math.Sqrt(squares);
        return (Norm(sumsOfSquares) - target) / target;
    }

    /// <inheritdoc/>
    protected override double Factor(WeightUnit unit, in RegularizerStep step, double norm)
    {
        if (norm == 0)
            return 1;
        double rate = Options.NormRate * Options.NormRateSchedule.Multiplier(step.Step - 1);
        return 1 - (rate * (1 - (TargetRatio(unit, step.Step) * unit.InitialNorm / Math.Max(norm, TinyNorm))));
    }

    private double TargetRatio(WeightUnit unit, long step) => 1 + ((Ratio(unit) - 1) * Options.NormTargetSchedule.Multiplier(step - 1));
}
