using Trainer.Model;

namespace Trainer.Compute;

/// <summary>The sizes of the passes that a backend is going to make.</summary>
/// <param name="Model">The model.</param>
/// <param name="BatchSize">B, the most sequences in a micro-batch.</param>
/// <param name="SequenceLength">T, the most tokens in a sequence.</param>
/// <param name="Use">What the model is for: without training there is no backward pass.</param>
public readonly record struct PassShape(ModelConfig Model, int BatchSize, int SequenceLength, ModelUse Use)
{
    /// <summary>The averages of the weights that are kept while training.</summary>
    public int Averages { get; init; }

    /// <summary>R = B · T.</summary>
    public int Rows => checked(BatchSize * SequenceLength);
}
