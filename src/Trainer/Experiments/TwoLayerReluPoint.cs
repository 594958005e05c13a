namespace Trainer.Experiments;

/// <summary>The state of a <see cref="TwoLayerReluToy"/> after a step.</summary>
/// <param name="Step">From 1.</param>
/// <param name="LearningRate">Of this step.</param>
/// <param name="TrainLoss">Half the mean squared error on all training samples.</param>
/// <param name="TestLoss">The same on the test samples.</param>
/// <param name="WeightNorm">|θ|, all parameters.</param>
/// <param name="NormRatio">|θ| over that at the start.</param>
/// <param name="HessianTrace">The trace of the Hessian of the loss on all training samples, exactly.</param>
public readonly record struct TwoLayerReluPoint(
    long Step, double LearningRate, double TrainLoss, double TestLoss, double WeightNorm, double NormRatio, double HessianTrace);
