namespace Trainer.Optimization;

/// <summary>What one optimizer step did.</summary>
/// <param name="Step">t, counted from 1.</param>
/// <param name="Taken">False when the gradients or the loss are not finite; then no weight, moment or norm was touched.</param>
/// <param name="Loss">The loss that the step was begun with; not a number without one.</param>
/// <param name="LearningRate">α η_t; with a replayed effective rate e_t that of the regularised weights, e_t ‖θ‖.</param>
/// <param name="GradientNorm">The norm of all gradients, before clipping.</param>
/// <param name="WeightNorm">The norm of the regularised set, after the step; not finite when the step itself overflowed, and then the weights are lost.</param>
/// <param name="NormRatio"><paramref name="WeightNorm"/> over its value at initialisation; not a number when that was 0.</param>
public readonly record struct OptimizerStep(
    long Step, bool Taken, double Loss, double LearningRate, double GradientNorm, double WeightNorm, double NormRatio)
{
    /// <summary>‖Δθ‖ / ‖θ‖ of the regularised set, whatever moved it, over the norm as the step began.</summary>
    public double UpdateRatio { get; init; } = double.NaN;

    /// <summary>The angle between the regularised set before and after the step, in radians.</summary>
    public double Angle { get; init; } = double.NaN;

    /// <summary>(‖θ‖ - target) / target under norm control, over all units; not a number for other rules.</summary>
    public double TargetGap { get; init; } = double.NaN;

    /// <summary>
    /// The share of the changes of the regularised set that rounding undid (<see cref="StepSums.Lost"/> over <see cref="StepSums.Moved"/>); not a
    /// number when nothing counted them.
    /// </summary>
    public double LostUpdates { get; init; } = double.NaN;
}

/// <summary>What a checkpoint keeps of an optimizer besides its moments.</summary>
/// <param name="Step">The number of steps taken.</param>
/// <param name="InitialSumsOfSquares">Σ w² of every segment at initialisation: what targets and ratios refer to.</param>
/// <param name="SumsOfSquares">Σ w² of every segment now, as the last step found them.</param>
public sealed record OptimizerState(long Step, IReadOnlyList<double> InitialSumsOfSquares, IReadOnlyList<double> SumsOfSquares)
{
    /// <summary>The rule that <see cref="RuleState"/> is of, as <c>--regularizer</c> names it.</summary>
    public string Rule { get; init; } = string.Empty;

    /// <summary>What the rule keeps from step to step (<see cref="Regularizer.State"/>).</summary>
    public IReadOnlyList<double> RuleState { get; init; } = [];
}
