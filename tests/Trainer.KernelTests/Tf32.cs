namespace Trainer.KernelTests;

/// <summary>tf32: a float of which tensor cores take 11 significant bits.</summary>
internal static class Tf32
{
    /// <summary>Rounds to the nearest, ties away from zero, as cvt.rna.tf32 does. Finite numbers only.</summary>
    public static float Round(float value) => BitConverter.UInt32BitsToSingle((BitConverter.SingleToUInt32Bits(value) + 0x1000) & ~0x1fffu);
}
