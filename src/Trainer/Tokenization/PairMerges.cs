using System.Numerics;
using System.Runtime.CompilerServices;

namespace Trainer.Tokenization;

/// <summary>
/// Which two tokens merge into which: (left, right) -> token, for every way to cut a token into two others. The token is also the
/// rank of the merge. Merging by the bytes that result rather than by the one pair that was learned is what tiktoken does; for
/// ranks that were learned by merging the two are the same.
/// </summary>
internal sealed class PairMerges
{
    /// <summary>Says that two tokens do not merge; larger than any rank.</summary>
    public const int None = int.MaxValue;

    // Up to this length shifting two short arrays is faster than keeping a heap.
    private const int ShortPiece = 128;

    private readonly Slot[] _slots;
    private readonly int[] _tokenOfByte = new int[256];

    private struct Slot
    {
        public ulong Pair;
        public int TokenPlusOne;
    }

    /// <summary>Builds the table.</summary>
    public PairMerges(ByteStringTable tokens)
    {
        var merges = new List<(ulong Pair, int Token)>();
        for (int token = 0; token < tokens.Count; token++)
        {
            ReadOnlySpan<byte> bytes = tokens[token];
            if (bytes.Length == 1)
                _tokenOfByte[bytes[0]] = token;
            for (int cut = 1; cut < bytes.Length; cut++)
            {
                int left = tokens.Find(bytes[..cut]);
                int right = left < 0 ? -1 : tokens.Find(bytes[cut..]);
                if (right >= 0)
                    merges.Add((Key(left, right), token));
            }
        }

        _slots = new Slot[BitOperations.RoundUpToPowerOf2((uint)(2 * merges.Count) + 2)];
        foreach ((ulong pair, int token) in merges)
        {
            uint at = Start(pair);
            while (_slots[at].TokenPlusOne != 0)
                at = (at + 1) & (uint)(_slots.Length - 1);
            _slots[at] = new Slot { Pair = pair, TokenPlusOne = token + 1 };
        }
    }

    /// <summary>Encodes one piece: merges the pair of lowest rank, the leftmost of equals, until none is left.</summary>
    /// <param name="piece">The bytes of the piece.</param>
    /// <param name="tokens">Receives the tokens; at least as long as the piece.</param>
    /// <returns>The number of tokens.</returns>
    public int Encode(ReadOnlySpan<byte> piece, Span<int> tokens)
    {
        for (int i = 0; i < piece.Length; i++)
            tokens[i] = _tokenOfByte[piece[i]];
        return piece.Length <= ShortPiece ? MergeByScanning(tokens[..piece.Length]) : MergeByHeap(tokens[..piece.Length]);
    }

    private int MergeByScanning(Span<int> tokens)
    {
        int count = tokens.Length;
        Span<int> ranks = stackalloc int[ShortPiece];
        for (int i = 0; i + 1 < count; i++)
            ranks[i] = Find(tokens[i], tokens[i + 1]);

        while (count > 1)
        {
            int best = 0;
            for (int i = 1; i + 1 < count; i++)
            {
                if (ranks[i] < ranks[best])
                    best = i;
            }

            int merged = ranks[best];
            if (merged == None)
                break;
            tokens[(best + 2)..count].CopyTo(tokens[(best + 1)..]);
            ranks[(best + 1)..(count - 1)].CopyTo(ranks[best..]);
            count--;
            tokens[best] = merged;
            if (best + 1 < count)
                ranks[best] = Find(merged, tokens[best + 1]);
            if (best > 0)
                ranks[best - 1] = Find(tokens[best - 1], merged);
        }

        return count;
    }

    // A linked list of tokens and a heap of the pairs that can merge. An entry of the heap is stale, and skipped, when the pair that
    // now begins at its place has another rank.
    private int MergeByHeap(Span<int> tokens)
    {
        int count = tokens.Length;
        var next = new int[count];
        var previous = new int[count];
        var ranks = new int[count];
        var heap = new PriorityQueue<int, (int Rank, int Place)>();
        for (int i = 0; i < count; i++)
        {
            next[i] = i + 1;
            previous[i] = i - 1;
            ranks[i] = i + 1 < count ? Find(tokens[i], tokens[i + 1]) : None;
            if (ranks[i] != None)
                heap.Enqueue(i, (ranks[i], i));
        }

        while (heap.TryDequeue(out int place, out (int Rank, int Place) entry))
        {
            if (ranks[place] != entry.Rank)
                continue;
            int absorbed = next[place];
            tokens[place] = entry.Rank;
            ranks[absorbed] = None;
            next[place] = next[absorbed];
            if (next[place] < count)
                previous[next[place]] = place;
            UpdatePair(tokens, place);
            if (previous[place] >= 0)
                UpdatePair(tokens, previous[place]);
        }

        int written = 0;
        for (int place = 0; place < count; place = next[place])
            tokens[written++] = tokens[place];
        return written;

        void UpdatePair(Span<int> current, int place)
        {
            ranks[place] = next[place] < count ? Find(current[place], current[next[place]]) : None;
            if (ranks[place] != None)
                heap.Enqueue(place, (ranks[place], place));
        }
    }

    private int Find(int left, int right)
    {
        ulong pair = Key(left, right);
        Slot[] slots = _slots;
        for (uint at = Start(pair); ; at = (at + 1) & (uint)(slots.Length - 1))
        {
            ref Slot slot = ref slots[at];
            if (slot.TokenPlusOne == 0)
                return None;
            if (slot.Pair == pair)
                return slot.TokenPlusOne - 1;
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static ulong Key(int left, int right) => ((ulong)(uint)left << 32) | (uint)right;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private uint Start(ulong pair) => (uint)((pair * 0x9E3779B97F4A7C15) >> 32) & (uint)(_slots.Length - 1);
}
