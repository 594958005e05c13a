using System.Runtime.InteropServices;

namespace Trainer.Tokenization;

/// <summary>
/// How often each piece of a text occurs, which is all that <see cref="BpeTrainer"/> needs to know of it. One thread counts into
/// one object; the counts of several threads are then added up, and the order in which that happens does not matter.
/// </summary>
public sealed class WordCounts
{
    // A longer run, such as a text without spaces, is counted in parts: a merge visits the whole of each word in which it occurs.
    private const int LongestWord = 512;

    private readonly ByteStringTable _words = new();
    private readonly List<long> _counts = [];

    /// <summary>The number of distinct pieces.</summary>
    public int Distinct => _words.Count;

    /// <summary>The number of bytes counted.</summary>
    public long Bytes { get; private set; }

    /// <summary>Counts the pieces of a text.</summary>
    public void Add(ReadOnlySpan<byte> utf8)
    {
        Bytes += utf8.Length;
        while (!utf8.IsEmpty)
        {
            int length = PieceSplitter.FirstPiece(utf8);
            for (int start = 0; start < length; start += LongestWord)
                Add(utf8[start..Math.Min(length, start + LongestWord)], 1);
            utf8 = utf8[length..];
        }
    }

    /// <summary>Adds the counts of another.</summary>
    public void Add(WordCounts other)
    {
        Bytes += other.Bytes;
        for (int i = 0; i < other.Distinct; i++)
            Add(other.Word(i), other.Count(i));
    }

    /// <summary>A piece, by its number.</summary>
    internal ReadOnlySpan<byte> Word(int index) => _words[index];

    /// <summary>How often a piece occurs, by its number.</summary>
    internal long Count(int index) => _counts[index];

    private void Add(ReadOnlySpan<byte> word, long count)
    {
        if (_words.Add(word, out int index))
            _counts.Add(count);
        else
            CollectionsMarshal.AsSpan(_counts)[index] += count;
    }
}
