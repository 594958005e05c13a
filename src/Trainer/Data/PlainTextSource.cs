using CommunityToolkit.HighPerformance.Buffers;

namespace Trainer.Data;

/// <summary>A text file, which is one document.</summary>
/// <param name="path">The file.</param>
internal sealed class PlainTextSource(string path) : TextSource(path, new FileInfo(path).Length)
{
    private const int BlockBytes = 1 << 20;

    /// <inheritdoc/>
    public override IEnumerable<TextPart> Read() => Read(BlockBytes);

    /// <summary>Reads in blocks of a given size, for tests of what happens at their borders.</summary>
    internal IEnumerable<TextPart> Read(int blockBytes)
    {
        using FileStream file = Open(Name);
        using MemoryOwner<byte> buffer = MemoryOwner<byte>.Allocate(blockBytes);
        long offset = 0;
        int kept = 0;
        bool started = false;
        while (true)
        {
            int read = file.ReadAtLeast(buffer.Span[kept..], blockBytes - kept, throwOnEndOfStream: false);
            int filled = kept + read;
            bool isLast = filled < blockBytes;
            int skipped = offset == 0 && buffer.Span[..filled].StartsWith(Utf8Check.ByteOrderMark) ? Utf8Check.ByteOrderMark.Length : 0;
            kept = isLast ? 0 : Utf8Check.IncompleteTail(buffer.Span[..filled]);
            Utf8Check.Require(buffer.Span[skipped..(filled - kept)], Name, offset + skipped);
            if (filled - kept > skipped)
            {
                yield return new TextPart(buffer.Memory[skipped..(filled - kept)], !started, filled - kept);
                started = true;
            }

            if (isLast)
                yield break;
            offset += filled - kept;
            buffer.Span[(filled - kept)..filled].CopyTo(buffer.Span);
        }
    }
}
