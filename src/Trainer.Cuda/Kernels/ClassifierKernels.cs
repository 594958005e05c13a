namespace Trainer.Cuda.Kernels;

/// <summary>Launches of <c>cuda/classifier.cu</c>. R rows; vocabulary V, padded to Vp, a multiple of 8.</summary>
internal static class ClassifierKernels
{
    private const int Threads = 512;

    // Static shared memory and what the device keeps for itself, out of the 227, 163 or 99 KiB that a block may have.
    private const int ReservedSharedBytes = 512;

    /// <summary><c>softmax_cross_entropy(logits, losses, targets, V, Vp, kept, ignored, scale)</c>, with <see cref="KeptColumns"/>.</summary>
    /// <param name="rows">R.</param>
    /// <param name="vocabulary">V.</param>
    /// <param name="padded">Vp.</param>
    /// <param name="sharedLimit">The bytes of shared memory that a block of the device may have.</param>
    public static KernelLaunch SoftmaxCrossEntropy(int rows, int vocabulary, int padded, int sharedLimit) =>
        new("softmax_cross_entropy", new(rows), new(Threads), 2 * KeptColumns(padded, sharedLimit),
            rows * ((2L * vocabulary) + (2L * padded) + 8), 9L * rows * vocabulary);

    /// <summary>The columns of a row that wait in shared memory.</summary>
    public static int KeptColumns(int padded, int sharedLimit) => Math.Min(padded, (sharedLimit - ReservedSharedBytes) / 16 * 8);
}
