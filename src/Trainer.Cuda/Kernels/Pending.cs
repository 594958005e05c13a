namespace Trainer.Cuda.Kernels;

internal static class AttentionGenericKernels
{
    public static KernelLaunch Forward(AttentionShape s, KernelType t) => throw new NotSupportedException();

    public static KernelLaunch BackwardKv(AttentionShape s, KernelType t) => throw new NotSupportedException();

    public static KernelLaunch BackwardQ(AttentionShape s, KernelType t) => throw new NotSupportedException();
}
