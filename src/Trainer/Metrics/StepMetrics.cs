namespace Trainer.Metrics;

/// <summary>What is known of one optimizer step after it was taken.</summary>
/// <param name="Step">t, counted from 1.</param>
/// <param name="Loss">The mean loss over the step's tokens in nats, before the update.</param>
/// <param name="LearningRate">The learning rate of the step.</param>
/// <param name="GradientNorm">The norm of all gradients, before clipping.</param>
/// <param name="WeightNorm">The norm of the regularised weights, after the update.</param>
/// <param name="NormRatio"><paramref name="WeightNorm"/> over its value at initialisation.</param>
/// <param name="StepMilliseconds">The wall time of the step.</param>
/// <param name="TokensPerSecond">Trained tokens of the step over its wall time.</param>
public readonly record struct StepMetrics(
    long Step, double Loss, double LearningRate, double GradientNorm, double WeightNorm, double NormRatio, double StepMilliseconds, double TokensPerSecond)
{
    /// <summary>‖Δθ‖ / ‖θ‖ of the regularised weights; not a number when it is not known.</summary>
    public double UpdateRatio { get; init; } = double.NaN;

    /// <summary>The angle that the step turned the regularised weights by, in radians; not a number when it is not known.</summary>
    public double Angle { get; init; } = double.NaN;

    /// <summary>How far the norm is from its target, over the target; not a number without one.</summary>
    public double TargetGap { get; init; } = double.NaN;

    /// <summary>The share of the changes of regularised weights that rounding undid; not a number when it is not known.</summary>
    public double LostUpdates { get; init; } = double.NaN;
}

/// <summary>The result of an evaluation: mean losses in nats over the same number of tokens of each split.</summary>
/// <param name="Step">The number of optimizer steps taken before it.</param>
/// <param name="ValidationLoss">The mean loss on validation tokens; the same tokens every time.</param>
/// <param name="TrainLoss">The mean loss on training tokens; the same tokens every time.</param>
public readonly record struct EvaluationMetrics(long Step, double ValidationLoss, double TrainLoss);
