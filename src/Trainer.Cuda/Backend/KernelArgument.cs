using System.Runtime.InteropServices;
using Trainer.Compute;

namespace Trainer.Cuda;

/// <summary>One argument of a kernel: a number of 4 or 8 bytes, a device address, or the host address of something larger.</summary>
[StructLayout(LayoutKind.Sequential)]
internal readonly unsafe struct KernelArgument
{
    // First, so that the address of the argument is the address of its value.
    private readonly ulong _bits;
    private readonly void* _address;

    private KernelArgument(ulong bits, int bytes, void* address = null)
    {
        _bits = bits;
        _address = address;
        Bytes = bytes;
    }

    /// <summary>The size that the kernel must have declared.</summary>
    public int Bytes { get; }

    public static implicit operator KernelArgument(Tensor tensor) => new((ulong)tensor.Address, sizeof(ulong));

    public static implicit operator KernelArgument(ulong address) => new(address, sizeof(ulong));

    public static implicit operator KernelArgument(long value) => new((ulong)value, sizeof(long));

    public static implicit operator KernelArgument(int value) => new((uint)value, sizeof(int));

    public static implicit operator KernelArgument(uint value) => new(value, sizeof(uint));

    public static implicit operator KernelArgument(float value) => new(BitConverter.SingleToUInt32Bits(value), sizeof(float));

    public static implicit operator KernelArgument(double value) => new(BitConverter.DoubleToUInt64Bits(value), sizeof(double));

    public static implicit operator KernelArgument(TensorMap* map) => new(0, sizeof(TensorMap), map);

    /// <summary>Where the driver finds the value, given where this argument lies.</summary>
    public static void* Location(KernelArgument* argument) => argument->_address != null ? argument->_address : argument;
}

/// <summary>A <c>CUtensorMap</c>: 128 opaque bytes, aligned to 64, that tell the copy engine how a matrix lies in memory.</summary>
[StructLayout(LayoutKind.Sequential, Size = 128)]
internal struct TensorMap;
