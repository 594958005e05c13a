namespace Trainer.Experiments;

/// <summary>The outcome of a <see cref="TwoLayerReluToy"/>.</summary>
/// <param name="Diverged">Whether the loss became infinite or no number; the run ended there, and what follows describes that state.</param>
/// <param name="PlateauLoss">The mean loss of the batches in the second half of the steps at the full rate: the level at which the loss stabilised.</param>
/// <param name="TrainLoss">Half the mean squared error on all training samples at the end.</param>
/// <param name="TestLoss">The same on the test samples.</param>
/// <param name="WeightNorm">|θ| at the end.</param>
/// <param name="NormRatio">|θ| at the end over that at the start.</param>
/// <param name="Hessian">The trace of the training loss's Hessian at the end; NaN if diverged.</param>
public sealed record TwoLayerReluResult(
    bool Diverged, double PlateauLoss, double TrainLoss, double TestLoss, double WeightNorm, double NormRatio, HessianEstimate Hessian);
