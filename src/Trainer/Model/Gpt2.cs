using Trainer.Compute;
using Trainer.Optimization;

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
    private readonly ModelMemory _memory;
    private readonly Gpt2Activations _activations;
    private readonly Recompute _recompute;
    private Tensor _weights;

    /// <summary>Allocates parameters, all zero, and what the passes need.</summary>
    /// <param name="backend">What computes.</param>
    /// <param name="config">The sizes.</param>
    /// <param name="batchSize">The most sequences in a micro-batch.</param>
    /// <param name="sequenceLength">The most tokens in a sequence, at most the model's.</param>
    /// <param name="use">What the model is for.</param>
    /// <param name="recompute">Which activations the backward pass computes again.</param>
    /// <param name="choices">The <see cref="IBackend.Choices"/> of the run that is continued.</param>
    /// <param name="averages">How many averages of the weights to have room for.</param>
    /// <exception cref="RequestException">A size is impossible, or the memory is not there.</exception>
    public Gpt2(IBackend backend, ModelConfig config, int batchSize, int sequenceLength, ModelUse use,
        Recompute recompute = Recompute.None, IReadOnlyDictionary<string, string>? choices = null, int averages = 0)
    {
        ArgumentNullException.ThrowIfNull(backend);
        ArgumentNullException.ThrowIfNull(config);
        config.Validated();
        if (batchSize <= 0)
            throw new RequestException($"--batch-size must be positive, but is {batchSize}.");
        if (sequenceLength <= 0 || sequenceLength > config.SequenceLength)
            throw new RequestException($"--seq-len {sequenceLength} is not between 1 and the model's {config.SequenceLength} positions.");
        backend.CheckSupports(config);
        (_backend, _recompute) = (backend, recompute);
        var shape = new PassShape(config, batchSize, sequenceLength, use) { Averages = averages };
        var plan = MemoryPlan.Fitting(backend, shape, recompute);
        backend.Prepare(shape, choices);
        Layout = new ParameterLayout(config);
        _memory = new ModelMemory(backend, plan, config.Channels);
        _weights = Tensors.Weights;
        _activations = new Gpt2Activations(_memory.Activations, shape, backend.Precision.Working, recompute);
    }

    /// <summary>Where each parameter tensor lies.</summary>
    public ParameterLayout Layout { get; }

    /// <summary>The sizes.</summary>
    public ModelConfig Config => Layout.Config;

    /// <summary>The most tokens in a sequence that this instance has room for.</summary>
    public int SequenceLength => _activations.MaximumSequenceLength;

    /// <summary>The memory that was planned, the optimizer's included.</summary>
    public MemoryPlan Memory => _memory.Plan;

    /// <summary>Parameters, and for training their gradients and moments, each in the order of <see cref="Layout"/>.</summary>
    public TrainingTensors Tensors => _memory.Tensors;

    /// <summary>All parameters as exactly as there are. Whoever writes them calls <see cref="RefreshWeights"/> afterwards.</summary>
    public Tensor Parameters => Tensors.Exact;

    /// <summary>The gradients of all parameters; none unless the model is for training.</summary>
    public Tensor Gradients => Tensors.Gradients;

    /// <summary>Room for averages of the parameters, fp32, in the order of <see cref="Layout"/>.</summary>
    public IReadOnlyList<Tensor> Averages => _memory.Averages;

    /// <summary>(1) of fp64: the mean loss of the passes since one did not accumulate, in nats per token.</summary>
    public Tensor TotalLoss => _activations.TotalLoss;

    /// <summary>
    /// Brings the weights that passes read up to date with <see cref="Parameters"/>; where weights are bf16 numbers stored as fp32, rounds them to the nearest.
    /// </summary>
    public void RefreshWeights()
    {
        if (!Tensors.Master.IsNone)
            _backend.Convert(Tensors.Weights, Tensors.Master);
        else if (_backend.Precision.RoundsWeights && Tensors.Weights.Type == ElementType.Float32)
            _backend.RoundToBFloat16(Tensors.Weights);
    }

    /// <summary>Has forward passes read other weights. The model's own are not touched; where the others have to be rounded for the passes, the gradients are overwritten.</summary>
    /// <param name="weights">As many as <see cref="Parameters"/>, in the same order; fp32, or of the type that passes read.</param>
    /// <param name="passes">Makes forward passes, no backward pass.</param>
    /// <returns>What <paramref name="passes"/> returns.</returns>
    public T WithWeights<T>(Tensor weights, Func<T> passes)
    {
        ArgumentNullException.ThrowIfNull(passes);
        Tensor own = Tensors.Weights, others = weights;
        if (weights.Type != own.Type)
        {
            // Twice the room of bf16, and nothing in it that the next backward pass does not overwrite.
            others = new Tensor(Gradients.Address, own.Type, own.Shape);
            _backend.Convert(others, weights);
        }

        _weights = others;
        try
        {
            return passes();
        }
        finally
        {
            _weights = own;
        }
    }

    /// <summary>Reads <see cref="TotalLoss"/>: waits for the passes.</summary>
    public double ReadLoss()
    {
        Span<double> loss = stackalloc double[1];
        _backend.Download(TotalLoss, loss);
        return loss[0];
    }

    /// <summary>The mean loss of a micro-batch, divided by <paramref name="batches"/>, goes to <see cref="TotalLoss"/>.</summary>
    /// <param name="tokens">(B, T) ids below V.</param>
    /// <param name="targets">(B, T) ids below V: the token after each.</param>
    /// <param name="b">B.</param>
    /// <param name="t">T.</param>
    /// <param name="batches">How many micro-batches make one mean.</param>
    /// <param name="accumulate">Whether to add to the loss of those before this one.</param>
    public void ForwardLoss(ReadOnlySpan<int> tokens, ReadOnlySpan<int> targets, int b, int t, int batches = 1, bool accumulate = false)
    {
        Forward(tokens, b, t);
        Classify(targets, gradientScale: 0, batches, accumulate);
    }

    /// <summary>The same, and the gradient of it goes to <see cref="Gradients"/>.</summary>
    /// <param name="tokens">(B, T) ids below V.</param>
    /// <param name="targets">(B, T) ids below V: the token after each.</param>
    /// <param name="b">B.</param>
    /// <param name="t">T.</param>
    /// <param name="batches">How many micro-batches make one step.</param>
    /// <param name="accumulate">Whether to add to the loss and gradients of the step's micro-batches before this one.</param>
    public void LossAndGradients(ReadOnlySpan<int> tokens, ReadOnlySpan<int> targets, int b, int t, int batches = 1, bool accumulate = false)
    {
        Forward(tokens, b, t);
        Classify(targets, 1f / ((float)b * t * batches), batches, accumulate);
        Backward(accumulate);
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
        _backend.DownloadFloats(row.Slice(0, new Shape(Config.Vocabulary)), logits[..Config.Vocabulary]);
    }

    /// <summary>The largest magnitude of a logit over a sequence; of a model that is not for sampling.</summary>
    /// <param name="tokens">1 to T ids below V.</param>
    public double LargestLogit(ReadOnlySpan<int> tokens)
    {
        Forward(tokens, 1, tokens.Length);
        _backend.LinearForward(_activations.Logits, _activations.FinalNorm, Weight(TokenTable));
        var logits = new float[Config.Vocabulary];
        double largest = 0;
        for (int t = 0; t < tokens.Length; t++)
        {
            _backend.DownloadFloats(_activations.Logits.Slice((long)t * Config.PaddedVocabulary, new Shape(Config.Vocabulary)), logits);
            foreach (float logit in logits)
                largest = Math.Max(largest, Math.Abs(logit));
        }

        return largest;
    }

    /// <inheritdoc/>
    public void Dispose() => _memory.Dispose();

    private const int TokenTable = 0;
    private const int PositionTable = 1;

    private int FinalNormWeight => Layout.Tensors.Count - 2;

    private int FinalNormBias => Layout.Tensors.Count - 1;

    private void Forward(ReadOnlySpan<int> tokens, int b, int t)
    {
        CheckTokens(tokens);
        var a = _activations;
        a.View(b, t);
        _backend.Upload(tokens, a.Tokens);
        _backend.EmbeddingForward(a.Residual(0), a.Tokens, Weight(TokenTable), Weight(PositionTable));
        FirstNorm(0);
        for (int layer = 0; layer < Config.Layers; layer++)
        {
            var block = a.Layer(layer);
            AttentionAndHidden(layer, block);
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

    private void FirstNorm(int layer)
    {
        var block = _activations.Layer(layer);
        _backend.LayerNormForward(block.Norm1, block.Mean1, block.Rstd1, _activations.Residual(layer),
            Weight(BlockTensor.LayerNorm1Weight, layer), Weight(BlockTensor.LayerNorm1Bias, layer));
    }

    /// <summary>A block from its first normalisation to the input of its last linear layer: everything that the backward pass reads.</summary>
    private void AttentionAndHidden(int layer, in Gpt2Activations.Block block)
    {
        var a = _activations;
        _backend.LinearForward(block.Qkv, block.Norm1, Weight(BlockTensor.QkvWeight, layer), Weight(BlockTensor.QkvBias, layer));
        _backend.AttentionForward(block.Attention, block.LogSumExp, block.Qkv);
        _backend.LinearForward(a.Branch, block.Attention,
            Weight(BlockTensor.AttentionProjectionWeight, layer), Weight(BlockTensor.AttentionProjectionBias, layer));
        _backend.ResidualLayerNormForward(block.Middle, block.Norm2, block.Mean2, block.Rstd2, a.Residual(layer), a.Branch,
            Weight(BlockTensor.LayerNorm2Weight, layer), Weight(BlockTensor.LayerNorm2Bias, layer));
        _backend.LinearForward(block.Hidden, block.Norm2,
            Weight(BlockTensor.MlpWeight, layer), Weight(BlockTensor.MlpBias, layer), block.PreActivation);
    }

    private void Classify(ReadOnlySpan<int> targets, float gradientScale, int batches, bool accumulate)
    {
        CheckTokens(targets);
        var a = _activations;
        _backend.Upload(targets, a.Targets);
        _backend.LinearForward(a.Logits, a.FinalNorm, Weight(TokenTable));
        _backend.SoftmaxCrossEntropy(a.Logits, a.Losses, a.Targets, Config.Vocabulary, gradientScale);
        _backend.AddMean(a.TotalLoss, a.Losses, 1.0 / batches, accumulate);
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
            RecomputeActivations(layer, block);
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

    /// <summary>What the forward pass did not keep. Of the last layer everything is still there.</summary>
    private void RecomputeActivations(int layer, in Gpt2Activations.Block block)
    {
        if (_recompute == Recompute.None || layer == Config.Layers - 1)
            return;
        FirstNorm(layer);
        if (_recompute == Recompute.Block)
        {
            AttentionAndHidden(layer, block);
            return;
        }

        _backend.LayerNormForward(block.Norm2, block.Mean2, block.Rstd2, block.Middle,
            Weight(BlockTensor.LayerNorm2Weight, layer), Weight(BlockTensor.LayerNorm2Bias, layer));
        _backend.GeluForward(block.Hidden, block.PreActivation);
    }

    /// <summary>A device could not refuse an id that lies outside its tables.</summary>
    private void CheckTokens(ReadOnlySpan<int> tokens)
    {
        int bad = tokens.IndexOfAnyExceptInRange(0, Config.Vocabulary - 1);
        if (bad >= 0)
            throw new ArgumentOutOfRangeException(nameof(tokens), $"the id {tokens[bad]} is not below the vocabulary of {Config.Vocabulary}");
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

    private Tensor Weight(int index) => _weights.Slice(Layout.Segments[index].Offset, Layout.Tensors[index].Shape);

    private Tensor Weight(BlockTensor tensor, int layer) => Weight(Layout.IndexOf(tensor, layer));

    private Tensor Gradient(int index) => Gradients.Slice(Layout.Segments[index].Offset, Layout.Tensors[index].Shape);

    private Tensor Gradient(BlockTensor tensor, int layer) => Gradient(Layout.IndexOf(tensor, layer));
}
