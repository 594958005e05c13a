using System.Buffers.Text;
using System.Globalization;
using System.Text;

namespace Trainer.Tokenization;

/// <summary>The <c>.tiktoken</c> rank file: lines of base64 token bytes, a space and the rank, ranks counting from 0.</summary>
internal static class RankFile
{
    /// <summary>Reads a rank file.</summary>
    /// <exception cref="RequestException">A line is malformed, out of order, or repeats a token; or the file is incomplete.</exception>
    public static MergeRanks Read(string path)
    {
        var tokens = new ByteStringTable();
        byte[] content = File.ReadAllBytes(path);
        byte[] token = new byte[256];
        int line = 0;
        foreach (Range range in content.AsSpan().Split((byte)'\n'))
        {
            line++;
            ReadOnlySpan<byte> text = content.AsSpan(range).TrimEnd("\r"u8);

            // Only the end of the file may be empty: a hole elsewhere is damage.
            if (text.IsEmpty && range.End.Value == content.Length)
                break;

            int space = text.IndexOf((byte)' ');
            if (space <= 0 || !Utf8Parser.TryParse(text[(space + 1)..], out int rank, out int digits) || space + 1 + digits != text.Length)
                throw Garbled(path, line, "expected base64, a space and a rank");
            if (Base64.GetMaxDecodedFromUtf8Length(space) > token.Length)
                token = new byte[Base64.GetMaxDecodedFromUtf8Length(space)];
            if (Base64.DecodeFromUtf8(text[..space], token, out _, out int length) != System.Buffers.OperationStatus.Done || length == 0)
                throw Garbled(path, line, "the token is not base64");
            if (rank != line - 1)
                throw Garbled(path, line, $"expected rank {line - 1}, found {rank}");
            if (!tokens.Add(token.AsSpan(0, length), out int first))
                throw Garbled(path, line, $"repeats the token of line {first + 1}");
        }

        if (tokens.Count == 0)
            throw new RequestException($"{path}: the rank file is empty.");

        // A file cut inside its last rank ("... 502") would pass for a complete one but for the missing line end.
        if (content[^1] != '\n')
            throw Garbled(path, line, "the last line has no line end; the file is truncated");
        return MergeRanks.Create(tokens, path);
    }

    /// <summary>Writes a rank file.</summary>
    public static void Write(string path, MergeRanks ranks)
    {
        using var writer = new StreamWriter(path, append: false, new UTF8Encoding(encoderShouldEmitUTF8Identifier: false));
        writer.NewLine = "\n";
        for (int rank = 0; rank < ranks.Count; rank++)
            writer.WriteLine(string.Create(CultureInfo.InvariantCulture, $"{Convert.ToBase64String(ranks[rank])} {rank}"));
    }

    private static RequestException Garbled(string path, int line, string what) => new($"{path}, line {line}: not a rank file: {what}.");
}
