using Trainer.Compute;
using Trainer.Cuda.Kernels;

namespace Trainer.Cuda;

/// <summary>The gradient of a bias beside a product that does not compute it: column sums of dy, in a fixed order.</summary>
internal sealed class BiasGradient(CudaKernels kernels, LinearShape shape, KernelType type)
{
    private readonly PreparedKernel _sum = kernels.Prepare(BiasKernels.Gradient(shape.Rows, shape.N, type));
    private readonly PreparedKernel _reduce = kernels.Prepare(BiasKernels.Reduce(BiasKernels.Parts(shape.Rows), shape.N, shape.Accumulate));

    /// <summary>The scratch memory between its kernels.</summary>
    public static long ScratchBytes(in LinearShape shape) => sizeof(float) * BiasKernels.PartialCount(shape.Rows, shape.N);

    /// <summary>Puts it into the stream.</summary>
    /// <param name="dBias">(N) fp32.</param>
    /// <param name="dOutput">(R, N).</param>
    /// <param name="partial">Scratch memory.</param>
    public void Run(Tensor dBias, Tensor dOutput, ulong partial)
    {
        _sum.Launch(partial, dOutput, shape.Rows, shape.N);
        _reduce.Launch(dBias, partial, BiasKernels.Parts(shape.Rows), shape.N, shape.Accumulate ? 1 : 0);
    }
}
