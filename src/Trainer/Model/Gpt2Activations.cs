using Trainer.Compute;

namespace Trainer.Model;

/// <summary>
/// The activations of a <see cref="Gpt2"/> and the gradients that flow back through it, in one allocation for the largest micro-batch, and views
/// of them for the micro-batch at hand.
/// </summary>
internal sealed class Gpt2Activations : IDisposable
{
    private const int ViewsPerBlock = 14;

    private readonly IBackend _backend;
    private readonly ModelConfig _config;
    private readonly ModelUse _use;
    private readonly Tensor _memory;
    private readonly Tensor _tokens;
    private readonly Tensor _targets;
    private readonly Block[] _blocks;
    private readonly Tensor[] _residuals;
    private long _used;

    public Gpt2Activations(IBackend backend, ModelConfig config, int batchSize, int sequenceLength, ModelUse use)
    {
        _backend = backend;
        _config = config;
        _use = use;
        MaximumBatchSize = batchSize;
        MaximumSequenceLength = sequenceLength;
        // A training pass keeps every layer's activations; otherwise one layer's are enough, and two residuals, before and after it.
        _blocks = new Block[use == ModelUse.Train ? config.Layers : 1];
        _residuals = new Tensor[use == ModelUse.Train ? config.Layers + 1 : 2];
        long bytes = Bytes(config, batchSize, sequenceLength, use);
        _memory = backend.Allocate(ElementType.Float32, MatrixOf(bytes / sizeof(float)));
        _tokens = backend.Allocate(ElementType.Int32, new Shape(batchSize, sequenceLength));
        _targets = backend.Allocate(ElementType.Int32, new Shape(batchSize, sequenceLength));
        View(batchSize, sequenceLength);
    }

    /// <summary>The most sequences in a micro-batch.</summary>
    public int MaximumBatchSize { get; }

    /// <summary>The most tokens in a sequence.</summary>
    public int MaximumSequenceLength { get; }

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
    public static long Bytes(ModelConfig config, int batchSize, int sequenceLength, ModelUse use)
    {
        long rows = (long)batchSize * sequenceLength, c = config.Channels;
        long norm = rows * (c + 2);
        long block = (2 * norm) + (rows * 3 * c) + (rows * c) + (rows * config.Heads) + (rows * c) + (2 * rows * 4 * c);
        bool train = use == ModelUse.Train;
        long blocks = train ? config.Layers * block : block;
        long residuals = rows * c * (train ? config.Layers + 1 : 2);
        long logits = use == ModelUse.Sample ? config.PaddedVocabulary : rows * config.PaddedVocabulary;
        long gradients = train ? rows * (c + c + (4 * c) + (3 * c)) : 0;
        long floats = blocks + residuals + (rows * c) + norm + logits + rows + gradients;
        // Each view begins on a cache line.
        return (floats + ((16L * ViewsPerBlock * config.Layers) + 1024)) * sizeof(float) + (2 * rows * sizeof(int));
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
        _used = 0;
        Tokens = _tokens.Reshape(new Shape(MaximumBatchSize * MaximumSequenceLength)).Slice(0, new Shape(b, t));
        Targets = _targets.Reshape(new Shape(MaximumBatchSize * MaximumSequenceLength)).Slice(0, new Shape(b, t));
        for (int i = 0; i < _residuals.Length; i++)
            _residuals[i] = Take(new Shape(b, t, c));
        for (int i = 0; i < _blocks.Length; i++)
        {
            _blocks[i] = new Block
            {
                Norm1 = Take(new Shape(rows, c)), Mean1 = Take(new Shape(rows)), Rstd1 = Take(new Shape(rows)),
                Qkv = Take(new Shape(b, t, 3 * c)), Attention = Take(new Shape(b, t, c)), LogSumExp = Take(new Shape(b, _config.Heads, t)),
                Middle = Take(new Shape(b, t, c)),
                Norm2 = Take(new Shape(rows, c)), Mean2 = Take(new Shape(rows)), Rstd2 = Take(new Shape(rows)),
                PreActivation = Take(new Shape(rows, 4 * c)), Hidden = Take(new Shape(rows, 4 * c)),
            };
        }

        Branch = Take(new Shape(rows, c));
        FinalNorm = Take(new Shape(rows, c));
        FinalMean = Take(new Shape(rows));
        FinalRstd = Take(new Shape(rows));
        Logits = Take(new Shape(_use == ModelUse.Sample ? 1 : rows, _config.PaddedVocabulary));
        Losses = Take(new Shape(rows));
        if (_use != ModelUse.Train)
            return;
        DResidual = Take(new Shape(b, t, c));
        DBranch = Take(new Shape(b, t, c));
        DHidden = Take(new Shape(rows, 4 * c));
        DQkv = Take(new Shape(b, t, 3 * c));
    }

    public void Dispose()
    {
        _backend.Free(_memory);
        _backend.Free(_tokens);
        _backend.Free(_targets);
    }

    private static Shape MatrixOf(long floats)
    {
        const int Columns = 1024;
        return new Shape(checked((int)((floats + Columns - 1) / Columns)), Columns);
    }

    private Tensor Take(Shape shape)
    {
        var view = _memory.Slice(_used, shape);
        _used += (shape.Count + 15) / 16 * 16;
        return view;
    }

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
