using Trainer.Cuda.Kernels;

namespace Trainer.KernelTests;

/// <summary>A kernel with its arguments.</summary>
internal readonly record struct AttentionCall(KernelLaunch Launch, KernelArgument[] Arguments);

/// <summary>One implementation of attention: its kernels with the arguments that they take.</summary>
internal abstract class AttentionVersion
{
    public static AttentionVersion Mma { get; } = new MmaVersion();

    public static AttentionVersion Wgmma { get; } = new WgmmaVersion();

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

    private sealed class WgmmaVersion : AttentionVersion
    {
        public override string ToString() => "wgmma";

        public override AttentionCall Forward(AttentionShape shape, DeviceBuffer output, DeviceBuffer lse, DeviceBuffer qkv) =>
            new(AttentionWgmmaKernels.Forward(shape), [Map(shape, qkv, 3), Map(shape, output, 1), lse, shape.T, shape.Heads, Scale(shape)]);

        public override AttentionCall BackwardKv(AttentionShape shape, DeviceBuffer dQkv, DeviceBuffer qkv, DeviceBuffer dOutput, DeviceBuffer stats) =>
            new(AttentionWgmmaKernels.BackwardKv(shape), BackwardArguments(shape, dQkv, qkv, dOutput, stats));

        public override AttentionCall BackwardQ(AttentionShape shape, DeviceBuffer dQkv, DeviceBuffer qkv, DeviceBuffer dOutput, DeviceBuffer stats) =>
            new(AttentionWgmmaKernels.BackwardQ(shape), BackwardArguments(shape, dQkv, qkv, dOutput, stats));

        private static KernelArgument[] BackwardArguments(AttentionShape shape, DeviceBuffer dQkv, DeviceBuffer qkv, DeviceBuffer dOutput, DeviceBuffer stats) =>
            [Map(shape, qkv, 3), Map(shape, dOutput, 1), Map(shape, dQkv, 3), stats, shape.T, shape.Heads, Scale(shape)];

        // (B, T, parts NH HS).
        private static TensorMap Map(AttentionShape shape, DeviceBuffer buffer, int parts) =>
            new(buffer, parts * shape.Heads * shape.HeadSize, shape.T, AttentionWgmmaKernels.BoxColumns, AttentionWgmmaKernels.Rows, shape.B);
    }
}
