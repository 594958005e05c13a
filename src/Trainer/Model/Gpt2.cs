using Trainer.Compute;

namespace Trainer.Model;

/// <summary>
/// GPT-2 (Radford et al. 2019): pre-normalised transformer blocks over learned token and position embeddings, biases, tanh GELU, the classifier
/// tied to the token embedding. Forward and backward passes over an <see cref="IBackend"/>; it knows no device and allocates nothing after
/// construction.
/// </summary>
/// <remarks>B sequences of T tokens, R = B · T rows, C channels, NH heads, V vocabulary, Vp padded vocabulary.</remarks>
public sealed class Gpt2 : IDisposable
{
    private readonly IBackend _backend;
    private readonly Gpt2Activations _activations;

    /// <summary>Allocates parameters, all zero, and what <paramref name="use"/> needs.</summary>
    /// <param name="backend">What computes.</param>
    /// <param name="config">The sizes.</param>
    /// <param name="batchSize">The most sequences in a micro-batch.</param>
    /// <param name="sequenceLength">The most tokens in a sequence, at most the model's.</param>
    /// <param name="use">What the model is for.</param>
    /// <exception cref="RequestException">A size is impossible, or the memory is not there.</exception>
    public Gpt2(IBackend backend, ModelConfig config, int batchSize, int sequenceLength, ModelUse use)
    {
        ArgumentNullException.ThrowIfNull(backend);
        ArgumentNullException.ThrowIfNull(config);
        config.Validated();
        if (batchSize <= 0)
            throw new RequestException($"--batch-size must be positive, but is {batchSize}.");
        if (sequenceLength <= 0 || sequenceLength > config.SequenceLength)
            throw new RequestException($"--seq-len {sequenceLength} is not between 1 and the model's {config.SequenceLength} positions.");
        _backend = backend;
        Memory = MemoryPlan.Fitting(config, batchSize, sequenceLength, use, backend.AvailableBytes);
        Layout = new ParameterLayout(config);
        var shape = new Shape(checked((int)(Layout.Count / config.Channels)), config.Channels);
        Parameters = backend.Allocate(ElementType.Float32, shape);
        if (use == ModelUse.Train)
            Gradients = backend.Allocate(ElementType.Float32, shape);
        _activations = new Gpt2Activations(backend, config, batchSize, sequenceLength, use);
    }

    /// <summary>Where each parameter tensor lies.</summary>
    public ParameterLayout Layout { get; }

    /// <summary>The sizes.</summary>
    public ModelConfig Config => Layout.Config;

    /// <summary>The most tokens in a sequence that this instance has room for.</summary>
    public int SequenceLength => _activations.MaximumSequenceLength;

    /// <summary>The memory that was planned, the optimizer's included.</summary>
    public MemoryPlan Memory { get; }

    /// <summary>All parameters, in the order of <see cref="Layout"/>.</summary>
    public Tensor Parameters { get; }

    /// <summary>Their gradients; none unless the model is for training.</summary>
    public Tensor Gradients { get; }

    /// <summary>The mean loss of a micro-batch, in nats per token.</summary>
    /// <param name="tokens">(B, T) ids below V.</param>
    /// <param name="targets">(B, T) ids below V: the token after each.</param>
    /// <param name="b">B.</param>
    /// <param name="t">T.</param>
    public double Loss(ReadOnlySpan<int> tokens, ReadOnlySpan<int> targets, int b, int t)
    {
        Forward(tokens, b, t);
        return Classify(targets, gradientScale: 0);
    }

    /// <summary>The mean loss of a micro-batch; its gradient, divided by <paramref name="microBatches"/>, goes to <see cref="Gradients"/>.</summary>
    /// <param name="tokens">(B, T) ids below V.</param>
    /// <param name="targets">(B, T) ids below V: the token after each.</param>
    /// <param name="b">B.</param>
    /// <param name="t">T.</param>
    /// <param name="microBatches">How many micro-batches make one step.</param>
    /// <param name="accumulate">Whether to add to the gradients of the step's micro-batches before this one.</param>
    public double LossAndGradients(
        ReadOnlySpan<int> tokens, ReadOnlySpan<int> targets, int b, int t, int microBatches = 1, bool accumulate = false)
    {
        Forward(tokens, b, t);
        double loss = Classify(targets, 1f / ((float)b * t * microBatches));
        Backward(accumulate);
        return loss;
    }

