using Trainer.Cuda.Kernels;

namespace Trainer.Cuda;

/// <summary>What products are computed of, and how; sums are fp32 always.</summary>
/// <param name="Type">The type of activations, of their gradients and of weights. Gradients of weights and biases are fp32.</param>
/// <param name="UsesTensorFloat32">Whether fp32 operands are rounded to TF32.</param>
internal readonly record struct LinearArithmetic(KernelType Type, bool UsesTensorFloat32)
{
    /// <summary>The type for cuBLAS.</summary>
    public CudaDataType Element => Type == KernelType.Bf16 ? CudaDataType.BFloat16 : CudaDataType.Float32;

    /// <summary>The arithmetic for cuBLAS.</summary>
    public ComputeType Compute => UsesTensorFloat32 ? ComputeType.TensorFloat32 : ComputeType.Float32;

    /// <summary>The type of a product's result for cuBLAS.</summary>
    public CudaDataType ResultOf(LinearForm form) => form == LinearForm.BackwardWeight ? CudaDataType.Float32 : Element;

    /// <summary>bf16, fp32 or tf32.</summary>
    public override string ToString() => Type == KernelType.Bf16 ? "bf16" : UsesTensorFloat32 ? "tf32" : "fp32";
}
