using Trainer.Compute;

namespace Trainer.Optimization;

/// <summary>What a device found in a step.</summary>
/// <param name="Taken">
/// False when the gradients or the loss are not finite, or those of an earlier step were not; then no weight, moment or norm was touched.
/// </param>
/// <param name="Loss">The loss of the step; where a step is not taken, that of the first such step.</param>
/// <param name="GradientNorm">The norm of all gradients, before clipping; where a step is not taken, that of the first such step.</param>
/// <param name="WeightNorm">The norm of the regularised set, after the step.</param>
public readonly record struct PassResult(bool Taken, double Loss, double GradientNorm, double WeightNorm);

/// <summary>
/// The end of each training step on its device: gradient norm, clip factor, one fused pass over all parameters, and what the regulariser
/// does after it. A device that works on its own need not have finished a step when the next one is begun.
/// </summary>
public interface IOptimizerPass : IDisposable
{
    /// <summary>Sets what the first step begins with.</summary>
    /// <param name="initialSums">Σ w² of every segment (<see cref="Regularizer.Segments"/>) at initialisation: what targets and ratios refer to.</param>
    /// <param name="sums">Σ w² of every segment now.</param>
    /// <param name="state">The <see cref="State"/> of the run that is continued; empty for a new one.</param>
    /// <exception cref="RequestException">The rule cannot work on these weights.</exception>
    void Start(ReadOnlySpan<double> initialSums, ReadOnlySpan<double> sums, IReadOnlyList<double> state);

    /// <summary>Begins step t. At most <see cref="MostInFlight"/> steps are begun before the oldest is finished.</summary>
    /// <param name="step">t and the schedule's values.</param>
    /// <param name="loss">(1) of fp64: a step whose loss is not finite is not taken; or none.</param>
    void Begin(in RegularizerStep step, Tensor loss);

    /// <summary>Waits for the oldest step that was begun and not finished.</summary>
    /// <param name="sums">What the step found of every segment; overwritten unless it was not taken.</param>
    PassResult Finish(StepSums sums);

    /// <summary>What the regulariser keeps from step to step (<see cref="Regularizer.State"/>). Waits for all steps.</summary>
    IReadOnlyList<double> State();

    /// <summary>How many steps can be in flight.</summary>
    int MostInFlight { get; }
}
