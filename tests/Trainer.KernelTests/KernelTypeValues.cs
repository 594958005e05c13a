using Trainer.Cuda.Kernels;

namespace Trainer.KernelTests;

/// <summary>What tests need of the type that a kernel's parameters and activations have.</summary>
internal static class KernelTypeValues
{
    /// <summary>The relative error of a rounding to this type.</summary>
    public static double UnitRoundoff(this KernelType type) => type == KernelType.Bf16 ? Bf16.UnitRoundoff : TestValues.UnitRoundoff;

    /// <summary>The elements of a buffer of this type.</summary>
    public static BufferType Buffer(this KernelType type) => type == KernelType.Bf16 ? BufferType.Bf16 : BufferType.Float;

    /// <summary>The values that are left of numbers when they are stored as this type.</summary>
    public static float[] RoundedTo(this float[] values, KernelType type) => type == KernelType.Bf16 ? values.Rounded() : values;

    /// <summary>A buffer of this type.</summary>
    public static DeviceBuffer Values(this KernelRun run, KernelType type, string name, float[] values, bool changing = false) =>
        type == KernelType.Bf16 ? run.Bf16(name, values, changing) : run.Float(name, values, changing);
}