    /// <summary>The logits of the token that follows a sequence.</summary>
    /// <param name="tokens">1 to T ids below V.</param>
    /// <param name="logits">V values, overwritten.</param>
    public void NextTokenLogits(ReadOnlySpan<int> tokens, Span<float> logits)
    {
        Forward(tokens, 1, tokens.Length);
        int c = Config.Channels;
        var last = _activations.FinalNorm.Slice((long)(tokens.Length - 1) * c, new Shape(1, c));
        var row = _activations.Logits.Slice(0, new Shape(1, Config.PaddedVocabulary));
        _backend.LinearForward(row, last, Weight(TokenTable));
        _backend.Download(row.Slice(0, new Shape(Config.Vocabulary)), logits[..Config.Vocabulary]);
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        _activations.Dispose();
        _backend.Free(Parameters);
        if (!Gradients.IsNone)
            _backend.Free(Gradients);
    }

    private const int TokenTable = 0;
    private const int PositionTable = 1;

    private int FinalNormWeight => Layout.Tensors.Count - 2;

    private int FinalNormBias => Layout.Tensors.Count - 1;

    private void Forward(ReadOnlySpan<int> tokens, int b, int t)
    {
        var a = _activations;
        a.View(b, t);
        _backend.Upload(tokens, a.Tokens);
        _backend.EmbeddingForward(a.Residual(0), a.Tokens, Weight(TokenTable), Weight(PositionTable));
        var first = a.Layer(0);
        _backend.LayerNormForward(first.Norm1, first.Mean1, first.Rstd1, a.Residual(0),
            Weight(BlockTensor.LayerNorm1Weight, 0), Weight(BlockTensor.LayerNorm1Bias, 0));

        for (int layer = 0; layer < Config.Layers; layer++)
        {
            var block = a.Layer(layer);
            _backend.LinearForward(block.Qkv, block.Norm1, Weight(BlockTensor.QkvWeight, layer), Weight(BlockTensor.QkvBias, layer));
            _backend.AttentionForward(block.Attention, block.LogSumExp, block.Qkv);
            _backend.LinearForward(a.Branch, block.Attention,
                Weight(BlockTensor.AttentionProjectionWeight, layer), Weight(BlockTensor.AttentionProjectionBias, layer));
            _backend.ResidualLayerNormForward(block.Middle, block.Norm2, block.Mean2, block.Rstd2, a.Residual(layer), a.Branch,
                Weight(BlockTensor.LayerNorm2Weight, layer), Weight(BlockTensor.LayerNorm2Bias, layer));
            _backend.LinearForward(block.Hidden, block.Norm2,
                Weight(BlockTensor.MlpWeight, layer), Weight(BlockTensor.MlpBias, layer), block.PreActivation);
            _backend.LinearForward(a.Branch, block.Hidden,
                Weight(BlockTensor.MlpProjectionWeight, layer), Weight(BlockTensor.MlpProjectionBias, layer));

            // The residual add is fused with whichever normalisation comes next.
            if (layer + 1 < Config.Layers)
            {
                var next = a.Layer(layer + 1);
                _backend.ResidualLayerNormForward(a.Residual(layer + 1), next.Norm1, next.Mean1, next.Rstd1, block.Middle, a.Branch,
                    Weight(BlockTensor.LayerNorm1Weight, layer + 1), Weight(BlockTensor.LayerNorm1Bias, layer + 1));
            }
            else
            {
                _backend.ResidualLayerNormForward(a.Residual(layer + 1), a.FinalNorm, a.FinalMean, a.FinalRstd, block.Middle, a.Branch,
                    Weight(FinalNormWeight), Weight(FinalNormBias));
            }
        }
    }

    private double Classify(ReadOnlySpan<int> targets, float gradientScale)
    {
        var a = _activations;
        _backend.Upload(targets, a.Targets);
        _backend.LinearForward(a.Logits, a.FinalNorm, Weight(TokenTable));
        _backend.SoftmaxCrossEntropy(a.Logits, a.Losses, a.Targets, Config.Vocabulary, gradientScale);
        return _backend.Mean(a.Losses);
    }

