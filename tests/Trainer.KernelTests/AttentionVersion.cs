using Trainer.Cuda.Kernels;

namespace Trainer.KernelTests;

/// <summary>A kernel with its arguments.</summary>
internal readonly record struct AttentionCall(KernelLaunch Launch, KernelArgument[] Arguments);

/// <summary>One implementation of attention: its kernels with the arguments that they take.</summary>
internal abstract class AttentionVersion
{
    public static AttentionVersion Mma { get; } = new MmaVersion();

    public abstract AttentionCall Forward(AttentionShape shape, DeviceBuffer output, DeviceBuffer lse, DeviceBuffer qkv);

    public static AttentionCall BackwardStats(AttentionShape shape, DeviceBuffer stats, DeviceBuffer lse, DeviceBuffer output, DeviceBuffer dOutput) =>
        new(AttentionKernels.BackwardStats(shape), [stats, lse, output, dOutput, shape.T, shape.Heads]);

    public abstract AttentionCall BackwardKv(AttentionShape shape, DeviceBuffer dQkv, DeviceBuffer qkv, DeviceBuffer dOutput, DeviceBuffer stats);

    public abstract AttentionCall BackwardQ(AttentionShape shape, DeviceBuffer dQkv, DeviceBuffer qkv, DeviceBuffer dOutput, DeviceBuffer stats);

    private static float Scale(AttentionShape shape) => 1 / MathF.Sqrt(shape.HeadSize);

    private sealed class MmaVersion : AttentionVersion
    {
        public override string ToString() => "mma";

        public override AttentionCall Forward(AttentionShape shape, DeviceBuffer output, DeviceBuffer lse, DeviceBuffer qkv) =>
            new(AttentionKernels.Forward(shape), [output, lse, qkv, shape.T, shape.Heads, Scale(shape)]);

        public override AttentionCall BackwardKv(AttentionShape shape, DeviceBuffer dQkv, DeviceBuffer qkv, DeviceBuffer dOutput, DeviceBuffer stats) =>
            new(AttentionKernels.BackwardKv(shape), [dQkv, qkv, dOutput, stats, shape.T, shape.Heads, Scale(shape)]);

        public override AttentionCall BackwardQ(AttentionShape shape, DeviceBuffer dQkv, DeviceBuffer qkv, DeviceBuffer dOutput, DeviceBuffer stats) =>
            new(AttentionKernels.BackwardQ(shape), [dQkv, qkv, dOutput, stats, shape.T, shape.Heads, Scale(shape)]);
    }
}
