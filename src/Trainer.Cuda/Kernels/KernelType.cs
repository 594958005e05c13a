namespace Trainer.Cuda.Kernels;

/// <summary>What parameters, activations and their gradients are made of where a kernel reads and writes them; it computes in fp32 either way.</summary>
internal enum KernelType
{
    /// <summary>bf16.</summary>
    Bf16,

    /// <summary>fp32; the names of these kernels end in <c>_f32</c>.</summary>
    Float,
}

/// <summary>What follows from a <see cref="KernelType"/>.</summary>
internal static class KernelTypes
{
    /// <summary>The bytes of an element.</summary>
    public static int Bytes(this KernelType type) => type == KernelType.Bf16 ? 2 : 4;

    /// <summary>The name of a kernel's version for elements of this type.</summary>
    public static string NameOf(this KernelType type, string kernel) => type == KernelType.Bf16 ? kernel : kernel + "_f32";
}
