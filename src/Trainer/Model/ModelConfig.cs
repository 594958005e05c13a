namespace Trainer.Model;

/// <summary>The sizes of a GPT-2 model (Radford et al. 2019).</summary>
/// <param name="Layers">L, the number of transformer blocks.</param>
/// <param name="Heads">NH, the number of attention heads; divides <paramref name="Channels"/>.</param>
/// <param name="Channels">C, the width of the residual stream.</param>
/// <param name="SequenceLength">The longest sequence, that is, the number of learned positions.</param>
/// <param name="Vocabulary">V, the number of token ids.</param>
public sealed record ModelConfig(int Layers, int Heads, int Channels, int SequenceLength, int Vocabulary)
{
    /// <summary>The vocabulary is padded to a multiple of this, as llm.c does, so that the classifier's matrix product has whole tiles.</summary>
    public const int VocabularyMultiple = 128;

    /// <summary>Vp, the rows of the token embedding: <see cref="Vocabulary"/> rounded up. Rows from V on are never predicted.</summary>
    public int PaddedVocabulary { get; init; } = RoundUp(Vocabulary, VocabularyMultiple);

    /// <summary>HS = C / NH.</summary>
    public int HeadSize => Channels / Heads;

    /// <summary>Checks that the sizes make a model.</summary>
    /// <exception cref="RequestException">A size is not positive, heads do not divide channels, or the padding is too small.</exception>
    public ModelConfig Validated()
    {
        Require(Layers, "layers");
        Require(Heads, "heads");
        Require(Channels, "channels");
        Require(SequenceLength, "seq-len");
        Require(Vocabulary, "vocabulary size");
        if (Channels % Heads != 0)
            throw new RequestException($"--heads {Heads} does not divide --channels {Channels}; choose channels = heads x head size (GPT-2 uses 64).");
        if (PaddedVocabulary < Vocabulary)
            throw new RequestException($"the padded vocabulary {PaddedVocabulary} is smaller than the vocabulary {Vocabulary}.");
        return this;
    }

    private static void Require(int value, string name)
    {
        if (value <= 0)
            throw new RequestException($"{name} must be positive, but is {value}.");
    }

    private static int RoundUp(int value, int multiple) => checked((value + multiple - 1) / multiple * multiple);
}
