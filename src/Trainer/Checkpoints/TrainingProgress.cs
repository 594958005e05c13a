using Trainer.Optimization;

namespace Trainer.Checkpoints;

/// <summary>How far the training loop is, besides what the optimizer knows.</summary>
/// <param name="Tokens">The tokens trained on.</param>
/// <param name="DataPosition">Where the batch loader continues.</param>
/// <param name="Seed">The seed of the run.</param>
/// <param name="BestValidationLoss">The lowest validation loss so far, or none.</param>
/// <param name="BestStep">The step of it.</param>
public sealed record TrainingProgress(long Tokens, long DataPosition, ulong Seed, double? BestValidationLoss = null, long BestStep = 0);

/// <summary>The scalars of a checkpoint, that is, its <c>state.json</c>.</summary>
/// <param name="Progress">How far the training loop was.</param>
/// <param name="Optimizer">How far the optimizer was, with the norms that its regulariser refers to.</param>
public sealed record CheckpointState(TrainingProgress Progress, OptimizerState Optimizer)
{
    /// <summary>The steps taken.</summary>
    public long Step => Optimizer.Step;
}
