using Trainer.Model;

namespace Trainer.Optimization;

/// <summary>
/// L2 regularisation: the gradient of (λ/2) ‖θ‖² joins that of the loss, before or after clipping (Loshchilov and Hutter 2019, algorithms 1 and 2,
/// line 6). Penalties written without the half, c ‖θ‖², have λ = 2 c.
/// </summary>
/// <param name="layout">Where each tensor is.</param>
/// <param name="groups">The regularised set; a group's own strength is its λ.</param>
/// <param name="options">λ, its schedule and the place.</param>
public sealed class L2Penalty(ParameterLayout layout, ParameterGroups groups, RegularizerOptions options) : Regularizer(layout, groups, options)
{
    /// <inheritdoc/>
    protected override bool UsesNorm => false;

    /// <summary>λ_t of each segment: what joins the gradient is this times the weight.</summary>
    /// <param name="step">The step.</param>
    /// <param name="coefficients">One for each segment, overwritten.</param>
    public void Coefficients(in RegularizerStep step, Span<float> coefficients)
    {
        coefficients.Clear();
        foreach (WeightUnit unit in Units)
        {
            foreach (int segment in unit.Segments)
                coefficients[segment] = Coefficient(unit, step);
        }
    }

    /// <inheritdoc/>
    public override void BeforeStep(in RegularizerStep step, ReadOnlySpan<double> sumsOfSquares, Span<SegmentUpdate> updates)
    {
        if (Options.L2BeforeClipping)
            return;
        foreach (WeightUnit unit in Units)
        {
            foreach (int segment in unit.Segments)
                updates[segment] = updates[segment] with { L2 = Coefficient(unit, step) };
        }
    }

    /// <inheritdoc/>
    protected override double Factor(WeightUnit unit, in RegularizerStep step, double norm) => 1;

    private float Coefficient(WeightUnit unit, in RegularizerStep step) =>
        (float)((unit.Strength ?? Options.WeightDecay) * Options.WeightDecaySchedule.Multiplier(step.Step - 1));
}
