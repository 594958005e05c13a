using System.Text;
using System.Text.Json;

namespace Trainer.Tokenization;

/// <summary>
/// GPT-2's own tokenizer files: a list of merges (<c>vocab.bpe</c>, at Hugging Face <c>merges.txt</c>) and the ids
/// (<c>encoder.json</c>, <c>vocab.json</c>). Both write bytes as printable characters: a byte that is printable in Latin-1 stands
/// for itself and the others, in order, for U+0100 and up.
/// </summary>
internal static class MergeList
{
    /// <summary>The names under which merges are found, the preferred one first.</summary>
    public static readonly string[] MergeNames = ["vocab.bpe", "merges.txt"];

    private static readonly string[] VocabularyNames = ["encoder.json", "vocab.json"];
    private static readonly Dictionary<char, byte> ByteOfCharacter = CreateAlphabet();

    /// <summary>Reads merges and ids and checks that they agree: the ids of merges follow the 256 bytes in the order of the merges.</summary>
    /// <param name="path">Either of the two files; the other is found beside it.</param>
    /// <exception cref="RequestException">A file is missing or malformed, or the two do not agree.</exception>
    public static MergeRanks Read(string path)
    {
        bool isVocabulary = Path.GetExtension(path) == ".json";
        string merges = isVocabulary ? Beside(path, MergeNames, "merges") : path;
        string vocabulary = isVocabulary ? path : Beside(path, VocabularyNames, "ids of the tokens");

        Dictionary<string, int> ids = ReadVocabulary(vocabulary);
        var byRank = new string?[256];
        foreach ((char character, _) in ByteOfCharacter)
        {
            int id = IdOf(ids, character.ToString(), vocabulary);
            if (id >= 256)
                throw new RequestException($"{vocabulary}: the single byte \"{character}\" has id {id}; expected the bytes to have ids 0 to 255, as in GPT-2.");
            byRank[id] = character.ToString();
        }

        var tokens = new ByteStringTable();
        for (int id = 0; id < 256; id++)
            tokens.Add(ToBytes(byRank[id] ?? throw new RequestException($"{vocabulary}: no single byte has id {id}."), vocabulary, 0), out _);
        ReadMerges(merges, vocabulary, ids, tokens);

        int special = ids.Count - tokens.Count;
        if (special > 1 || (special == 1 && !ids.ContainsValue(tokens.Count)))
            throw new RequestException($"{vocabulary}: has {ids.Count} tokens, {merges} makes {tokens.Count}; expected the same, and at most <|endoftext|> after them.");
        return MergeRanks.Create(tokens, vocabulary);
    }

    /// <summary>Writes <c>merges.txt</c> and <c>vocab.json</c>.</summary>
    /// <exception cref="RequestException">The ranks cannot be written as merges.</exception>
    public static void Write(string folder, MergeRanks ranks)
    {
        var characterOfByte = new char[256];
        foreach ((char character, byte value) in ByteOfCharacter)
            characterOfByte[value] = character;
        string[] names = [.. Enumerable.Range(0, ranks.Count).Select(rank => string.Concat(ranks[rank].ToArray().Select(value => characterOfByte[value])))];

        var merges = new StringBuilder("#version: 0.2\n");
        var pairs = new PairMerges(ranks.Tokens);
        for (int rank = 0; rank < ranks.Count; rank++)
        {
            ReadOnlySpan<byte> bytes = ranks[rank];
            if ((rank < 256) != (bytes.Length == 1))
                throw new RequestException($"rank {rank} has {bytes.Length} bytes; a merge list needs the single bytes first and merges after them.");
            if (rank < 256)
                continue;
            var parts = new int[bytes.Length];
            int count = pairs.Encode(bytes, parts, rankLimit: rank);
            if (count != 2)
                throw new RequestException($"rank {rank} (\"{names[rank]}\") is not a merge of two earlier ranks; a merge list cannot hold it.");
            merges.Append(names[parts[0]]).Append(' ').Append(names[parts[1]]).Append('\n');
        }

        File.WriteAllText(Path.Combine(folder, "merges.txt"), merges.ToString());
        using FileStream file = File.Create(Path.Combine(folder, "vocab.json"));
        using var json = new Utf8JsonWriter(file);
        json.WriteStartObject();
        for (int rank = 0; rank < ranks.Count; rank++)
            json.WriteNumber(names[rank], rank);
        json.WriteNumber("<|endoftext|>", ranks.Count);
        json.WriteEndObject();
    }

