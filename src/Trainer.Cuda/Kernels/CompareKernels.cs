namespace Trainer.Cuda.Kernels;

/// <summary>Launches of <c>cuda/compare.cu</c>, over n elements, a multiple of 8.</summary>
internal static class CompareKernels
{
    /// <summary>The numbers that each block leaves: the sum of (a - b)², the sum of b², and the elements whose bits differ.</summary>
    public const int Quantities = 3;

    private const int ElementsPerBlock = 2048, MaxBlocks = 1024, Threads = 256;

    /// <summary><c>compare(parts, a, b, n)</c>, n a 64-bit number; parts holds <see cref="Quantities"/> doubles of each block.</summary>
    public static KernelLaunch Compare(long count, KernelType type = KernelType.Bf16)
    {
        if (count <= 0 || count % 8 != 0)
            throw new ArgumentOutOfRangeException(nameof(count), count, "must be a multiple of 8");
        int blocks = CompareBlocks(count);
        return new(type.NameOf("compare"), new(blocks), new(Threads), 0, (2L * type.Bytes() * count) + (sizeof(double) * Quantities * (long)blocks), 5 * count);
    }

    /// <summary>The blocks of <see cref="Compare"/>.</summary>
    public static int CompareBlocks(long count) => (int)Math.Min((count + ElementsPerBlock - 1) / ElementsPerBlock, MaxBlocks);
}
