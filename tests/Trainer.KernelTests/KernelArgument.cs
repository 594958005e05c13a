namespace Trainer.KernelTests;

/// <summary>An argument of a kernel: a buffer's address, a scalar, or a tensor map.</summary>
internal readonly struct KernelArgument
{
    private KernelArgument(long bits, int bytes) => (Bits, Bytes) = (bits, bytes);

    private KernelArgument(TensorMap map) => (Map, Bytes) = (map, TensorMap.Bytes);

    public long Bits { get; }

    public int Bytes { get; }

    public TensorMap? Map { get; }

    public static implicit operator KernelArgument(DeviceBuffer? buffer) => new(buffer?.Address ?? 0, 8);

    public static implicit operator KernelArgument(int value) => new(value, 4);

    public static implicit operator KernelArgument(uint value) => new(value, 4);

    public static implicit operator KernelArgument(long value) => new(value, 8);

    public static implicit operator KernelArgument(ulong value) => new((long)value, 8);

    public static implicit operator KernelArgument(float value) => new(BitConverter.SingleToInt32Bits(value), 4);

    public static implicit operator KernelArgument(double value) => new(BitConverter.DoubleToInt64Bits(value), 8);

    public static implicit operator KernelArgument(TensorMap map) => new(map);
}

/// <summary>A view of a bf16 buffer in two dimensions, or with planes in three, for the asynchronous tile copies, with the 128-byte swizzle.</summary>
/// <param name="Buffer">The buffer.</param>
/// <param name="Columns">Elements of a line.</param>
/// <param name="Rows">Lines, of each plane.</param>
/// <param name="BoxColumns">Elements of a line of a tile: 64, the width of the swizzle.</param>
/// <param name="BoxRows">Lines of a tile.</param>
/// <param name="Planes">Planes, or 0 for a tensor of two dimensions.</param>
internal sealed record TensorMap(DeviceBuffer Buffer, int Columns, int Rows, int BoxColumns, int BoxRows, int Planes = 0)
{
    public const int Bytes = 128;
}