    private static void ReadMerges(string path, string vocabulary, Dictionary<string, int> ids, ByteStringTable tokens)
    {
        int number = 0;
        foreach (string line in File.ReadLines(path, Encoding.UTF8))
        {
            number++;
            if (line.Length == 0 || (number == 1 && line.StartsWith("#version", StringComparison.Ordinal)))
                continue;
            string[] pair = line.Split(' ');
            if (pair.Length != 2 || pair[0].Length == 0 || pair[1].Length == 0)
                throw new RequestException($"{path}, line {number}: not a merge: expected two tokens with one space between.");
            foreach (string part in pair)
            {
                if (tokens.Find(ToBytes(part, path, number)) < 0)
                    throw new RequestException($"{path}, line {number}: merges \"{part}\", which no earlier line makes.");
            }

            string merged = pair[0] + pair[1];
            if (!tokens.Add(ToBytes(merged, path, number), out int rank))
                throw new RequestException($"{path}, line {number}: makes \"{merged}\" a second time.");
            int id = IdOf(ids, merged, vocabulary);
            if (id != rank)
                throw new RequestException($"{path}, line {number}: \"{merged}\" should have id {rank}, but {vocabulary} gives {id}; are the files of one model?");
        }
    }

    private static Dictionary<string, int> ReadVocabulary(string path)
    {
        var ids = new Dictionary<string, int>(StringComparer.Ordinal);
        try
        {
            using var document = JsonDocument.Parse(File.ReadAllBytes(path));
            foreach (JsonProperty property in document.RootElement.EnumerateObject())
            {
                if (!ids.TryAdd(property.Name, property.Value.GetInt32()))
                    throw new RequestException($"{path}: \"{property.Name}\" appears twice.");
            }
        }
        catch (Exception error) when (error is JsonException or InvalidOperationException or FormatException)
        {
            throw new RequestException($"{path}: not a vocabulary (a JSON object of token to id): {JsonReason.Of(error)}", error);
        }

        return ids;
    }

    private static int IdOf(Dictionary<string, int> ids, string token, string path) =>
        ids.TryGetValue(token, out int id) ? id : throw new RequestException($"{path}: has no id for the token \"{token}\".");

    private static byte[] ToBytes(string token, string path, int line)
    {
        var bytes = new byte[token.Length];
        for (int i = 0; i < token.Length; i++)
        {
            if (!ByteOfCharacter.TryGetValue(token[i], out bytes[i]))
                throw new RequestException($"{path}, line {line}: \"{token}\" holds U+{(int)token[i]:X4}, which stands for no byte.");
        }

        return bytes;
    }

    private static string Beside(string path, string[] names, string what)
    {
        string folder = Path.GetDirectoryName(Path.GetFullPath(path))!;
        return names.Select(name => Path.Combine(folder, name)).FirstOrDefault(File.Exists)
            ?? throw new RequestException($"{path}: needs the {what} beside it: {string.Join(" or ", names)}.");
    }

    private static Dictionary<char, byte> CreateAlphabet()
    {
        var alphabet = new Dictionary<char, byte>(256);
        char stand = (char)0x100;
        for (int value = 0; value < 256; value++)
        {
            bool printable = value is (>= '!' and <= '~') or (>= 0xA1 and <= 0xAC) or (>= 0xAE and <= 0xFF);
            alphabet.Add(printable ? (char)value : stand++, (byte)value);
        }

        return alphabet;
    }
}
