using System.Buffers.Binary;
using System.Numerics;
using System.Runtime.CompilerServices;

namespace Trainer.Tokenization;

/// <summary>
/// A set of distinct byte strings numbered in the order in which they were added: tokens by rank, words by first appearance.
/// The bytes lie end to end in one array and the hash table is open addressing, because the lookup of a short string is the
/// innermost step of encoding. Readers may be many while nobody adds.
/// </summary>
internal sealed class ByteStringTable
{
    private const int InitialSlots = 1024;

    private Slot[] _slots = new Slot[InitialSlots];
    private byte[] _bytes = new byte[16 * InitialSlots];
    private int[] _ends = new int[InitialSlots];

    private struct Slot
    {
        public uint Hash;

        // 0 means empty, so that a fresh array is an empty table.
        public int IndexPlusOne;
    }

    /// <summary>The number of strings.</summary>
    public int Count { get; private set; }

    /// <summary>The string with a number.</summary>
    public ReadOnlySpan<byte> this[int index]
    {
        get
        {
            ArgumentOutOfRangeException.ThrowIfGreaterThanOrEqual((uint)index, (uint)Count, nameof(index));
            int start = index == 0 ? 0 : _ends[index - 1];
            return _bytes.AsSpan(start, _ends[index] - start);
        }
    }

    /// <summary>A hash of a byte string: multiplication and folding, eight bytes at a time.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static uint Hash(ReadOnlySpan<byte> text)
    {
        const ulong Multiplier = 0x9FB21C651E98DF25;
        ulong hash = (ulong)text.Length * Multiplier;
        while (text.Length > 8)
        {
            hash = (hash ^ BinaryPrimitives.ReadUInt64LittleEndian(text)) * Multiplier;
            hash ^= hash >> 32;
            text = text[8..];
        }

        hash = (hash ^ Tail(text)) * Multiplier;
        hash ^= hash >> 29;
        return (uint)((hash * Multiplier) >> 32);
    }

    /// <summary>Finds the number of a string, or -1.</summary>
    public int Find(ReadOnlySpan<byte> text) => Find(text, Hash(text));

    /// <summary>Finds the number of a string whose <see cref="Hash"/> is known, or -1.</summary>
    public int Find(ReadOnlySpan<byte> text, uint hash)
    {
        Slot[] slots = _slots;
        uint mask = (uint)slots.Length - 1;
        for (uint at = hash & mask; ; at = (at + 1) & mask)
        {
            Slot slot = slots[at];
            if (slot.IndexPlusOne == 0)
                return -1;
            if (slot.Hash == hash && text.SequenceEqual(this[slot.IndexPlusOne - 1]))
                return slot.IndexPlusOne - 1;
        }
    }

    /// <summary>The number of a string, which is added when it is new.</summary>
    /// <returns>True if the string was new.</returns>
    public bool Add(ReadOnlySpan<byte> text, out int index)
    {
        uint hash = Hash(text);
        index = Find(text, hash);
        if (index >= 0)
            return false;

        index = Count;
        int start = index == 0 ? 0 : _ends[index - 1];
        int end = checked(start + text.Length);
        if (end > _bytes.Length)
            Array.Resize(ref _bytes, (int)Math.Min(Array.MaxLength, Math.Max(end, 2L * _bytes.Length)));
        if (index == _ends.Length)
            Array.Resize(ref _ends, 2 * index);
        text.CopyTo(_bytes.AsSpan(start));
        _ends[index] = end;
        Count++;

        if (2 * Count > _slots.Length)
            Grow();
        else
            Insert(_slots, hash, index);
        return true;
    }

    private void Grow()
    {
        var slots = new Slot[checked((int)BitOperations.RoundUpToPowerOf2((uint)_slots.Length + 1))];
        for (int i = 0; i < Count; i++)
            Insert(slots, Hash(this[i]), i);
        _slots = slots;
    }

    private static void Insert(Slot[] slots, uint hash, int index)
    {
        uint mask = (uint)slots.Length - 1;
        uint at = hash & mask;
        while (slots[at].IndexPlusOne != 0)
            at = (at + 1) & mask;
        slots[at] = new Slot { Hash = hash, IndexPlusOne = index + 1 };
    }

    // Up to eight bytes as one number, with overlapping reads instead of a loop; the length is already in the hash.
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static ulong Tail(ReadOnlySpan<byte> text)
    {
        if (text.Length >= 4)
            return ((ulong)BinaryPrimitives.ReadUInt32LittleEndian(text) << 32) | BinaryPrimitives.ReadUInt32LittleEndian(text[^4..]);
        if (text.Length > 0)
            return text[0] | ((ulong)text[text.Length / 2] << 8) | ((ulong)text[^1] << 16);
        return 0;
    }
}
