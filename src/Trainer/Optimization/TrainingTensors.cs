using Trainer.Compute;

namespace Trainer.Optimization;

/// <summary>What an optimizer works on: all parameters of a model, and as many values of each other kind.</summary>
/// <param name="Weights">What forward and backward passes read.</param>
/// <param name="Master">The same weights in fp32, which the optimizer updates; none where <paramref name="Weights"/> are all there is.</param>
/// <param name="Gradients">fp32.</param>
/// <param name="FirstMoment">fp32: m of Adam.</param>
/// <param name="SecondMoment">fp32: v of Adam.</param>
public readonly record struct TrainingTensors(Tensor Weights, Tensor Master, Tensor Gradients, Tensor FirstMoment, Tensor SecondMoment)
{
    /// <summary>The weights as exactly as there are.</summary>
    public Tensor Exact => Master.IsNone ? Weights : Master;
}
