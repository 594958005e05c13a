using static Trainer.Cuda.Kernels.KernelLaunch;

namespace Trainer.Cuda.Kernels;

/// <summary>How fp32 becomes bf16.</summary>
internal enum Rounding
{
    /// <summary>To the nearest, ties to even.</summary>
    Nearest = 0,

    /// <summary>Up or down at random, so that the mean is the number itself.</summary>
    Stochastic = 1,
}

/// <summary>Launches of <c>cuda/elementwise.cu</c>, over n elements, a multiple of 4.</summary>
internal static class ElementwiseKernels
{
    private const int ElementsPerBlock = 1024;
    private const int Threads = 256;

    /// <summary><c>cast_to_bf16(to, from, n, rounding, step, seed)</c>, n a 64-bit number.</summary>
    public static KernelLaunch CastToBf16(long count) => Launch("cast_to_bf16", count, 6, 0);

    /// <summary><c>cast_to_float(to, from, n)</c>.</summary>
    public static KernelLaunch CastToFloat(long count) => Launch("cast_to_float", count, 6, 0);

    /// <summary><c>fill(to, n, value)</c>.</summary>
    public static KernelLaunch Fill(long count) => Launch("fill", count, 4, 0);

    /// <summary><c>update_average(average, weights, n, c)</c>.</summary>
    public static KernelLaunch UpdateAverage(long count) => Launch("update_average", count, 12, 3);

    /// <summary><c>gelu_forward(out, pre, n)</c>.</summary>
    public static KernelLaunch GeluForward(long count, KernelType type) => Launch(type.NameOf("gelu_forward"), count, 2 * type.Bytes(), 8);

    private static KernelLaunch Launch(string kernel, long count, int bytes, int flops)
    {
        if (count % 4 != 0)
            throw new ArgumentOutOfRangeException(nameof(count), count, "must be a multiple of 4");
        return new(kernel, new(Blocks(count, ElementsPerBlock)), new(Threads), 0, count * bytes, count * flops);
    }
}
