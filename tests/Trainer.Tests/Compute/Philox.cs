namespace Trainer.Tests.Compute;

/// <summary>The random numbers of cuda/include/rounding.cuh, written again: Philox 4x32 with 10 rounds (Salmon et al. 2011).</summary>
internal static class Philox
{
    /// <summary>128 random bits as four words.</summary>
    public static uint[] Words(uint[] counter, uint key0, uint key1)
    {
        var (a, b, c, d) = (counter[0], counter[1], counter[2], counter[3]);
        for (int round = 0; round < 10; round++)
        {
            ulong first = 0xd2511f53ul * a, second = 0xcd9e8d57ul * c;
            (a, b, c, d) = ((uint)(second >> 32) ^ b ^ key0, (uint)second, (uint)(first >> 32) ^ d ^ key1, (uint)first);
            key0 += 0x9e3779b9;
            key1 += 0xbb67ae85;
        }

        return [a, b, c, d];
    }

    /// <summary>What a finite number becomes: the 16 random bits of its element are added below the ones that stay.</summary>
    public static float Round(float value, long element, uint purpose, uint step, uint seed)
    {
        uint random = Words([(uint)(element / 4), (uint)(element / 4 >> 32), step, purpose], seed, 0)[element % 4] & 0xffff;
        return Bf16.Value((ushort)((BitConverter.SingleToUInt32Bits(value) + random) >> 16));
    }
}
