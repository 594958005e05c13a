using Trainer.Model;

namespace Trainer.Optimization;

/// <summary>Leaves the weights to the gradient; the regularised set is only watched.</summary>
/// <param name="layout">Where each tensor is.</param>
/// <param name="groups">The set whose norm is reported.</param>
/// <param name="options">The rule.</param>
public sealed class NoRegularizer(ParameterLayout layout, ParameterGroups groups, RegularizerOptions options) : Regularizer(layout, groups, options)
{
    /// <inheritdoc/>
    protected override bool UsesNorm => false;

    /// <inheritdoc/>
    protected override double Factor(WeightUnit unit, in RegularizerStep step, double norm) => 1;
}
