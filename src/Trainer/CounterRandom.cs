using System.Runtime.CompilerServices;

namespace Trainer;

/// <summary>
/// Random numbers as a pure function of (seed, stream, index): nothing has to be saved to continue a sequence, and any part of it can
/// be computed by any thread. The mixing function is SplitMix64's (Steele, Lea and Flood 2014), applied twice.
/// </summary>
/// <param name="seed">The seed of the run.</param>
/// <param name="stream">What the numbers are for, so that uses do not share a sequence.</param>
public readonly struct CounterRandom(ulong seed, ulong stream)
{
    private const ulong GoldenGamma = 0x9E3779B97F4A7C15;

    private readonly ulong _key = Mix(Mix(seed + GoldenGamma) ^ (stream * 0xD1342543DE82EF95));

    /// <summary>64 random bits.</summary>
    public ulong Bits(ulong index) => Mix(_key + ((index + 1) * GoldenGamma));

    /// <summary>A number in [0, 1) with 53 random bits.</summary>
    public double Uniform(ulong index) => (Bits(index) >> 11) * (1.0 / (1UL << 53));

    /// <summary>A whole number in [0, bound); the bias is below bound / 2⁶⁴.</summary>
    public ulong Below(ulong index, ulong bound) => Math.BigMul(Bits(index), bound, out _);

    /// <summary>A standard normal number (Box and Muller 1958).</summary>
    public double Normal(ulong index)
    {
        var (even, odd) = NormalPair(index / 2);
        return index % 2 == 0 ? even : odd;
    }

    /// <summary>Normal numbers <c>2 · index</c> and <c>2 · index + 1</c>, at the price of one.</summary>
    public (double Even, double Odd) NormalPair(ulong index)
    {
        double radius = Math.Sqrt(-2.0 * Math.Log(1.0 - Uniform(2 * index)));
        var (sin, cos) = Math.SinCos(2.0 * Math.PI * Uniform((2 * index) + 1));
        return (radius * cos, radius * sin);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static ulong Mix(ulong z)
    {
        z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9;
        z = (z ^ (z >> 27)) * 0x94D049BB133111EB;
        return z ^ (z >> 31);
    }
}
