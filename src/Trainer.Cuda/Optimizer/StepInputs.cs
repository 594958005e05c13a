using Trainer.Cuda.Kernels;
using Trainer.Optimization;

namespace Trainer.Cuda.Optimizer;

/// <summary>What the host tells the kernels of each step: the values of all schedules, and what does not change.</summary>
/// <param name="options">The optimizer's.</param>
/// <param name="seed">Of stochastic rounding.</param>
internal sealed class StepInputs(OptimizerOptions options, uint seed)
{
    /// <summary>The input of one step. Allocates nothing.</summary>
    /// <param name="step">t, from 1.</param>
    /// <exception cref="ArgumentOutOfRangeException">There is no such step: it is below 1, or does not fit 32 bits.</exception>
    public StepInput At(long step)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(step, 1);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(step, int.MaxValue);
        RegularizerOptions rule = options.Regularizer;
        return new StepInput
        {
            Step = (int)step,
            Seed = seed,
            PeakRate = options.LearningRate,
            Multiplier = options.Schedule.Multiplier(step - 1),
            DecayMultiplier = rule.WeightDecaySchedule.Multiplier(step - 1),
            TargetMultiplier = rule.Kind == RegularizerKind.DecayConstant ? 1 : rule.NormTargetSchedule.Multiplier(step - 1),
            RateMultiplier = (rule.Kind == RegularizerKind.DecayConstant ? rule.WeightDecaySchedule : rule.NormRateSchedule).Multiplier(step - 1),
            Clip = options.GradientClip,
            Beta1 = options.Beta1,
            Beta2 = options.Beta2,
            Epsilon = options.Epsilon,
            Momentum = options.Momentum,
            Dampening = options.Dampening,
            RateInMomentum = options.RateInMomentum ? 1 : 0,
        };
    }
}
