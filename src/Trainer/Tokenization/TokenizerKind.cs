namespace Trainer.Tokenization;

/// <summary>The names of <see cref="ITokenizer.Kind"/>, as the command line and the manifest of a dataset spell them.</summary>
public static class TokenizerKind
{
    /// <summary>Bytes: see <see cref="ByteTokenizer"/>.</summary>
    public const string Bytes = "bytes";

    /// <summary>Byte-level BPE whose merges were learned here: see <see cref="BpeTrainer"/>.</summary>
    public const string Bpe = "bpe";

    /// <summary>Byte-level BPE whose merges come from a file, such as GPT-2's.</summary>
    public const string Gpt2 = "gpt2";

    /// <summary>Makes a tokenizer of a kind.</summary>
    /// <param name="kind">One of the names of this class.</param>
    /// <param name="path">What <see cref="MergeRanks.Load"/> reads; must be null for <see cref="Bytes"/>, which has no file.</param>
    /// <exception cref="RequestException">The kind is unknown, the file is missing, needless or corrupt.</exception>
    public static ITokenizer Load(string kind, string? path)
    {
        switch (kind)
        {
            case Bytes when path is null:
                return new ByteTokenizer();
            case Bytes:
                throw new RequestException($"--tokenizer {Bytes} has no vocabulary; leave out --vocab-file {path}.");
            case Bpe or Gpt2 when path is null:
                throw new RequestException(
                    $"--tokenizer {kind} needs --vocab-file: a .tiktoken rank file, or vocab.bpe (merges.txt) with encoder.json (vocab.json) beside it.");
            case Bpe or Gpt2:
                return new BpeTokenizer(MergeRanks.Load(path), kind);
            default:
                throw new RequestException($"--tokenizer {kind} is unknown; choose {Bytes}, {Bpe} or {Gpt2}.");
        }
    }
}
