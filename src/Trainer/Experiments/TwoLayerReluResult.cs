namespace Trainer.Experiments;

/// <summary>The outcome of a <see cref="TwoLayerReluToy"/>.</summary>
/// <param name="Diverged">Whether the weights became infinite or no numbers; the run ended there, and what follows describes that state.</param>
/// <param name="Steps">The steps taken.</param>
/// <param name="PlateauLoss">The mean loss of the batches in the second half of the steps at the full rate: the level at which the
/// loss stabilised, if it did.</param>
/// <param name="TrainLoss">Half the mean squared error on all training samples at the end.</param>
/// <param name="TestLoss">The same on the test samples.</param>
/// <param name="WeightNorm">|θ| at the end.</param>
/// <param name="NormRatio">|θ| at the end over that at the start.</param>
/// <param name="HessianTrace">The trace of the Hessian of the loss on all training samples at the end.</param>
/// <param name="NormalizedTrace">Trace · |θ|² / C.</param>
public sealed record TwoLayerReluResult(
    bool Diverged,
    long Steps,
    double PlateauLoss,
    double TrainLoss,
    double TestLoss,
    double WeightNorm,
    double NormRatio,
    double HessianTrace,
    double NormalizedTrace);
