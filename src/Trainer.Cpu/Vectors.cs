using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;

namespace Trainer.Cpu;

/// <summary>
/// A vector of floats of some width. Every elementwise kernel is written once over this and compiled by the JIT for each width, the
/// scalar one serving the end of a row.
/// </summary>
internal unsafe partial interface IVector<TSelf>
    where TSelf : struct, IVector<TSelf>
{
    /// <summary>The number of floats.</summary>
    static abstract int Width { get; }

    static abstract TSelf operator +(TSelf a, TSelf b);

    static abstract TSelf operator -(TSelf a, TSelf b);

    static abstract TSelf operator *(TSelf a, TSelf b);

    static abstract TSelf operator /(TSelf a, TSelf b);

    static abstract TSelf Load(float* source);

    static abstract void Store(TSelf value, float* destination);

    /// <summary>The same value in every lane.</summary>
    static abstract TSelf Create(float value);

    /// <summary><c>a · b + c</c>, rounded once where the machine has the instruction.</summary>
    static abstract TSelf MultiplyAdd(TSelf a, TSelf b, TSelf c);

    static abstract TSelf Sqrt(TSelf value);

    /// <summary>The larger of both; <paramref name="b"/> if it is not a number.</summary>
    static abstract TSelf Max(TSelf a, TSelf b);

    /// <summary>The smaller of both; <paramref name="b"/> if it is not a number.</summary>
    static abstract TSelf Min(TSelf a, TSelf b);

    /// <summary><c>value · 2^exponent</c> for a whole exponent that leaves the result a normal number.</summary>
    static abstract TSelf ScaleByPowerOfTwo(TSelf value, TSelf exponent);

    /// <summary>The sum of the lanes, by a tree.</summary>
    static abstract float Sum(TSelf value);

    /// <summary>Adds the lanes' squares to sums in double precision, as many lanes as the widest vector of any machine has.</summary>
    static abstract void AddSquares(TSelf value, ref Vector512<double> sums);

    /// <summary>The largest lane.</summary>
    static abstract float MaxLane(TSelf value);
}

