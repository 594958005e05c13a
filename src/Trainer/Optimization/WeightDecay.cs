namespace Trainer.Optimization;

/// <summary>
/// Decoupled weight decay (Loshchilov and Hutter 2019): each step multiplies the weights by 1 - α η_t λ (13.a, what torch.optim.AdamW
/// does) or by 1 - η_t λ (13.b, the paper's own form), before or after the gradient step.
/// </summary>
/// <param name="groups">The regularised set; a group's own strength is its λ.</param>
/// <param name="options">The rule, λ, its schedule and the order.</param>
public sealed class WeightDecay(ParameterGroups groups, RegularizerOptions options) : Regularizer(groups)
{
    /// <inheritdoc/>
    public override void BeforeStep(in RegularizerStep step, ReadOnlySpan<double> sumsOfSquares, Span<SegmentUpdate> updates)
    {
        double schedule = options.WeightDecaySchedule.Multiplier(step.Step - 1);
        for (int g = 0; g < Groups.Groups.Count; g++)
        {
            ParameterGroup group = Groups.Groups[g];

            // α λ comes first, so that the product is the same to the bit as norm control's k η_t with k = α λ.
            double lambda = group.Strength ?? options.WeightDecay;
            double strength = options.Kind == RegularizerKind.Decay ? step.PeakLearningRate * lambda : lambda;
            float factor = (float)(1 - (strength * step.Multiplier * schedule));
            for (int i = 0; i < group.Tensors.Count; i++)
            {
                ref SegmentUpdate update = ref updates[group.Tensors[i]];
                update = options.EffectiveOrder == RegularizerOrder.Pre ? update with { ShrinkBefore = factor } : update with { ShrinkAfter = factor };
            }
        }
    }
}
