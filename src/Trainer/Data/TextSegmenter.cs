using System.Buffers;
using System.Text;
using Trainer.Tokenization;

namespace Trainer.Data;

/// <summary>A piece of a document, the unit that goes to the training or the validation split as a whole.</summary>
/// <param name="Utf8">The text; valid until the next segment is read.</param>
/// <param name="StartsDocument">Whether it is the beginning of a document.</param>
/// <param name="SourceBytes">The bytes of the source consumed since the segment before, for progress.</param>
internal readonly record struct TextSegment(ReadOnlyMemory<byte> Utf8, bool StartsDocument, long SourceBytes);

/// <summary>
/// Cuts documents into segments of at most a given size, each but the last of a document more than half of it. The cut comes before a
/// line end that follows a character which is not white space: no piece of the tokenizer reaches across such a place, so the segments
/// encode to the same tokens as the whole document. Where there is no such place it comes before another space, else between two characters.
/// </summary>
/// <param name="segmentBytes">The largest size of a segment.</param>
internal sealed class TextSegmenter(int segmentBytes)
{
    /// <summary>The smallest size for which <see cref="Cut"/> always finds a place between two characters.</summary>
    public const int LeastSegmentBytes = 64;

    /// <summary>Reads sources one after another. Where a cut falls depends on nothing but the document.</summary>
    public IEnumerable<TextSegment> Read(IEnumerable<TextSource> sources)
    {
        byte[] pending = new byte[2 * segmentBytes];
        int start = 0;
        int end = 0;
        bool isFirst = true;
        long sourceBytes = 0;
        foreach (TextPart part in sources.SelectMany(source => source.Read()))
        {
            if (part.StartsDocument)
            {
                if (end > start)
                    yield return Take(pending.AsMemory(start..end));
                (start, end, isFirst) = (0, 0, true);
            }

            sourceBytes += part.SourceBytes;
            ReadOnlyMemory<byte> text = part.Utf8;
            while (!text.IsEmpty)
            {
                if (end == pending.Length)
                {
                    pending.AsSpan(start..end).CopyTo(pending);
                    (start, end) = (0, end - start);
                }

                int copied = Math.Min(pending.Length - end, text.Length);
                text.Span[..copied].CopyTo(pending.AsSpan(end));
                text = text[copied..];
                end += copied;
                while (end - start > segmentBytes)
                {
                    int length = Cut(pending.AsSpan(start..end), segmentBytes);
                    yield return Take(pending.AsMemory(start, length));
                    start += length;
                }
            }
        }

        if (end > start)
            yield return Take(pending.AsMemory(start..end));

        TextSegment Take(ReadOnlyMemory<byte> utf8)
        {
            var segment = new TextSegment(utf8, isFirst, sourceBytes);
            (isFirst, sourceBytes) = (false, 0);
            return segment;
        }
    }

    // The length of the first segment of a text that is longer than the limit: more than half of it, at most all of it.
    private static int Cut(ReadOnlySpan<byte> text, int limit)
    {
        int beforeSpace = 0;
        for (int at = limit; at > limit / 2; at--)
        {
            if (!PieceSplitter.IsAsciiSpace(text[at]) || EndsInSpace(text[..at]))
                continue;
            if (text[at] is (byte)'\n' or (byte)'\r')
                return at;
            if (beforeSpace == 0)
                beforeSpace = at;
        }

        if (beforeSpace > 0)
            return beforeSpace;
        int between = limit;
        while ((text[between] & 0xC0) == 0x80)
            between--;
        return between;
    }

    private static bool EndsInSpace(ReadOnlySpan<byte> text) =>
        Rune.DecodeLastFromUtf8(text, out Rune last, out _) == OperationStatus.Done && Rune.IsWhiteSpace(last);
}
