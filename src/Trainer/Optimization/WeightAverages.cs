using Trainer.Compute;

namespace Trainer.Optimization;

/// <summary>
/// Exponential moving averages of the weights, θ̄ ← c θ̄ + (1 - c) θ after each step, beginning with the initial weights and without a correction for
/// that. They are fp32 and of the weights as exactly as there are; training does not see them.
/// </summary>
public sealed class WeightAverages
{
    private readonly IBackend _backend;
    private readonly TrainingTensors _source;

    /// <summary>Refers to the memory of averages. Call <see cref="Start"/> or load <see cref="Tensors"/> before the first step.</summary>
    /// <param name="backend">Where the weights are.</param>
    /// <param name="source">The weights; their gradients serve as scratch between steps where there are no weights in fp32.</param>
    /// <param name="coefficients">c of each average, in [1/2, 1).</param>
    /// <param name="averages">As many tensors of fp32, each as long as the weights; stay the caller's.</param>
    public WeightAverages(IBackend backend, TrainingTensors source, IReadOnlyList<double> coefficients, IReadOnlyList<Tensor> averages)
    {
        ArgumentNullException.ThrowIfNull(backend);
        ArgumentNullException.ThrowIfNull(coefficients);
        ArgumentNullException.ThrowIfNull(averages);
        if (coefficients.Count != averages.Count)
            throw new ArgumentException($"{coefficients.Count} coefficients, but {averages.Count} averages", nameof(averages));
        (_backend, _source, Coefficients, Tensors) = (backend, source, coefficients, averages);
    }

    /// <summary>c of each average.</summary>
    public IReadOnlyList<double> Coefficients { get; }

    /// <summary>The averages.</summary>
    public IReadOnlyList<Tensor> Tensors { get; }

    /// <summary>Begins with the weights as they are.</summary>
    public void Start()
    {
        foreach (Tensor average in Tensors)
            _backend.Convert(average, _source.Exact);
    }

    /// <summary>Takes in the weights that a step has left. Overwrites the gradients where the weights are bf16 only.</summary>
    public void Update()
    {
        if (Tensors.Count == 0)
            return;
        Tensor weights = _source.Exact;
        if (weights.Type != ElementType.Float32)
        {
            _backend.Convert(_source.Gradients, weights);
            weights = _source.Gradients;
        }

        for (int i = 0; i < Tensors.Count; i++)
            _backend.UpdateAverage(Tensors[i], weights, Coefficients[i]);
    }
}
