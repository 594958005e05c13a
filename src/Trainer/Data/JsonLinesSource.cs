using System.Text.Json;

namespace Trainer.Data;

/// <summary>A JSON Lines file: every line is an object whose <c>text</c> is a document. Empty lines are allowed.</summary>
/// <param name="path">The file.</param>
internal sealed class JsonLinesSource(string path) : TextSource(path, new FileInfo(path).Length)
{
    private const int BlockBytes = 1 << 20;

    /// <inheritdoc/>
    public override IEnumerable<TextPart> Read()
    {
        using FileStream file = Open(Name);
        byte[] buffer = new byte[BlockBytes];
        byte[] text = new byte[BlockBytes];
        int filled = 0;
        long offset = 0;
        long line = 0;
        long unreported = 0;
        bool isLast = false;
        while (!isLast)
        {
            // A line longer than the buffer needs a larger one: a document has to fit in memory, the file does not.
            if (filled == buffer.Length)
                Array.Resize(ref buffer, Larger(buffer.Length, line));
            int read = file.ReadAtLeast(buffer.AsSpan(filled), buffer.Length - filled, throwOnEndOfStream: false);
            filled += read;
            isLast = filled < buffer.Length;

            int start = 0;
            while (start < filled)
            {
                int length = buffer.AsSpan(start, filled - start).IndexOf((byte)'\n');
                if (length < 0 && !isLast)
                    break;
                int next = length < 0 ? filled : start + length + 1;
                line++;
                unreported += next - start;
                int textLength = ReadText(buffer.AsSpan(start..next), line, offset + start, ref text);
                start = next;
                if (textLength > 0)
                {
                    yield return new TextPart(text.AsMemory(0, textLength), StartsDocument: true, unreported);
                    unreported = 0;
                }
            }

            buffer.AsSpan(start, filled - start).CopyTo(buffer);
            offset += start;
            filled -= start;
        }
    }

    private int ReadText(ReadOnlySpan<byte> json, long line, long offset, ref byte[] text)
    {
        if (line == 1 && json.StartsWith(Utf8Check.ByteOrderMark))
        {
            json = json[Utf8Check.ByteOrderMark.Length..];
            offset += Utf8Check.ByteOrderMark.Length;
        }

        Utf8Check.Require(json, $"{Name}, line {line}", offset);
        if (json.Trim(" \t\r\n"u8).IsEmpty)
            return 0;

        int length = -1;
        try
        {
            var reader = new Utf8JsonReader(json);
            reader.Read();
            if (reader.TokenType != JsonTokenType.StartObject)
                throw Malformed(line, "expected an object with a \"text\" string");
            while (reader.Read())
            {
                if (reader.CurrentDepth != 1 || reader.TokenType != JsonTokenType.PropertyName || !reader.ValueTextEquals("text"u8))
                    continue;
                reader.Read();
                if (reader.TokenType != JsonTokenType.String)
                    throw Malformed(line, $"\"text\" is a {reader.TokenType}, expected a string");
                if (length >= 0)
                    throw Malformed(line, "\"text\" appears twice");
                if (reader.ValueSpan.Length > text.Length)
                    text = new byte[reader.ValueSpan.Length];
                length = reader.CopyString(text);
            }
        }
        catch (Exception error) when (error is JsonException or InvalidOperationException)
        {
            throw new RequestException($"{Name}, line {line}: not JSON: {JsonReason.Of(error)}", error);
        }

        return length >= 0 ? length : throw Malformed(line, "has no \"text\"");
    }

    private int Larger(int length, long line) => length <= Array.MaxLength / 2
        ? 2 * length
        : throw new RequestException($"{Name}, line {line + 1}: longer than {length} bytes; a document must fit in memory.");

    private RequestException Malformed(long line, string what) => new($"{Name}, line {line}: {what}.");
}
