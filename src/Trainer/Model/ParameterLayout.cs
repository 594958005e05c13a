using Trainer.Compute;
using Trainer.Optimization;

namespace Trainer.Model;

/// <summary>
/// Where each parameter tensor lies in the one allocation that holds them all. The order is llm.c's: wte, wpe, then each of the
/// twelve kinds of block tensors over all layers, then the last layer normalisation; so that a model file is one copy.
/// </summary>
public sealed class ParameterLayout
{
    private readonly ParameterTensor[] _tensors;
    private readonly Segment[] _segments;
    private readonly int _layers;

    /// <summary>Lays out the parameters of a model.</summary>
    public ParameterLayout(ModelConfig config)
    {
        ArgumentNullException.ThrowIfNull(config);
        Config = config;
        _layers = config.Layers;
        int c = config.Channels;
        var tensors = new List<ParameterTensor>();
        long offset = 0;

        void Add(string name, ParameterKind kind, int layer, Shape shape)
        {
            tensors.Add(new ParameterTensor(name, kind, layer, shape, new Segment(offset, shape.Count)));
            offset += shape.Count;
        }

        void AddPerLayer(string name, ParameterKind kind, Shape shape)
        {
            for (int layer = 0; layer < config.Layers; layer++)
                Add($"h.{layer}.{name}", kind, layer, shape);
        }

        Add("wte.weight", ParameterKind.TokenEmbedding, -1, new Shape(config.PaddedVocabulary, c));
        Add("wpe.weight", ParameterKind.PositionEmbedding, -1, new Shape(config.SequenceLength, c));
        AddPerLayer("ln_1.weight", ParameterKind.LayerNorm, new Shape(c));
        AddPerLayer("ln_1.bias", ParameterKind.LayerNorm, new Shape(c));
        AddPerLayer("attn.c_attn.weight", ParameterKind.Matrix, new Shape(3 * c, c));
        AddPerLayer("attn.c_attn.bias", ParameterKind.Bias, new Shape(3 * c));
        AddPerLayer("attn.c_proj.weight", ParameterKind.Matrix, new Shape(c, c));
        AddPerLayer("attn.c_proj.bias", ParameterKind.Bias, new Shape(c));
        AddPerLayer("ln_2.weight", ParameterKind.LayerNorm, new Shape(c));
        AddPerLayer("ln_2.bias", ParameterKind.LayerNorm, new Shape(c));
        AddPerLayer("mlp.c_fc.weight", ParameterKind.Matrix, new Shape(4 * c, c));
        AddPerLayer("mlp.c_fc.bias", ParameterKind.Bias, new Shape(4 * c));
        AddPerLayer("mlp.c_proj.weight", ParameterKind.Matrix, new Shape(c, 4 * c));
        AddPerLayer("mlp.c_proj.bias", ParameterKind.Bias, new Shape(c));
        Add("ln_f.weight", ParameterKind.LayerNorm, -1, new Shape(c));
        Add("ln_f.bias", ParameterKind.LayerNorm, -1, new Shape(c));

        _tensors = [.. tensors];
        _segments = [.. tensors.Select(tensor => tensor.Segment)];
        Count = offset;
    }

    /// <summary>The model's sizes.</summary>
    public ModelConfig Config { get; }

    /// <summary>The number of parameters, padding of the vocabulary included.</summary>
    public long Count { get; }

    /// <summary>All tensors, in the order in which they lie in memory.</summary>
    public IReadOnlyList<ParameterTensor> Tensors => _tensors;

    /// <summary>The place of each of <see cref="Tensors"/>.</summary>
    public ReadOnlySpan<Segment> Segments => _segments;

    /// <summary>The index in <see cref="Tensors"/> of a block tensor.</summary>
    /// <param name="tensor">Which of the twelve.</param>
    /// <param name="layer">The layer, from 0.</param>
    public int IndexOf(BlockTensor tensor, int layer) => 2 + ((int)tensor * _layers) + layer;
}

/// <summary>The twelve parameter tensors of a transformer block, in the order of <see cref="ParameterLayout"/>.</summary>
public enum BlockTensor
{
    /// <summary>Gain of the layer normalisation before attention, (C).</summary>
    LayerNorm1Weight,

    /// <summary>Its bias, (C).</summary>
    LayerNorm1Bias,

    /// <summary>Projection to queries, keys and values, (3C, C).</summary>
    QkvWeight,

    /// <summary>Its bias, (3C).</summary>
    QkvBias,

    /// <summary>Projection of the attention output, (C, C).</summary>
    AttentionProjectionWeight,

    /// <summary>Its bias, (C).</summary>
    AttentionProjectionBias,

    /// <summary>Gain of the layer normalisation before the MLP, (C).</summary>
    LayerNorm2Weight,

    /// <summary>Its bias, (C).</summary>
    LayerNorm2Bias,

    /// <summary>First layer of the MLP, (4C, C).</summary>
    MlpWeight,

    /// <summary>Its bias, (4C).</summary>
    MlpBias,

    /// <summary>Second layer of the MLP, (C, 4C).</summary>
    MlpProjectionWeight,

    /// <summary>Its bias, (C).</summary>
    MlpProjectionBias,
}
