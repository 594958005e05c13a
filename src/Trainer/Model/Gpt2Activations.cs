using Trainer.Compute;

namespace Trainer.Model;

/// <summary>
/// The activations of a <see cref="Gpt2"/> and the gradients that flow back through it: views of one piece of memory, divided anew for each
/// size of micro-batch.
/// </summary>
internal sealed class Gpt2Activations
{
    private readonly Arena _arena;
    private readonly ModelConfig _config;
    private readonly ModelUse _use;
    private readonly Recompute _recompute;
    private readonly ElementType _working;
    private readonly Block[] _blocks;
    private readonly Tensor[] _residuals;

    /// <summary>Divides memory for the largest micro-batch.</summary>
    /// <param name="arena">The memory; one that only counts tells how much is needed.</param>
    /// <param name="shape">The largest micro-batch, and what the passes are for.</param>
    /// <param name="working">The type of activations.</param>
    /// <param name="recompute">What is not kept for the backward pass.</param>
    public Gpt2Activations(Arena arena, in PassShape shape, ElementType working, Recompute recompute)
    {
        (_arena, _config, _use, _working, _recompute) = (arena, shape.Model, shape.Use, working, recompute);
        MaximumSequenceLength = shape.SequenceLength;
        MaximumBatchSize = shape.BatchSize;
        // A training pass keeps every layer's activations; otherwise one layer's are enough, and two residuals, before and after it.
        bool train = shape.Use == ModelUse.Train;
        _blocks = new Block[train && recompute != Recompute.Block ? _config.Layers : 1];
        _residuals = new Tensor[train ? _config.Layers + 1 : 2];
        View(shape.BatchSize, shape.SequenceLength);
    }

    /// <summary>The most sequences in a micro-batch.</summary>
    public int MaximumBatchSize { get; }

    /// <summary>The most tokens in a sequence.</summary>
    public int MaximumSequenceLength { get; }

    /// <summary>(1) of fp64: the loss of a step, the sum over its micro-batches.</summary>
    public Tensor TotalLoss { get; private set; }

    /// <summary>(B, T) token ids, inputs.</summary>
    public Tensor Tokens { get; private set; }

    /// <summary>(B, T) token ids, targets.</summary>
    public Tensor Targets { get; private set; }

    /// <summary>(R, C): what a sublayer adds to the residual stream.</summary>
    public Tensor Branch { get; private set; }

    /// <summary>(R, C): the last layer normalisation's output.</summary>
    public Tensor FinalNorm { get; private set; }

    /// <summary>(R) of the last layer normalisation.</summary>
    public Tensor FinalMean { get; private set; }

    /// <summary>(R) of the last layer normalisation.</summary>
    public Tensor FinalRstd { get; private set; }

    /// <summary>(R, Vp), or (1, Vp) for sampling; replaced by its gradient.</summary>
    public Tensor Logits { get; private set; }

    /// <summary>(R).</summary>
    public Tensor Losses { get; private set; }

    /// <summary>(B, T, C): the gradient of the residual stream.</summary>
    public Tensor DResidual { get; private set; }

    /// <summary>(B, T, C): the gradient of a sublayer's input or of the attention output.</summary>
    public Tensor DBranch { get; private set; }

    /// <summary>(R, 4C).</summary>
    public Tensor DHidden { get; private set; }

    /// <summary>(B, T, 3C).</summary>
    public Tensor DQkv { get; private set; }

    /// <summary>The bytes of everything.</summary>
    public static long Bytes(in PassShape shape, ElementType working, Recompute recompute)
    {
        var counted = new Arena();
        _ = new Gpt2Activations(counted, shape, working, recompute);
        return counted.Used;
    }

    /// <summary>The activations of a layer.</summary>
    public Block Layer(int layer) => _blocks[layer % _blocks.Length];

    /// <summary>(B, T, C): the residual stream before a layer; after the last one for <c>layer = L</c>.</summary>
    public Tensor Residual(int layer) => _residuals[layer % _residuals.Length];

