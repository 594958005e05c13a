namespace Trainer.Cpu;

/// <summary>
/// Random bits as a pure function of a counter and a key: Philox 4x32 with 10 rounds (Salmon et al., "Parallel random numbers: as easy as 1, 2, 3",
/// 2011), as cuda/include/rounding.cuh has it.
/// </summary>
internal static class Philox
{
    /// <summary>128 random bits as four words.</summary>
    public static (uint X, uint Y, uint Z, uint W) Words(uint x, uint y, uint z, uint w, uint key)
    {
        uint otherKey = 0;
        for (int round = 0; round < 10; round++)
        {
            ulong first = 0xd2511f53UL * x, second = 0xcd9e8d57UL * z;
            (x, y, z, w) = ((uint)(second >> 32) ^ y ^ key, (uint)second, (uint)(first >> 32) ^ w ^ otherKey, (uint)first);
            key += 0x9e3779b9;
            otherKey += 0xbb67ae85;
        }

        return (x, y, z, w);
    }
}
