using System.Runtime.InteropServices;
using Trainer.Compute;

namespace Trainer.Tests.Compute;

/// <summary>
/// The operands of an <see cref="Operation"/> on a device. Each lies between guards; whoever writes beyond an operand is found when
/// the guards are looked at.
/// </summary>
internal sealed class DeviceOperands : IDisposable
{
    private const byte GuardByte = 0xA5;
    private const byte PoisonByte = 0xFF; // all bits set is not a number in any format, and none that an operation makes

    private readonly IBackend _backend;
    private readonly Operation _operation;
    private readonly int _guard;
    private readonly Tensor[] _allocations;

    /// <summary>Allocates and fills the operands.</summary>
    /// <param name="backend">The device.</param>
    /// <param name="operation">Whose operands.</param>
    /// <param name="guard">Elements before and after each operand; the operand's alignment follows from it.</param>
    public DeviceOperands(IBackend backend, Operation operation, int guard)
    {
        (_backend, _operation, _guard) = (backend, operation, guard);
        _allocations = new Tensor[operation.Operands.Count];
        Tensors = new Tensor[operation.Operands.Count];
        Results = new double[operation.Results];
        for (int i = 0; i < Tensors.Length; i++)
        {
            var operand = operation.Operands[i];
            int count = checked((int)operand.Shape.Count);
            _allocations[i] = backend.Allocate(operand.Type, new Shape(count + (2 * guard)));
            Tensors[i] = _allocations[i].Slice(guard, operand.Shape);
        }

        Reset();
    }

    public Tensor[] Tensors { get; }

    public double[] Results { get; }

    /// <summary>Brings every operand back to what it holds before the call.</summary>
    public void Reset()
    {
        Results.AsSpan().Fill(double.NaN);
        for (int i = 0; i < Tensors.Length; i++)
        {
            var bytes = new byte[_allocations[i].Count * Tensor.SizeOf(_allocations[i].Type)];
            Array.Fill(bytes, GuardByte);
            InitialBytes(i).CopyTo(bytes, GuardBytes(i));
            Write(_allocations[i], bytes);
        }
    }

    public void Invoke() => _operation.Invoke(_backend, Tensors, Results);

    /// <summary>What an operand holds now.</summary>
    public byte[] Bytes(int operand) => Read(Tensors[operand]);

    /// <summary>All bits that the operation could have changed: for comparing runs.</summary>
    public List<byte[]> AllBytes()
    {
        var all = Enumerable.Range(0, Tensors.Length).Select(Bytes).ToList();
        all.Add(MemoryMarshal.AsBytes<double>(Results).ToArray());
        return all;
    }

    /// <summary>The values of an operand or of the results.</summary>
    public double[] Values(string operand)
    {
        if (operand == Expectation.Results)
            return Results;
        int index = _operation.Operands.Index().Single(entry => entry.Item.Name == operand).Index;
        byte[] bytes = Bytes(index);
        return _operation.Operands[index].Type switch
        {
            ElementType.Float32 => Array.ConvertAll(MemoryMarshal.Cast<byte, float>(bytes).ToArray(), value => (double)value),
            ElementType.BFloat16 => Array.ConvertAll(MemoryMarshal.Cast<byte, ushort>(bytes).ToArray(), value => (double)BFloat16.Value(value)),
            ElementType.Float64 => MemoryMarshal.Cast<byte, double>(bytes).ToArray(),
            _ => throw new ArgumentException($"{operand} holds no numbers to compare", nameof(operand)),
        };
    }

    /// <summary>Checks the outputs against the reference, the inputs for untouched bits, and the guards.</summary>
    public void Check()
    {
        foreach (var expectation in _operation.Reference)
            expectation.Check(Values(expectation.Operand));
        for (int i = 0; i < Tensors.Length; i++)
        {
            var operand = _operation.Operands[i];
            if (_operation.Reference.All(expectation => expectation.Operand != operand.Name))
                Assert.That(Bytes(i).AsSpan().SequenceEqual(InitialBytes(i)), $"{operand.Name} is only read, but has changed");
            byte[] bytes = Read(_allocations[i]);
            Assert.That(bytes.AsSpan(0, GuardBytes(i)).ContainsAnyExcept(GuardByte), Is.False, $"written before {operand.Name}");
            Assert.That(bytes.AsSpan(bytes.Length - GuardBytes(i)).ContainsAnyExcept(GuardByte), Is.False, $"written after {operand.Name}");
        }
    }

    public void Dispose()
    {
        foreach (var allocation in _allocations)
            _backend.Free(allocation);
    }

    private int GuardBytes(int operand) => _guard * Tensor.SizeOf(_operation.Operands[operand].Type);

    private byte[] InitialBytes(int i)
    {
        var operand = _operation.Operands[i];
        var bytes = new byte[operand.Shape.Count * Tensor.SizeOf(operand.Type)];
        if (operand.Values is { } values)
            Buffer.BlockCopy(values, 0, bytes, 0, bytes.Length);
        else
            Array.Fill(bytes, PoisonByte);
        return bytes;
    }

    private void Write(Tensor tensor, byte[] bytes)
    {
        switch (tensor.Type)
        {
            case ElementType.Float32:
                _backend.Upload<float>(MemoryMarshal.Cast<byte, float>(bytes), tensor);
                break;
            case ElementType.Float64:
                _backend.Upload<double>(MemoryMarshal.Cast<byte, double>(bytes), tensor);
                break;
            case ElementType.BFloat16:
                _backend.Upload<ushort>(MemoryMarshal.Cast<byte, ushort>(bytes), tensor);
                break;
            default:
                _backend.Upload<int>(MemoryMarshal.Cast<byte, int>(bytes), tensor);
                break;
        }
    }

    private byte[] Read(Tensor tensor)
    {
        var bytes = new byte[tensor.Count * Tensor.SizeOf(tensor.Type)];
        switch (tensor.Type)
        {
            case ElementType.Float32:
                _backend.Download<float>(tensor, MemoryMarshal.Cast<byte, float>(bytes.AsSpan()));
                break;
            case ElementType.Float64:
                _backend.Download<double>(tensor, MemoryMarshal.Cast<byte, double>(bytes.AsSpan()));
                break;
            case ElementType.BFloat16:
                _backend.Download<ushort>(tensor, MemoryMarshal.Cast<byte, ushort>(bytes.AsSpan()));
                break;
            default:
                _backend.Download<int>(tensor, MemoryMarshal.Cast<byte, int>(bytes.AsSpan()));
                break;
        }

        return bytes;
    }
}
