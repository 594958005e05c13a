namespace Trainer.Cuda;

/// <summary>The kernels that are prepared by their sizes.</summary>
internal enum LaunchOperation
{
    EmbeddingForward,
    EmbeddingBackwardPositions,
    EmbeddingSortTokens,
    EmbeddingBackwardTokens,
    EmbeddingBackwardTokensFinish,
    LayerNormForward,
    ResidualLayerNormForward,
    LayerNormBackward,
    LayerNormBackwardReduce,
    GeluForward,
    SoftmaxCrossEntropy,
    Mean,
    CastToBf16,
    CastToFloat,
    UpdateAverage,
    AttentionForward,
    AttentionBackwardStats,
    AttentionBackwardKv,
    AttentionBackwardQ,
}
