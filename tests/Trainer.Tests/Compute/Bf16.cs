namespace Trainer.Tests.Compute;

/// <summary>bfloat16: the upper half of a float.</summary>
internal static class Bf16
{
    /// <summary>The relative error of one rounding to nearest: 8 bits of precision.</summary>
    public const double UnitRoundoff = 1.0 / (1 << 8);

    /// <summary>The smallest normal number, below which the error of a rounding is no longer relative.</summary>
    public const double Tiny = 1.1754943508222875e-38;

    public static float Value(ushort bits) => BitConverter.Int32BitsToSingle(bits << 16);

    /// <summary>Rounds to nearest, ties to even.</summary>
    public static ushort Round(float value)
    {
        uint bits = BitConverter.SingleToUInt32Bits(value);
        return float.IsNaN(value) ? (ushort)0x7fff : (ushort)((bits + 0x7fff + ((bits >> 16) & 1)) >> 16);
    }

    /// <summary>The values that are left of numbers when they are stored as bfloat16.</summary>
    public static float[] Rounded(this float[] values) => Array.ConvertAll(values, value => Value(Round(value)));
}
