namespace Trainer.Model;

/// <summary>The device memory that a model takes, computed before any of it is allocated.</summary>
/// <param name="Parameters">Bytes of the weights.</param>
/// <param name="Gradients">Bytes of their gradients.</param>
/// <param name="OptimizerState">Bytes of the two moments.</param>
/// <param name="Activations">Bytes of what the forward pass keeps and the backward pass works in.</param>
public readonly record struct MemoryPlan(long Parameters, long Gradients, long OptimizerState, long Activations)
{
    private const double Mebibyte = 1024.0 * 1024.0;

    /// <summary>All of it.</summary>
    public long Total => Parameters + Gradients + OptimizerState + Activations;

    /// <summary>Computes the memory for micro-batches of <paramref name="batchSize"/> sequences.</summary>
    public static MemoryPlan For(ModelConfig config, int batchSize, int sequenceLength, ModelUse use)
    {
        ArgumentNullException.ThrowIfNull(config);
        long parameters = new ParameterLayout(config).Count * sizeof(float);
        bool train = use == ModelUse.Train;
        return new MemoryPlan(parameters, train ? parameters : 0, train ? 2 * parameters : 0, Gpt2Activations.Bytes(config, batchSize, sequenceLength, use));
    }

    /// <summary>Refuses a plan that does not fit, naming the largest micro-batch that would.</summary>
    /// <param name="config">The model.</param>
    /// <param name="batchSize">Sequences in a micro-batch.</param>
    /// <param name="sequenceLength">Tokens in a sequence.</param>
    /// <param name="use">What the model is built for.</param>
    /// <param name="availableBytes">The memory that is free.</param>
    /// <returns>The plan.</returns>
    /// <exception cref="RequestException">The plan needs more than is free.</exception>
    public static MemoryPlan Fitting(ModelConfig config, int batchSize, int sequenceLength, ModelUse use, long availableBytes)
    {
        var plan = For(config, batchSize, sequenceLength, use);
        if (plan.Total <= availableBytes)
            return plan;
        long perSequence = plan.Activations / batchSize;
        long fits = (availableBytes - (plan.Total - plan.Activations)) / perSequence;
        string advice = fits > 0
            ? $"--batch-size {fits} would fit; keep the tokens per step with --total-batch-tokens."
            : "not even one sequence fits; choose a smaller --preset or a shorter --seq-len.";
        throw new RequestException(
            $"the model needs {plan.Total / Mebibyte:N0} MiB ({plan.Describe()}), but only {availableBytes / Mebibyte:N0} MiB are free.\n{advice}");
    }

    /// <summary>The parts, on one line.</summary>
    public string Describe()
    {
        string training = Gradients == 0 ? string.Empty : $", gradients {Gradients / Mebibyte:N0}, Adam moments {OptimizerState / Mebibyte:N0}";
        return $"parameters {Parameters / Mebibyte:N0}{training}, activations {Activations / Mebibyte:N0} MiB";
    }
}
