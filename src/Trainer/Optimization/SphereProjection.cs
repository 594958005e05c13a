using Trainer.Model;

namespace Trainer.Optimization;

/// <summary>
/// Projection to a sphere: every n-th step a unit is brought to its radius, <c>s = ρ / norm</c>, as in projected gradient descent on scale-invariant
/// networks (Andriushchenko et al. 2023) and in the rescaling baseline of Franke et al. (2023).
/// </summary>
/// <param name="layout">Where each tensor is.</param>
/// <param name="groups">The regularised set; a group's own strength is its radius.</param>
/// <param name="options">Radius, scope, order, and n.</param>
public sealed class SphereProjection(ParameterLayout layout, ParameterGroups groups, RegularizerOptions options) : NormRule(layout, groups, options)
{
    /// <inheritdoc/>
    protected override double Factor(WeightUnit unit, in RegularizerStep step, double norm) =>
        norm == 0 || step.Step % Options.NormEvery != 0 ? 1 : Ratio(unit) * unit.InitialNorm / norm;
}
