using Trainer.Model;

namespace Trainer.Optimization;

/// <summary>
/// Decoupled weight decay (Loshchilov and Hutter 2019): each step multiplies the weights by 1 - α η_t λ (13.a, what torch.optim.AdamW
/// does), by 1 - η_t λ (13.b, the paper's own form; with SGD it is SGDW) or by 1 - λ (Hanson and Pratt 1988), before or after the gradient step.
/// </summary>
/// <param name="layout">Where each tensor is.</param>
/// <param name="groups">The regularised set; a group's own strength is its λ.</param>
/// <param name="options">The rule, λ, its schedule and the order.</param>
public sealed class WeightDecay(ParameterLayout layout, ParameterGroups groups, RegularizerOptions options) : Regularizer(layout, groups, options)
{
    /// <inheritdoc/>
    protected override bool UsesNorm => false;

    /// <summary>The share of a weight that a step takes away: the factor is 1 minus it.</summary>
    /// <param name="options">The rule and the schedule of its strength.</param>
    /// <param name="lambda">λ.</param>
    /// <param name="step">The step.</param>
    public static double Share(RegularizerOptions options, double lambda, in RegularizerStep step)
    {
        ArgumentNullException.ThrowIfNull(options);

        // α λ comes first, so that the product is the same to the bit as norm control's k η_t with k = α λ.
        return options.Kind switch
        {
            RegularizerKind.Decay => step.PeakLearningRate * lambda * step.Multiplier,
            RegularizerKind.DecayDecoupled => lambda * step.Multiplier,
            _ => lambda,
        } * options.WeightDecaySchedule.Multiplier(step.Step - 1);
    }

    /// <inheritdoc/>
    protected override double Factor(WeightUnit unit, in RegularizerStep step, double norm) => 1 - Share(Options, unit.Strength ?? Options.WeightDecay, step);
}
