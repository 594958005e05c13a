using Trainer.Cuda.Kernels;

namespace Trainer.KernelTests;

/// <summary>A kernel with its arguments.</summary>
internal readonly record struct AttentionCall(KernelLaunch Launch, KernelArgument[] Arguments);

/// <summary>One implementation of attention: its kernels with the arguments that they take, and the roundings that they make.</summary>
/// <param name="type">What activations are made of.</param>
internal abstract class AttentionVersion(KernelType type)
{
    public static AttentionVersion Mma { get; } = new MmaVersion();

    public static AttentionVersion Wgmma { get; } = new WgmmaVersion();

    public static AttentionVersion Generic { get; } = new GenericVersion(KernelType.Bf16);

    public static AttentionVersion GenericFloat { get; } = new GenericVersion(KernelType.Float);

    public KernelType Type => type;

    /// <summary>The relative error with which P and dS enter their products: on tensor cores that of bf16.</summary>
    public virtual double ProbabilityRoundoff => Bf16.UnitRoundoff;

    /// <summary>
    /// The roundings of a sum over a head's channels, each of at most the sum of magnitudes: on tensor cores 16 exact products in one instruction, and HS / 16
    /// of these in turn.
    /// </summary>
    public virtual double SumRoundings(int headSize) => 16 + (headSize / 16.0);

    /// <summary>The rows of a block at least: so often the other side is read.</summary>
    public virtual int BlockRows => 64;

    /// <summary>What this version has to give, within its roundings.</summary>
    public AttentionReference Reference(AttentionShape shape, float[] qkv, float[] dOutput) =>
        new(new(Type.UnitRoundoff(), ProbabilityRoundoff, SumRoundings(shape.HeadSize)), shape.B, shape.T, shape.Heads, shape.HeadSize, qkv, dOutput);

    public abstract AttentionCall Forward(AttentionShape shape, DeviceBuffer output, DeviceBuffer lse, DeviceBuffer qkv);

    public virtual AttentionCall BackwardStats(AttentionShape shape, DeviceBuffer stats, DeviceBuffer lse, DeviceBuffer output, DeviceBuffer dOutput) =>
        new(AttentionKernels.BackwardStats(shape), [stats, lse, output, dOutput, shape.T, shape.Heads]);

    public abstract AttentionCall BackwardKv(AttentionShape shape, DeviceBuffer dQkv, DeviceBuffer qkv, DeviceBuffer dOutput, DeviceBuffer stats);

    public abstract AttentionCall BackwardQ(AttentionShape shape, DeviceBuffer dQkv, DeviceBuffer qkv, DeviceBuffer dOutput, DeviceBuffer stats);

    protected static float Scale(AttentionShape shape) => 1 / MathF.Sqrt(shape.HeadSize);

    private sealed class MmaVersion() : AttentionVersion(KernelType.Bf16)
    {
        public override string ToString() => "mma";

        public override AttentionCall Forward(AttentionShape shape, DeviceBuffer output, DeviceBuffer lse, DeviceBuffer qkv) =>
            new(AttentionKernels.Forward(shape), [output, lse, qkv, shape.T, shape.Heads, Scale(shape)]);

        public override AttentionCall BackwardKv(AttentionShape shape, DeviceBuffer dQkv, DeviceBuffer qkv, DeviceBuffer dOutput, DeviceBuffer stats) =>
            new(AttentionKernels.BackwardKv(shape), [dQkv, qkv, dOutput, stats, shape.T, shape.Heads, Scale(shape)]);

        public override AttentionCall BackwardQ(AttentionShape shape, DeviceBuffer dQkv, DeviceBuffer qkv, DeviceBuffer dOutput, DeviceBuffer stats) =>
            new(AttentionKernels.BackwardQ(shape), [dQkv, qkv, dOutput, stats, shape.T, shape.Heads, Scale(shape)]);
    }

    private sealed class WgmmaVersion() : AttentionVersion(KernelType.Bf16)
    {
        public override string ToString() => "wgmma";

        public override AttentionCall Forward(AttentionShape shape, DeviceBuffer output, DeviceBuffer lse, DeviceBuffer qkv) =>
            new(AttentionWgmmaKernels.Forward(shape), [Map(shape, qkv, 3), Map(shape, output, 1), lse, shape.T, shape.Heads, Scale(shape)]);

        public override AttentionCall BackwardKv(AttentionShape shape, DeviceBuffer dQkv, DeviceBuffer qkv, DeviceBuffer dOutput, DeviceBuffer stats) =>
            new(AttentionWgmmaKernels.BackwardKv(shape), BackwardArguments(shape, dQkv, qkv, dOutput, stats));

        public override AttentionCall BackwardQ(AttentionShape shape, DeviceBuffer dQkv, DeviceBuffer qkv, DeviceBuffer dOutput, DeviceBuffer stats) =>
            new(AttentionWgmmaKernels.BackwardQ(shape), BackwardArguments(shape, dQkv, qkv, dOutput, stats));

        private static KernelArgument[] BackwardArguments(AttentionShape shape, DeviceBuffer dQkv, DeviceBuffer qkv, DeviceBuffer dOutput,
            DeviceBuffer stats) =>
            [Map(shape, qkv, 3), Map(shape, dOutput, 1), Map(shape, dQkv, 3), stats, shape.T, shape.Heads, Scale(shape)];

        // (B, T, parts NH HS).
        private static TensorMap Map(AttentionShape shape, DeviceBuffer buffer, int parts) =>
            new(buffer, parts * shape.Heads * shape.HeadSize, shape.T, AttentionWgmmaKernels.BoxColumns, AttentionWgmmaKernels.Rows, shape.B);
    }
    private sealed class GenericVersion(KernelType type) : AttentionVersion(type)
    {
        // Nothing is rounded to bf16 in between, and channels are summed one by one.
        public override double ProbabilityRoundoff => TestValues.UnitRoundoff;

        public override int BlockRows => 32;

        public override double SumRoundings(int headSize) => headSize + 1;

        public override string ToString() => Type == KernelType.Bf16 ? "generic" : "generic f32";

        public override AttentionCall Forward(AttentionShape shape, DeviceBuffer output, DeviceBuffer lse, DeviceBuffer qkv) =>
            new(AttentionGenericKernels.Forward(shape, Type), [output, lse, qkv, shape.T, shape.Heads, shape.HeadSize, Scale(shape)]);

        public override AttentionCall BackwardStats(AttentionShape shape, DeviceBuffer stats, DeviceBuffer lse, DeviceBuffer output, DeviceBuffer dOutput) =>
            new(AttentionGenericKernels.BackwardStats(shape, Type), [stats, lse, output, dOutput, shape.T, shape.Heads, shape.HeadSize]);

        public override AttentionCall BackwardKv(AttentionShape shape, DeviceBuffer dQkv, DeviceBuffer qkv, DeviceBuffer dOutput, DeviceBuffer stats) =>
            new(AttentionGenericKernels.BackwardKv(shape, Type), [dQkv, qkv, dOutput, stats, shape.T, shape.Heads, shape.HeadSize, Scale(shape)]);

        public override AttentionCall BackwardQ(AttentionShape shape, DeviceBuffer dQkv, DeviceBuffer qkv, DeviceBuffer dOutput, DeviceBuffer stats) =>
            new(AttentionGenericKernels.BackwardQ(shape, Type), [dQkv, qkv, dOutput, stats, shape.T, shape.Heads, shape.HeadSize, Scale(shape)]);
    }
}
