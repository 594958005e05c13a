namespace Trainer.Model;

/// <summary>Which activations the backward pass computes again instead of the forward pass keeping them (Chen et al. 2016).</summary>
public enum Recompute
{
    /// <summary>None: the fastest, and the most memory.</summary>
    None,

    /// <summary>The outputs of GELUs and layer normalisations: 6 of the 16 R·C numbers of a block, for a pass over memory each.</summary>
    GeluLayerNorm,

    /// <summary>Whole blocks: only their inputs are kept, 1 of 16 R·C numbers, for another forward pass.</summary>
    Block,
}
