using Trainer.Model;

namespace Trainer.Optimization;

/// <summary>
/// Max-norm regularisation (Srivastava et al. 2014): after each step a unit whose norm is above its bound is brought back to it,
/// <c>s = min(1, c / norm)</c>. The paper bounds the incoming weights of each neuron: the scope row.
/// </summary>
/// <param name="layout">Where each tensor is.</param>
/// <param name="groups">The regularised set; a group's own strength is its bound.</param>
/// <param name="options">Bound, scope and order.</param>
public sealed class MaxNorm(ParameterLayout layout, ParameterGroups groups, RegularizerOptions options) : NormRule(layout, groups, options)
{
    /// <inheritdoc/>
    protected override double Factor(WeightUnit unit, in RegularizerStep step, double norm) =>
        norm == 0 ? 1 : Math.Min(1, Ratio(unit) * unit.InitialNorm / norm);
}
