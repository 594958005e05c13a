using System.Buffers;
using CommunityToolkit.HighPerformance.Buffers;

namespace Trainer.Data;

/// <summary>Some segments, with their own copy of the text: what one thread works on at a time.</summary>
internal sealed class SegmentBatch : IDisposable
{
    // Enough that handing work to a thread costs nothing beside it, little enough that the threads finish together.
    private const int TargetBytes = 256 * 1024;

    private readonly ArrayPoolBufferWriter<byte> _text = new(TargetBytes);
    private readonly List<Entry> _entries = [];

    /// <summary>A segment of the batch.</summary>
    /// <param name="Start">Where its text begins in the batch.</param>
    /// <param name="Length">The bytes of its text.</param>
    /// <param name="IsValidation">Whether it is held out.</param>
    /// <param name="FollowsEndOfText">Whether an end-of-text token comes before it: it begins a document, or what came before it in the
    /// document went to the other split.</param>
    public readonly record struct Entry(int Start, int Length, bool IsValidation, bool FollowsEndOfText);

    /// <summary>The segments, in order.</summary>
    public IReadOnlyList<Entry> Entries => _entries;

    /// <summary>The bytes of the text.</summary>
    public int Bytes => _text.WrittenCount;

    /// <summary>The bytes of the sources that were read for it.</summary>
    public long SourceBytes { get; private set; }

    /// <summary>The text of a segment.</summary>
    public ReadOnlySpan<byte> Text(Entry entry) => _text.WrittenSpan.Slice(entry.Start, entry.Length);

    /// <summary>Collects segments into batches, saying of each which split it belongs to.</summary>
    public static IEnumerable<SegmentBatch> Collect(IEnumerable<TextSegment> segments, double validationFraction)
    {
        var assignment = new SplitAssignment(validationFraction);
        bool previousIsValidation = false;
        SegmentBatch? batch = null;
        foreach (TextSegment segment in segments)
        {
            bool isValidation = assignment.Next(segment.Utf8.Length);
            batch ??= new SegmentBatch();
            batch.Add(segment, isValidation, segment.StartsDocument || isValidation != previousIsValidation);
            previousIsValidation = isValidation;
            if (batch.Bytes >= TargetBytes)
            {
                yield return batch;
                batch = null;
            }
        }

        if (batch is not null)
            yield return batch;
    }

    /// <summary>Returns the memory.</summary>
    public void Dispose() => _text.Dispose();

    private void Add(TextSegment segment, bool isValidation, bool followsEndOfText)
    {
        _entries.Add(new Entry(_text.WrittenCount, segment.Utf8.Length, isValidation, followsEndOfText));
        _text.Write(segment.Utf8.Span);
        SourceBytes += segment.SourceBytes;
    }
}
