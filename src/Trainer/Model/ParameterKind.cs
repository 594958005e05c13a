namespace Trainer.Model;

/// <summary>What a parameter tensor is, for the groups that weight decay and weight norm control apply to.</summary>
public enum ParameterKind
{
    /// <summary>The token embedding, tied with the classifier.</summary>
    TokenEmbedding,

    /// <summary>The learned positions.</summary>
    PositionEmbedding,

    /// <summary>A matrix of a linear layer.</summary>
    Matrix,

    /// <summary>The gain or bias of a layer normalisation.</summary>
    LayerNorm,

    /// <summary>The bias of a linear layer.</summary>
    Bias,
}
