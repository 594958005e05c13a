namespace Trainer.Cuda.Kernels;

/// <summary>Launches of <c>cuda/classifier.cu</c>. R rows; vocabulary V, padded to Vp, a multiple of 8.</summary>
internal static class ClassifierKernels
{
    private const int Threads = 512;

    // Of each block's shared memory: what the device keeps for itself, which a block's limit already lacks, and the kernel's own static part.
    private const int DeviceBytes = 1024, StaticBytes = 1024;

    /// <summary><c>softmax_cross_entropy(logits, losses, targets, V, Vp, kept, ignored, scale)</c>, with <see cref="KeptColumns"/>.</summary>
    /// <param name="rows">R.</param>
    /// <param name="vocabulary">V.</param>
    /// <param name="padded">Vp.</param>
    /// <param name="sharedLimit">The bytes of shared memory that a block of the device may have: 227, 163 or 99 KiB.</param>
    /// <param name="type">What the logits are made of.</param>
    public static KernelLaunch SoftmaxCrossEntropy(int rows, int vocabulary, int padded, int sharedLimit, KernelType type = KernelType.Bf16)
    {
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(rows);
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(vocabulary);
        if (padded < vocabulary || padded % 8 != 0)
            throw new ArgumentOutOfRangeException(nameof(padded), padded, $"must be a multiple of 8 that is not below {vocabulary}");
        return new(type.NameOf("softmax_cross_entropy"), new(rows), new(Threads), type.Bytes() * KeptColumns(padded, sharedLimit, type),
            rows * ((type.Bytes() * ((long)vocabulary + padded)) + 8), 9L * rows * vocabulary);
    }

    /// <summary>The columns of a row that wait in shared memory: as many as leave room for a second block on the multiprocessor.</summary>
    public static int KeptColumns(int padded, int sharedLimit, KernelType type = KernelType.Bf16) =>
        Math.Clamp((((sharedLimit + DeviceBytes) / 2) - DeviceBytes - StaticBytes) / (8 * type.Bytes()) * 8, 0, padded);
}