    /// <summary>Lays the views out for micro-batches of b sequences of t tokens; nothing happens if they are so already.</summary>
    public void View(int b, int t)
    {
        if (!Tokens.IsNone && Tokens.Shape == new Shape(b, t))
            return;
        int rows = b * t, c = _config.Channels;
        _arena.Reset();
        TotalLoss = _arena.Take(ElementType.Float64, new Shape(1));
        Tokens = _arena.Take(ElementType.Int32, new Shape(b, t));
        Targets = _arena.Take(ElementType.Int32, new Shape(b, t));
        for (int i = 0; i < _residuals.Length; i++)
            _residuals[i] = Working(new Shape(b, t, c));
        for (int i = 0; i < _blocks.Length; i++)
        {
            bool shares = i > 0 && _recompute == Recompute.GeluLayerNorm;
            _blocks[i] = new Block
            {
                Norm1 = shares ? _blocks[0].Norm1 : Working(new Shape(rows, c)), Mean1 = Float(new Shape(rows)), Rstd1 = Float(new Shape(rows)),
                Qkv = Working(new Shape(b, t, 3 * c)), Attention = Working(new Shape(b, t, c)), LogSumExp = Float(new Shape(b, _config.Heads, t)),
                Middle = Working(new Shape(b, t, c)),
                Norm2 = shares ? _blocks[0].Norm2 : Working(new Shape(rows, c)), Mean2 = Float(new Shape(rows)), Rstd2 = Float(new Shape(rows)),
                PreActivation = Working(new Shape(rows, 4 * c)), Hidden = shares ? _blocks[0].Hidden : Working(new Shape(rows, 4 * c)),
            };
        }

        Branch = Working(new Shape(rows, c));
        FinalNorm = Working(new Shape(rows, c));
        FinalMean = Float(new Shape(rows));
        FinalRstd = Float(new Shape(rows));
        Logits = Working(new Shape(_use == ModelUse.Sample ? 1 : rows, _config.PaddedVocabulary));
        Losses = Float(new Shape(rows));
        if (_use != ModelUse.Train)
            return;
        DResidual = Working(new Shape(b, t, c));
        DBranch = Working(new Shape(b, t, c));
        DHidden = Working(new Shape(rows, 4 * c));
        DQkv = Working(new Shape(b, t, 3 * c));
    }

    private Tensor Working(Shape shape) => _arena.Take(_working, shape);

    private Tensor Float(Shape shape) => _arena.Take(ElementType.Float32, shape);

    /// <summary>What a transformer block's forward pass leaves for its backward pass.</summary>
    internal readonly record struct Block
    {
        /// <summary>(R, C): the first layer normalisation's output.</summary>
        public Tensor Norm1 { get; init; }

        /// <summary>(R).</summary>
        public Tensor Mean1 { get; init; }

        /// <summary>(R).</summary>
        public Tensor Rstd1 { get; init; }

        /// <summary>(B, T, 3C).</summary>
        public Tensor Qkv { get; init; }

        /// <summary>(B, T, C): what attention put out, before its projection.</summary>
        public Tensor Attention { get; init; }

        /// <summary>(B, NH, T).</summary>
        public Tensor LogSumExp { get; init; }

        /// <summary>(B, T, C): the residual stream between attention and MLP.</summary>
        public Tensor Middle { get; init; }

        /// <summary>(R, C): the second layer normalisation's output.</summary>
        public Tensor Norm2 { get; init; }

        /// <summary>(R).</summary>
        public Tensor Mean2 { get; init; }

        /// <summary>(R).</summary>
        public Tensor Rstd2 { get; init; }

        /// <summary>(R, 4C): before the GELU.</summary>
        public Tensor PreActivation { get; init; }

        /// <summary>(R, 4C): after it.</summary>
        public Tensor Hidden { get; init; }
    }
}