/// <summary>16 floats.</summary>
internal readonly unsafe partial struct Float16(Vector512<float> value) : IVector<Float16>
{
    private readonly Vector512<float> _value = value;

    public static int Width => 16;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Float16 operator +(Float16 a, Float16 b) => new(a._value + b._value);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Float16 operator -(Float16 a, Float16 b) => new(a._value - b._value);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Float16 operator *(Float16 a, Float16 b) => new(a._value * b._value);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Float16 operator /(Float16 a, Float16 b) => new(a._value / b._value);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Float16 Load(float* source) => new(Vector512.Load(source));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Store(Float16 value, float* destination) => value._value.Store(destination);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Float16 Create(float value) => new(Vector512.Create(value));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Float16 MultiplyAdd(Float16 a, Float16 b, Float16 c) => new(Vector512.MultiplyAddEstimate(a._value, b._value, c._value));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Float16 Sqrt(Float16 value) => new(Vector512.Sqrt(value._value));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Float16 Max(Float16 a, Float16 b) => new(Vector512.MaxNative(a._value, b._value));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Float16 Min(Float16 a, Float16 b) => new(Vector512.MinNative(a._value, b._value));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Float16 ScaleByPowerOfTwo(Float16 value, Float16 exponent) =>
        new((value._value.AsInt32() + (Vector512.ConvertToInt32Native(exponent._value) << 23)).AsSingle());

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static float Sum(Float16 value) => Float8.Sum(new Float8(value._value.GetLower() + value._value.GetUpper()));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void AddSquares(Float16 value, ref Vector512<double> sums)
    {
        var (low, high) = Vector512.Widen(value._value);
        sums += (low * low) + (high * high);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static float MaxLane(Float16 value) => Float8.MaxLane(new Float8(Vector256.MaxNative(value._value.GetLower(), value._value.GetUpper())));
}

/// <summary>8 floats.</summary>
internal readonly unsafe partial struct Float8(Vector256<float> value) : IVector<Float8>
{
    private readonly Vector256<float> _value = value;

    public static int Width => 8;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Float8 operator +(Float8 a, Float8 b) => new(a._value + b._value);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Float8 operator -(Float8 a, Float8 b) => new(a._value - b._value);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Float8 operator *(Float8 a, Float8 b) => new(a._value * b._value);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Float8 operator /(Float8 a, Float8 b) => new(a._value / b._value);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Float8 Load(float* source) => new(Vector256.Load(source));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Store(Float8 value, float* destination) => value._value.Store(destination);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Float8 Create(float value) => new(Vector256.Create(value));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Float8 MultiplyAdd(Float8 a, Float8 b, Float8 c) => new(Vector256.MultiplyAddEstimate(a._value, b._value, c._value));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Float8 Sqrt(Float8 value) => new(Vector256.Sqrt(value._value));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Float8 Max(Float8 a, Float8 b) => new(Vector256.MaxNative(a._value, b._value));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Float8 Min(Float8 a, Float8 b) => new(Vector256.MinNative(a._value, b._value));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Float8 ScaleByPowerOfTwo(Float8 value, Float8 exponent) =>
        new((value._value.AsInt32() + (Vector256.ConvertToInt32Native(exponent._value) << 23)).AsSingle());

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static float Sum(Float8 value) => Float4.Sum(new Float4(value._value.GetLower() + value._value.GetUpper()));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void AddSquares(Float8 value, ref Vector512<double> sums)
    {
        var (low, high) = Vector256.Widen(value._value);
        sums += Vector512.Create(low * low, high * high);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static float MaxLane(Float8 value) => Float4.MaxLane(new Float4(Vector128.MaxNative(value._value.GetLower(), value._value.GetUpper())));
}

/// <summary>4 floats.</summary>
internal readonly unsafe partial struct Float4(Vector128<float> value) : IVector<Float4>
{
    private readonly Vector128<float> _value = value;

    public static int Width => 4;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Float4 operator +(Float4 a, Float4 b) => new(a._value + b._value);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Float4 operator -(Float4 a, Float4 b) => new(a._value - b._value);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Float4 operator *(Float4 a, Float4 b) => new(a._value * b._value);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Float4 operator /(Float4 a, Float4 b) => new(a._value / b._value);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Float4 Load(float* source) => new(Vector128.Load(source));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Store(Float4 value, float* destination) => value._value.Store(destination);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Float4 Create(float value) => new(Vector128.Create(value));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Float4 MultiplyAdd(Float4 a, Float4 b, Float4 c) => new(Vector128.MultiplyAddEstimate(a._value, b._value, c._value));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Float4 Sqrt(Float4 value) => new(Vector128.Sqrt(value._value));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Float4 Max(Float4 a, Float4 b) => new(Vector128.MaxNative(a._value, b._value));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Float4 Min(Float4 a, Float4 b) => new(Vector128.MinNative(a._value, b._value));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Float4 ScaleByPowerOfTwo(Float4 value, Float4 exponent) =>
        new((value._value.AsInt32() + (Vector128.ConvertToInt32Native(exponent._value) << 23)).AsSingle());

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static float Sum(Float4 value) =>
        (value._value.GetElement(0) + value._value.GetElement(2)) + (value._value.GetElement(1) + value._value.GetElement(3));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void AddSquares(Float4 value, ref Vector512<double> sums)
    {
        var (low, high) = Vector128.Widen(value._value);
        sums = Vector512.Create(sums.GetLower() + Vector256.Create(low * low, high * high), sums.GetUpper());
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static float MaxLane(Float4 value) => MathF.Max(
        MathF.Max(value._value.GetElement(0), value._value.GetElement(1)), MathF.Max(value._value.GetElement(2), value._value.GetElement(3)));
}

/// <summary>One float: what is left at the end of a row.</summary>
internal readonly unsafe partial struct Float1(float value) : IVector<Float1>
{
    private readonly float _value = value;

    public static int Width => 1;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Float1 operator +(Float1 a, Float1 b) => new(a._value + b._value);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Float1 operator -(Float1 a, Float1 b) => new(a._value - b._value);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Float1 operator *(Float1 a, Float1 b) => new(a._value * b._value);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Float1 operator /(Float1 a, Float1 b) => new(a._value / b._value);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Float1 Load(float* source) => new(*source);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Store(Float1 value, float* destination) => *destination = value._value;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Float1 Create(float value) => new(value);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Float1 MultiplyAdd(Float1 a, Float1 b, Float1 c) => new(float.MultiplyAddEstimate(a._value, b._value, c._value));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Float1 Sqrt(Float1 value) => new(MathF.Sqrt(value._value));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Float1 Max(Float1 a, Float1 b) => new(a._value > b._value ? a._value : b._value);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Float1 Min(Float1 a, Float1 b) => new(a._value < b._value ? a._value : b._value);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Float1 ScaleByPowerOfTwo(Float1 value, Float1 exponent) =>
        new(BitConverter.Int32BitsToSingle(BitConverter.SingleToInt32Bits(value._value) + (float.ConvertToIntegerNative<int>(exponent._value) << 23)));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static float Sum(Float1 value) => value._value;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void AddSquares(Float1 value, ref Vector512<double> sums) =>
        sums = sums.WithElement(0, sums.GetElement(0) + ((double)value._value * value._value));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static float MaxLane(Float1 value) => value._value;
}
