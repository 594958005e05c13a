using System.Numerics;
using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;

namespace Trainer.Cpu;

/// <content>Rounding, on the bits of the floats.</content>
internal unsafe partial interface IVector<TSelf>
{
    /// <summary>Rounded to the nearest, ties to even, so that the last 1 to 23 bits are zero; beyond the largest number to infinity; what is not a number stays.</summary>
    static abstract TSelf RoundMantissa(TSelf value, int droppedBits);

    /// <summary>
    /// The bf16 number below or above in magnitude, above with a probability of the share of the way; what is not finite stays. <paramref name="random"/>
    /// has 16 random bits for each lane.
    /// </summary>
    static abstract TSelf RoundAtRandom(TSelf value, uint* random);

    /// <summary>The number of lanes that are not equal.</summary>
    static abstract int CountDifferent(TSelf a, TSelf b);
}

/// <content>Rounding.</content>
internal readonly unsafe partial struct Float16
{
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Float16 RoundMantissa(Float16 value, int droppedBits)
    {
        var bits = value._value.AsUInt32();
        var half = Vector512.Create((1u << (droppedBits - 1)) - 1) + ((bits >>> droppedBits) & Vector512<uint>.One);
        var rounded = (bits + half) & Vector512.Create(uint.MaxValue << droppedBits);
        return new(Vector512.ConditionalSelect(Vector512.Equals(value._value, value._value), rounded.AsSingle(), value._value));
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Float16 RoundAtRandom(Float16 value, uint* random)
    {
        var bits = value._value.AsUInt32();
        var exponent = Vector512.Create(RoundingBits.Exponent);
        var rounded = (bits + Vector512.Load(random)) & Vector512.Create(RoundingBits.BFloat16);
        return new(Vector512.ConditionalSelect(Vector512.Equals(bits & exponent, exponent), bits, rounded).AsSingle());
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static int CountDifferent(Float16 a, Float16 b) =>
        Width - BitOperations.PopCount(Vector512.ExtractMostSignificantBits(Vector512.Equals(a._value, b._value)));
}

/// <content>Rounding.</content>
internal readonly unsafe partial struct Float8
{
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Float8 RoundMantissa(Float8 value, int droppedBits)
    {
        var bits = value._value.AsUInt32();
        var half = Vector256.Create((1u << (droppedBits - 1)) - 1) + ((bits >>> droppedBits) & Vector256<uint>.One);
        var rounded = (bits + half) & Vector256.Create(uint.MaxValue << droppedBits);
        return new(Vector256.ConditionalSelect(Vector256.Equals(value._value, value._value), rounded.AsSingle(), value._value));
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Float8 RoundAtRandom(Float8 value, uint* random)
    {
        var bits = value._value.AsUInt32();
        var exponent = Vector256.Create(RoundingBits.Exponent);
        var rounded = (bits + Vector256.Load(random)) & Vector256.Create(RoundingBits.BFloat16);
        return new(Vector256.ConditionalSelect(Vector256.Equals(bits & exponent, exponent), bits, rounded).AsSingle());
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static int CountDifferent(Float8 a, Float8 b) =>
        Width - BitOperations.PopCount(Vector256.ExtractMostSignificantBits(Vector256.Equals(a._value, b._value)));
}

/// <content>Rounding.</content>
internal readonly unsafe partial struct Float4
{
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Float4 RoundMantissa(Float4 value, int droppedBits)
    {
        var bits = value._value.AsUInt32();
        var half = Vector128.Create((1u << (droppedBits - 1)) - 1) + ((bits >>> droppedBits) & Vector128<uint>.One);
        var rounded = (bits + half) & Vector128.Create(uint.MaxValue << droppedBits);
        return new(Vector128.ConditionalSelect(Vector128.Equals(value._value, value._value), rounded.AsSingle(), value._value));
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Float4 RoundAtRandom(Float4 value, uint* random)
    {
        var bits = value._value.AsUInt32();
        var exponent = Vector128.Create(RoundingBits.Exponent);
        var rounded = (bits + Vector128.Load(random)) & Vector128.Create(RoundingBits.BFloat16);
        return new(Vector128.ConditionalSelect(Vector128.Equals(bits & exponent, exponent), bits, rounded).AsSingle());
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static int CountDifferent(Float4 a, Float4 b) =>
        Width - BitOperations.PopCount(Vector128.ExtractMostSignificantBits(Vector128.Equals(a._value, b._value)));
}

/// <content>Rounding.</content>
internal readonly unsafe partial struct Float1
{
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Float1 RoundMantissa(Float1 value, int droppedBits)
    {
        uint bits = BitConverter.SingleToUInt32Bits(value._value);
        uint half = (1u << (droppedBits - 1)) - 1 + ((bits >> droppedBits) & 1);
        return float.IsNaN(value._value) ? value : new(BitConverter.UInt32BitsToSingle((bits + half) & (uint.MaxValue << droppedBits)));
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Float1 RoundAtRandom(Float1 value, uint* random) => float.IsFinite(value._value)
        ? new(BitConverter.UInt32BitsToSingle((BitConverter.SingleToUInt32Bits(value._value) + *random) & RoundingBits.BFloat16))
        : value;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static int CountDifferent(Float1 a, Float1 b) => a._value == b._value ? 0 : 1;
}

/// <summary>Parts of an fp32 number.</summary>
internal static class RoundingBits
{
    /// <summary>The exponent: all ones in what is not finite.</summary>
    public const uint Exponent = 0x7f800000;

    /// <summary>What a bf16 number has.</summary>
    public const uint BFloat16 = 0xffff0000;
}
