using System.Runtime.InteropServices;
using Trainer.Compute;

namespace Trainer.Tests.Compute;

/// <summary>
/// The operands of an <see cref="OperationCase"/> on a device. Each lies between guards; whoever writes beyond an operand is found when
/// the guards are looked at.
/// </summary>
internal sealed class DeviceOperands : IDisposable
{
    private const int GuardBits = 0x5EADBEEF;
    private const int PoisonBits = 0x7FC0DEAD; // a NaN that no operation makes

    private readonly IBackend _backend;
    private readonly OperationCase _case;
    private readonly int _guard;
    private readonly Tensor[] _allocations;

    /// <summary>Allocates and fills the operands.</summary>
    /// <param name="backend">The device.</param>
    /// <param name="operation">Whose operands.</param>
    /// <param name="guard">Elements before and after each operand; the operand's alignment follows from it.</param>
    public DeviceOperands(IBackend backend, OperationCase operation, int guard)
    {
        (_backend, _case, _guard) = (backend, operation, guard);
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
            var bits = new int[_allocations[i].Count];
            Array.Fill(bits, GuardBits);
            InitialBits(i).CopyTo(bits.AsSpan(_guard));
            Write(_allocations[i], bits);
        }
    }

    public void Invoke() => _case.Invoke(_backend, Tensors, Results);

    /// <summary>What an operand holds now.</summary>
    public int[] Bits(int operand) => Read(Tensors[operand]);

    /// <summary>All bits that the operation could have changed: for comparing runs.</summary>
    public List<int[]> AllBits()
    {
        var all = Enumerable.Range(0, Tensors.Length).Select(Bits).ToList();
        all.Add(MemoryMarshal.Cast<double, int>(Results).ToArray());
        return all;
    }

    /// <summary>The values of an operand or of the results.</summary>
    public double[] Values(string operand) => operand == Expectation.Results
        ? Results
        : Array.ConvertAll(Bits(IndexOf(operand)), bits => (double)BitConverter.Int32BitsToSingle(bits));

    /// <summary>Checks the outputs against the reference, the inputs for untouched bits, and the guards.</summary>
    public void Check()
    {
        foreach (var expectation in _case.Reference)
            expectation.Check(Values(expectation.Operand));
        for (int i = 0; i < Tensors.Length; i++)
        {
            var operand = _case.Operands[i];
            if (_case.Reference.All(expectation => expectation.Operand != operand.Name))
                Assert.That(Bits(i).AsSpan().SequenceEqual(InitialBits(i)), $"{operand.Name} is only read, but has changed");
            int[] bits = Read(_allocations[i]);
            Assert.That(bits.AsSpan(0, _guard).ContainsAnyExcept(GuardBits), Is.False, $"written before {operand.Name}");
            Assert.That(bits.AsSpan(bits.Length - _guard).ContainsAnyExcept(GuardBits), Is.False, $"written after {operand.Name}");
        }
    }

    public void Dispose()
    {
        foreach (var allocation in _allocations)
            _backend.Free(allocation);
    }

    private int IndexOf(string operand) => _case.Operands.Index().Single(entry => entry.Item.Name == operand).Index;

    private int[] InitialBits(int i)
    {
        var operand = _case.Operands[i];
        var bits = new int[operand.Shape.Count];
        if (operand.Values is float[] floats)
            MemoryMarshal.Cast<float, int>(floats).CopyTo(bits);
        else if (operand.Values is int[] integers)
            integers.CopyTo(bits, 0);
        else
            Array.Fill(bits, PoisonBits);
        return bits;
    }

    private void Write(Tensor tensor, int[] bits)
    {
        if (tensor.Type == ElementType.Int32)
            _backend.Upload<int>(bits, tensor);
        else
            _backend.Upload<float>(MemoryMarshal.Cast<int, float>(bits), tensor);
    }

    private int[] Read(Tensor tensor)
    {
        var bits = new int[tensor.Count];
        if (tensor.Type == ElementType.Int32)
            _backend.Download<int>(tensor, bits);
        else
            _backend.Download(tensor, MemoryMarshal.Cast<int, float>(bits.AsSpan()));
        return bits;
    }
}
