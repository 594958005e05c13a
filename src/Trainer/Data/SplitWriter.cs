using CommunityToolkit.HighPerformance.Buffers;
using Trainer.Tokenization;

namespace Trainer.Data;

/// <summary>The tokens of one split that a batch of segments gave.</summary>
internal sealed class EncodedSegments : IDisposable
{
    public ArrayPoolBufferWriter<int> Tokens { get; } = new();

    public long Documents { get; private set; }

    public long Bytes { get; private set; }

    public void Add(ReadOnlySpan<byte> text, bool followsEndOfText, ITokenizer tokenizer)
    {
        if (followsEndOfText)
        {
            Tokens.GetSpan(1)[0] = tokenizer.EndOfText;
            Tokens.Advance(1);
            Documents++;
        }

        tokenizer.Encode(text, Tokens);
        Bytes += text.Length;
    }

    public void Dispose() => Tokens.Dispose();
}

/// <summary>A batch of segments, encoded.</summary>
internal sealed record EncodedBatch(EncodedSegments Train, EncodedSegments Validation) : IDisposable
{
    /// <summary>Encodes a batch, on any thread.</summary>
    public static EncodedBatch Create(SegmentBatch batch, ITokenizer tokenizer)
    {
        var encoded = new EncodedBatch(new EncodedSegments(), new EncodedSegments());
        foreach (SegmentBatch.Entry entry in batch.Entries)
            (entry.IsValidation ? encoded.Validation : encoded.Train).Add(batch.Text(entry), entry.FollowsEndOfText, tokenizer);
        return encoded;
    }

    public void Dispose()
    {
        Train.Dispose();
        Validation.Dispose();
    }
}

/// <summary>Writes one split and counts what it holds.</summary>
internal sealed class SplitWriter(string folder, string split, ITokenizer tokenizer, int tokensPerShard) : IDisposable
{
    private readonly ShardSequenceWriter _shards = new(folder, split, tokenizer.VocabularySize, tokensPerShard);

    public long Documents { get; private set; }

    public long Bytes { get; private set; }

    public long Tokens { get; private set; }

    public IReadOnlyList<(string Name, int Tokens)> Shards => _shards.Finished;

    public void Write(EncodedSegments segments)
    {
        Documents += segments.Documents;
        Bytes += segments.Bytes;
        Tokens += segments.Tokens.WrittenCount;
        _shards.Write(segments.Tokens.WrittenSpan);
    }

    public void Complete() => _shards.Complete();

    public void Dispose() => _shards.Dispose();
}
