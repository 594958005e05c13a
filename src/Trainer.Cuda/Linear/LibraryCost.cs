using Trainer.Cuda.Kernels;

namespace Trainer.Cuda;

/// <summary>What a product of a library costs at least, for whoever watches the launches: how it is launched, the library does not tell.</summary>
internal static class LibraryCost
{
    /// <summary>The cost of a product.</summary>
    /// <param name="library">The library's name.</param>
    /// <param name="shape">The product.</param>
    /// <param name="arithmetic">Of what.</param>
    /// <param name="withBias">Whether the library also adds the bias or computes its gradient.</param>
    public static KernelLaunch Of(string library, in LinearShape shape, LinearArithmetic arithmetic, bool withBias)
    {
        long rows = shape.Rows, n = shape.N, k = shape.K;
        int element = arithmetic.Type.Bytes();
        long elements = shape.Form switch
        {
            LinearForm.Forward => (rows * k) + (n * k) + (rows * n),
            LinearForm.ForwardGelu => (rows * k) + (n * k) + (2 * rows * n),
            LinearForm.BackwardInput => (rows * n) + (n * k) + (rows * k),
            LinearForm.BackwardInputGelu => (rows * n) + (n * k) + (2 * rows * k),
            _ => (rows * n) + (rows * k),
        };
        long bytes = element * elements, bias = withBias && shape.Bias ? n : 0;
        bytes += shape.Form == LinearForm.BackwardWeight
            ? sizeof(float) * ((n * k * (shape.Accumulate ? 2 : 1)) + bias)
            : element * bias;
        return new KernelLaunch($"{library}_{shape.FormName.Replace('-', '_')}", new(1), new(1), 0, bytes, (long)shape.Flops);
    }
}
