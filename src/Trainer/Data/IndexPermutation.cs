using System.Numerics;

namespace Trainer.Data;

/// <summary>
/// A random permutation of 0 to count - 1 in constant memory: a Feistel network (Luby and Rackoff 1988) on the next even number of
/// bits, applied again while the result is not below the count (cycle walking, Black and Rogaway 2002).
/// </summary>
internal readonly struct IndexPermutation
{
    // Four rounds make a pseudo-random permutation of a large domain; the additional ones are for domains of a few bits.
    private const int Rounds = 8;

    // Half of the bits of the smallest domain. Fewer would give too few round functions to tell small permutations apart.
    private const int LeastHalfBits = 4;

    private readonly CounterRandom _random;
    private readonly ulong _count;
    private readonly int _halfBits;

    /// <summary>Creates a permutation.</summary>
    /// <param name="random">The key.</param>
    /// <param name="count">The number of indices.</param>
    public IndexPermutation(CounterRandom random, long count)
    {
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(count);
        _random = random;
        _count = (ulong)count;
        int bits = 64 - BitOperations.LeadingZeroCount(_count - 1);
        _halfBits = Math.Max(LeastHalfBits, (bits + 1) / 2);
    }

    /// <summary>Where an index goes.</summary>
    public long this[long index]
    {
        get
        {
            ulong value = (ulong)index;
            do
                value = Permute(value);
            while (value >= _count);
            return (long)value;
        }
    }

    private ulong Permute(ulong value)
    {
        ulong mask = (1UL << _halfBits) - 1;
        ulong left = value >> _halfBits;
        ulong right = value & mask;
        for (ulong round = 0; round < Rounds; round++)
            (left, right) = (right, left ^ (_random.Bits((round << 32) | right) & mask));
        return (left << _halfBits) | right;
    }
}
