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
    /// <summary>Sets the norms that the first step begins with.</summary>
    /// <param name="initialSums">Σ w² of every tensor at initialisation: what targets and ratios refer to.</param>
    /// <param name="sums">Σ w² of every tensor now.</param>
    void Start(ReadOnlySpan<double> initialSums, ReadOnlySpan<double> sums);

    /// <summary>Begins step t. At most <see cref="MostInFlight"/> steps are begun before the oldest is finished.</summary>
    /// <param name="step">t and the schedule's values.</param>
    /// <param name="loss">(1) of fp64: a step whose loss is not finite is not taken; or none.</param>
    void Begin(in RegularizerStep step, Tensor loss);

    /// <summary>Waits for the oldest step that was begun and not finished.</summary>
    PassResult Finish();

    /// <summary>Waits for all steps and reads Σ w² of every tensor, as the last step left it, and Σ g² as the last step found it.</summary>
    void ReadSums(Span<double> weightSums, Span<double> gradientSums);

    /// <summary>How many steps can be in flight.</summary>
    int MostInFlight { get; }
}
