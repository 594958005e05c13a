namespace Trainer.Tokenization;

/// <summary>
/// What byte-level BPE has learned: distinct byte strings, each with its rank, which is its token id. A string of two or more
/// bytes is a merge, and lower ranks are merged first. All 256 single bytes are present, so every text can be encoded.
/// </summary>
public sealed class MergeRanks
{
    private MergeRanks(ByteStringTable tokens) => Tokens = tokens;

    /// <summary>The number of ranks; also the id of the end-of-text token, which comes after them.</summary>
    public int Count => Tokens.Count;

    /// <summary>The strings, numbered by rank.</summary>
    internal ByteStringTable Tokens { get; }

    /// <summary>The bytes of a rank.</summary>
    /// <exception cref="ArgumentOutOfRangeException">There is no such rank.</exception>
    public ReadOnlySpan<byte> this[int rank] => Tokens[rank];

    /// <summary>
    /// Reads ranks from a <c>.tiktoken</c> rank file, from a merge list (<c>vocab.bpe</c> or <c>merges.txt</c>) with its vocabulary
    /// (<c>encoder.json</c> or <c>vocab.json</c>) beside it, or from a folder that holds either.
    /// </summary>
    /// <exception cref="RequestException">The file is missing, garbled, truncated or holds duplicates; the message names file and line.</exception>
    public static MergeRanks Load(string path)
    {
        if (Directory.Exists(path))
            path = FindIn(path);
        if (!File.Exists(path))
            throw new RequestException($"{path}: the tokenizer file does not exist.");
        return Path.GetExtension(path) is ".bpe" or ".txt" or ".json" ? MergeList.Read(path) : RankFile.Read(path);
    }

    /// <summary>Writes the ranks as a <c>.tiktoken</c> rank file: one line per rank, base64 of the bytes, a space, the rank.</summary>
    public void Save(string path) => RankFile.Write(path, this);

    /// <summary>Checks strings that came from a file or from training.</summary>
    /// <param name="tokens">The strings by rank.</param>
    /// <param name="origin">Where they came from, for the message.</param>
    /// <exception cref="RequestException">A single byte is missing.</exception>
    internal static MergeRanks Create(ByteStringTable tokens, string origin)
    {
        for (int value = 0; value < 256; value++)
        {
            if (tokens.Find([(byte)value]) < 0)
                throw new RequestException($"{origin}: no rank for the single byte 0x{value:x2}; the file is incomplete or not byte-level BPE.");
        }

        return new MergeRanks(tokens);
    }

    private static string FindIn(string folder)
    {
        string? rankFile = Directory.GetFiles(folder, "*.tiktoken").Order(StringComparer.Ordinal).FirstOrDefault();
        if (rankFile is not null)
            return rankFile;
        foreach (string name in MergeList.MergeNames)
        {
            string path = Path.Combine(folder, name);
            if (File.Exists(path))
                return path;
        }

        throw new RequestException($"{folder}: holds no tokenizer; expected a .tiktoken file, vocab.bpe with encoder.json, or merges.txt with vocab.json.");
    }
}
