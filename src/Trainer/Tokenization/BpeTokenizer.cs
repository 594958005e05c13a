using System.Buffers;

namespace Trainer.Tokenization;

/// <summary>
/// Byte-level byte-pair encoding as in GPT-2 (Radford et al. 2019; Sennrich, Haddow and Birch 2016): text is split into pieces,
/// and within a piece the pair of lowest rank is merged until none is left. The end-of-text id is the number of ranks.
/// </summary>
public sealed class BpeTokenizer : ITokenizer
{
    private const int CacheSlots = 1 << 16;
    private const int LongestCachedPiece = 64;

    // Tokens are written through a span of at least this many, because asking the writer for each piece costs more than the piece.
    private const int OutputBlock = 4096;

    private readonly ByteStringTable _tokens;
    private readonly PairMerges _merges;

    // Pieces of several tokens that were met before, by the low bits of their hash. An entry is immutable and replaced as a whole,
    // so threads share the cache without locks: the worst that a race does is to merge a piece again.
    private readonly CachedPiece?[] _cache = new CachedPiece?[CacheSlots];

    private sealed record CachedPiece(uint Hash, byte[] Piece, int[] Tokens);

    /// <summary>Creates a tokenizer.</summary>
    /// <param name="ranks">The tokens and the order of their merges.</param>
    /// <param name="kind"><see cref="TokenizerKind.Bpe"/> or <see cref="TokenizerKind.Gpt2"/>.</param>
    public BpeTokenizer(MergeRanks ranks, string kind)
    {
        Ranks = ranks;
        Kind = kind;
        _tokens = ranks.Tokens;
        _merges = new PairMerges(_tokens);
    }

    /// <inheritdoc/>
    public string Kind { get; }

    /// <summary>The tokens and the order of their merges.</summary>
    public MergeRanks Ranks { get; }

    /// <inheritdoc/>
    public int VocabularySize => Ranks.Count + 1;

    /// <inheritdoc/>
    public int EndOfText => Ranks.Count;

    /// <inheritdoc/>
    public ReadOnlySpan<byte> Bytes(int token)
    {
        ArgumentOutOfRangeException.ThrowIfGreaterThanOrEqual((uint)token, (uint)VocabularySize, nameof(token));
        return token == EndOfText ? [] : _tokens[token];
    }

    /// <inheritdoc/>
    public void Encode(ReadOnlySpan<byte> utf8, IBufferWriter<int> output)
    {
        Span<int> block = default;
        int used = 0;
        while (!utf8.IsEmpty)
        {
            ReadOnlySpan<byte> piece = utf8[..PieceSplitter.FirstPiece(utf8)];
            utf8 = utf8[piece.Length..];
            if (block.Length - used < piece.Length)
            {
                output.Advance(used);
                used = 0;
                block = output.GetSpan(Math.Max(piece.Length, OutputBlock));
            }

            uint hash = ByteStringTable.Hash(piece);
            int whole = _tokens.Find(piece, hash);
            if (whole >= 0)
                block[used++] = whole;
            else
                used += EncodePiece(piece, hash, block[used..]);
        }

        output.Advance(used);
    }

    private int EncodePiece(ReadOnlySpan<byte> piece, uint hash, Span<int> tokens)
    {
        ref CachedPiece? slot = ref _cache[hash & (CacheSlots - 1)];
        CachedPiece? cached = slot;
        if (cached is not null && cached.Hash == hash && piece.SequenceEqual(cached.Piece))
        {
            cached.Tokens.CopyTo(tokens);
            return cached.Tokens.Length;
        }

        int count = _merges.Encode(piece, tokens);
        if (piece.Length <= LongestCachedPiece)
            slot = new CachedPiece(hash, piece.ToArray(), tokens[..count].ToArray());
        return count;
    }
}
