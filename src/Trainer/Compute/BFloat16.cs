namespace Trainer.Compute;

/// <summary>Conversions between fp32 and bf16 on the host; a bf16 number is kept as its 16 bits.</summary>
public static class BFloat16
{
    private const ushort NotANumber = 0x7fff;

    /// <summary>The nearest bf16, ties to even; any NaN becomes one NaN.</summary>
    public static ushort Round(float value)
    {
        uint bits = BitConverter.SingleToUInt32Bits(value);
        return float.IsNaN(value) ? NotANumber : (ushort)((bits + 0x7fff + ((bits >> 16) & 1)) >> 16);
    }

    /// <summary>The number that the bits stand for, exactly.</summary>
    public static float Value(ushort bits) => BitConverter.UInt32BitsToSingle((uint)bits << 16);
}
