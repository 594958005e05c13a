namespace Trainer.Model;

/// <summary>What a <see cref="Gpt2"/> is built for, which decides what memory it takes.</summary>
public enum ModelUse
{
    /// <summary>Forward and backward: gradients, and the activations of every layer.</summary>
    Train,

    /// <summary>Losses of whole sequences: the activations of one layer, and logits for every token.</summary>
    Evaluate,

    /// <summary>The next token: the activations of one layer, and logits for one token.</summary>
    Sample,
}