    private void Backward(bool accumulate)
    {
        var a = _activations;
        if (!accumulate)
            ZeroAddedGradients();
        _backend.LinearBackwardWeight(Gradient(TokenTable), default, a.Logits, a.FinalNorm, accumulate);
        _backend.LinearBackwardInput(a.DBranch, a.Logits, Weight(TokenTable));
        _backend.Zero(a.DResidual);
        _backend.LayerNormBackward(a.DResidual, Gradient(FinalNormWeight), Gradient(FinalNormBias), a.DBranch,
            a.Residual(Config.Layers), Weight(FinalNormWeight), a.FinalMean, a.FinalRstd);

        for (int layer = Config.Layers - 1; layer >= 0; layer--)
        {
            // DResidual is the gradient of the stream after the sublayer, hence of both of its summands.
            var block = a.Layer(layer);
            _backend.LinearBackwardWeight(Gradient(BlockTensor.MlpProjectionWeight, layer), Gradient(BlockTensor.MlpProjectionBias, layer),
                a.DResidual, block.Hidden, accumulate);
            _backend.LinearBackwardInput(a.DHidden, a.DResidual, Weight(BlockTensor.MlpProjectionWeight, layer), block.PreActivation);
            _backend.LinearBackwardWeight(Gradient(BlockTensor.MlpWeight, layer), Gradient(BlockTensor.MlpBias, layer), a.DHidden, block.Norm2, accumulate);
            _backend.LinearBackwardInput(a.DBranch, a.DHidden, Weight(BlockTensor.MlpWeight, layer));
            _backend.LayerNormBackward(a.DResidual, Gradient(BlockTensor.LayerNorm2Weight, layer), Gradient(BlockTensor.LayerNorm2Bias, layer),
                a.DBranch, block.Middle, Weight(BlockTensor.LayerNorm2Weight, layer), block.Mean2, block.Rstd2);

            _backend.LinearBackwardWeight(Gradient(BlockTensor.AttentionProjectionWeight, layer),
                Gradient(BlockTensor.AttentionProjectionBias, layer), a.DResidual, block.Attention, accumulate);
            _backend.LinearBackwardInput(a.DBranch, a.DResidual, Weight(BlockTensor.AttentionProjectionWeight, layer));
            _backend.AttentionBackward(a.DQkv, a.DBranch, block.Attention, block.LogSumExp, block.Qkv);
            _backend.LinearBackwardWeight(Gradient(BlockTensor.QkvWeight, layer), Gradient(BlockTensor.QkvBias, layer), a.DQkv, block.Norm1, accumulate);
            _backend.LinearBackwardInput(a.DBranch, a.DQkv, Weight(BlockTensor.QkvWeight, layer));
            _backend.LayerNormBackward(a.DResidual, Gradient(BlockTensor.LayerNorm1Weight, layer), Gradient(BlockTensor.LayerNorm1Bias, layer),
                a.DBranch, a.Residual(layer), Weight(BlockTensor.LayerNorm1Weight, layer), block.Mean1, block.Rstd1);
        }

        _backend.EmbeddingBackward(Gradient(TokenTable), Gradient(PositionTable), a.DResidual, a.Tokens);
    }

    /// <summary>Linear layers write their gradients themselves; normalisations and positions, a small part of all, are only ever added to.</summary>
    private void ZeroAddedGradients()
    {
        for (int i = 0; i < Layout.Tensors.Count; i++)
        {
            if (Layout.Tensors[i].Kind is ParameterKind.LayerNorm or ParameterKind.PositionEmbedding)
                _backend.Zero(Gradient(i));
        }
    }

    private Tensor Weight(int index) => Parameters.Slice(Layout.Segments[index].Offset, Layout.Tensors[index].Shape);

    private Tensor Weight(BlockTensor tensor, int layer) => Weight(Layout.IndexOf(tensor, layer));

    private Tensor Gradient(int index) => Gradients.Slice(Layout.Segments[index].Offset, Layout.Tensors[index].Shape);

    private Tensor Gradient(BlockTensor tensor, int layer) => Gradient(Layout.IndexOf(tensor, layer));
}
