using System.Runtime.InteropServices;

namespace Trainer.KernelTests;

/// <summary>The elements that a buffer holds.</summary>
internal enum BufferType
{
    Bf16,
    Float,
    Double,
    Int,
}

/// <summary>Device memory with a name, and what it held before the kernels ran.</summary>
internal sealed class DeviceBuffer : IDisposable
{
    private readonly byte[] _initial;

    /// <summary>Allocates a buffer filled with NaNs, or for whole numbers with a value that is no index.</summary>
    public DeviceBuffer(string name, BufferType type, long count)
        : this(name, type, new byte[count * Size(type)], poisoned: true)
    {
    }

    public DeviceBuffer(string name, ushort[] values)
        : this(name, BufferType.Bf16, MemoryMarshal.AsBytes<ushort>(values).ToArray(), poisoned: false)
    {
    }

    public DeviceBuffer(string name, float[] values)
        : this(name, BufferType.Float, MemoryMarshal.AsBytes<float>(values).ToArray(), poisoned: false)
    {
    }

    public DeviceBuffer(string name, double[] values)
        : this(name, BufferType.Double, MemoryMarshal.AsBytes<double>(values).ToArray(), poisoned: false)
    {
    }

    public DeviceBuffer(string name, int[] values)
        : this(name, BufferType.Int, MemoryMarshal.AsBytes<int>(values).ToArray(), poisoned: false)
    {
    }

    private DeviceBuffer(string name, BufferType type, byte[] initial, bool poisoned)
    {
        (Name, Type, _initial) = (name, type, initial);
        if (poisoned)
            Array.Fill(initial, (byte)0xff);
        Address = KernelTarget.Current.Allocate(name, initial);
    }

    public string Name { get; }

    public BufferType Type { get; }

    public nint Address { get; }

    public int Count => _initial.Length / Size(Type);

    public bool Unchanged => Bytes().AsSpan().SequenceEqual(_initial);

    /// <summary>What the buffer holds.</summary>
    public byte[] Bytes()
    {
        var bytes = new byte[_initial.Length];
        KernelTarget.Current.Read(Address, bytes);
        return bytes;
    }

    public double[] Values()
    {
        byte[] bytes = Bytes();
        var values = new double[Count];
        for (int i = 0; i < values.Length; i++)
        {
            values[i] = Type switch
            {
                BufferType.Bf16 => Bf16.Value(MemoryMarshal.Cast<byte, ushort>(bytes)[i]),
                BufferType.Float => MemoryMarshal.Cast<byte, float>(bytes)[i],
                BufferType.Double => MemoryMarshal.Cast<byte, double>(bytes)[i],
                _ => MemoryMarshal.Cast<byte, int>(bytes)[i],
            };
        }

        return values;
    }

    /// <summary>What the buffer holds, as structures.</summary>
    public ReadOnlySpan<T> As<T>()
        where T : unmanaged => MemoryMarshal.Cast<byte, T>(Bytes());

    public void Dispose() => Assert.That(KernelTarget.Current.Free(Address));

    private static int Size(BufferType type) => type switch { BufferType.Bf16 => 2, BufferType.Double => 8, _ => 4 };
}
