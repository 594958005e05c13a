using System.Runtime.CompilerServices;
using Trainer.Compute;

namespace Trainer.Cpu;

/// <summary>Rounding of fp32 numbers to fewer bits of mantissa, to the nearest, ties to even, with the exponents of fp32.</summary>
/// <param name="bits">The stored bits that stay, 1 to 23; all 23 round nothing.</param>
internal readonly unsafe struct MantissaRounding(int bits)
{
    private readonly int _dropped = Precision.Float32MantissaBits - bits;

    /// <summary>Whether nothing is rounded.</summary>
    public bool IsExact => _dropped == 0;

    /// <summary>The rounded numbers; only where something is rounded.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public T Apply<T>(T values)
        where T : struct, IVector<T> => T.RoundMantissa(values, _dropped);

    /// <summary>Rounds numbers in place; returns at once where nothing is rounded.</summary>
    public void Apply(float* values, long count)
    {
        if (IsExact)
            return;
        long i = 0;
        for (; i <= count - Float16.Width; i += Float16.Width)
            Float16.Store(Apply(Float16.Load(values + i)), values + i);
        for (; i < count; i++)
            Float1.Store(Apply(Float1.Load(values + i)), values + i);
    }

    /// <summary>Rounds rows of a matrix in place.</summary>
    public void Apply(float* values, nint stride, int rows, int columns)
    {
        for (int row = 0; !IsExact && row < rows; row++)
            Apply(values + (row * stride), columns);
    }
}
