using System.Runtime.CompilerServices;
using Trainer.Optimization;

namespace Trainer.Cpu;

/// <summary>Which pass of a step rounds: a weight that is rounded twice needs independent numbers for its mean to stay what it was.</summary>
internal enum RoundingPass : uint
{
    /// <summary>The one that takes the gradient step.</summary>
    Update = 0,

    /// <summary>The one that multiplies by a factor.</summary>
    Scaling = 1,
}

/// <summary>Elements that a step moved, and those of them that rounding put back.</summary>
internal struct MoveCounts
{
    public long Moved, Lost;
}

/// <summary>What a new weight becomes when it is stored, known when a pass is compiled.</summary>
internal interface IWeightStore
{
    /// <summary>Whether anything is counted.</summary>
    static abstract bool Counts { get; }

    /// <summary>What is stored.</summary>
    /// <param name="exact">The new weights.</param>
    /// <param name="old">The weights as the step began.</param>
    /// <param name="at">The index of the first.</param>
    /// <param name="counts">Is added to.</param>
    T Round<T>(T exact, T old, long at, ref MoveCounts counts)
        where T : struct, IVector<T>;
}

/// <summary>Weights are stored as they are.</summary>
internal readonly struct ExactWeights : IWeightStore
{
    public static bool Counts => false;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public T Round<T>(T exact, T old, long at, ref MoveCounts counts)
        where T : struct, IVector<T> => exact;
}

/// <summary>Weights are rounded to bf16 numbers as a <see cref="WeightRounding"/> says.</summary>
internal readonly unsafe struct RoundedWeights(WeightRounding rounding, RoundingPass pass) : IWeightStore
{
    private const int DroppedBits = 16, WidestVector = 16;

    private readonly bool _isStochastic = rounding.IsStochastic;
    private readonly uint _seed = rounding.Seed, _step = (uint)rounding.Step;

    public static bool Counts => true;

    /// <summary>Where the weights as the step began are kept; null where they are not.</summary>
    public float* Before { get; init; }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public T Round<T>(T exact, T old, long at, ref MoveCounts counts)
        where T : struct, IVector<T>
    {
        T rounded = _isStochastic ? AtRandom(exact, at) : T.RoundMantissa(exact, DroppedBits);
        // What is not moved is a bf16 number already, which every rounding leaves: so what is changed is moved.
        int moved = T.CountDifferent(exact, old);
        counts.Moved += moved;
        counts.Lost += moved - T.CountDifferent(rounded, old);
        if (pass == RoundingPass.Update && Before != null)
            T.Store(old, Before + at);
        return rounded;
    }

    // Its stack would grow in the loop of a caller that it became part of.
    [MethodImpl(MethodImplOptions.NoInlining)]
    private T AtRandom<T>(T exact, long at)
        where T : struct, IVector<T>
    {
        uint* random = stackalloc uint[WidestVector];
        for (int lane = 0; lane < T.Width;)
        {
            long element = at + lane, group = element / 4;
            var (x, y, z, w) = Philox.Words((uint)group, (uint)(group >> 32), _step, (uint)pass, _seed);
            int first = (int)(element % 4), count = Math.Min(4 - first, T.Width - lane);
            for (int i = first; i < first + count; i++)
                random[lane++] = (i switch { 0 => x, 1 => y, 2 => z, _ => w }) & 0xffff;
        }

        return T.RoundAtRandom(exact, random);
    }
}
