using System.Collections.Concurrent;
using Trainer.Compute;

namespace Trainer.Tests.Compute;

/// <summary>An operand of an operation, by the name that its parameter has.</summary>
/// <param name="Name">The parameter.</param>
/// <param name="Shape">Its extents.</param>
/// <param name="Type">The type of its elements.</param>
/// <param name="Values">What it holds before the call, in an array of that type, bf16 as ushort; null for an operand that is overwritten, which is filled with NaN.</param>
/// <param name="Optional">Whether it may be left out.</param>
internal sealed record Operand(string Name, Shape Shape, ElementType Type, Array? Values = null, bool Optional = false)
{
    /// <summary>A gradient of parameters, a statistic or a loss.</summary>
    public static Operand Float(string name, Shape shape, float[]? values = null, bool optional = false) =>
        new(name, shape, ElementType.Float32, values, optional);

    /// <summary>Token ids.</summary>
    public static Operand Tokens(string name, Shape shape, int[] values) => new(name, shape, ElementType.Int32, values);
}

/// <summary>One operation at one size on one kind of device.</summary>
/// <param name="operands">The operands, in the order of its parameters.</param>
/// <param name="invoke">The call, with the operands' tensors and room for <paramref name="results"/> numbers.</param>
/// <param name="reference">What it has to give; operands that are not among it must keep their bits.</param>
/// <param name="results">The numbers that come back to the host.</param>
internal sealed class Operation(Operand[] operands, Action<IBackend, Tensor[], double[]> invoke, Func<Expectation[]> reference, int results = 0)
{
    // Computed once for all backends of a kind: the reference is slower than what it checks.
    private readonly Lazy<Expectation[]> _reference = new(reference);

    public IReadOnlyList<Operand> Operands => operands;

    public int Results => results;

    public Expectation[] Reference => _reference.Value;

    public void Invoke(IBackend backend, Tensor[] tensors, double[] resultValues) => invoke(backend, tensors, resultValues);
}

/// <summary>One operation at one size.</summary>
/// <param name="name">Operation and sizes.</param>
/// <param name="contiguous">The extents along which memory is contiguous, and what divides them.</param>
/// <param name="create">Its operands and what is expected of it, from how the device rounds.</param>
internal sealed class OperationCase(string name, int[] contiguous, Func<Arithmetic, Operation> create)
{
    private readonly ConcurrentDictionary<Arithmetic, Operation> _operations = new();

    /// <summary>Whether every contiguous extent is a multiple of 8 elements: what the kernels of a GPU are made for.</summary>
    public bool IsAligned => Array.TrueForAll(contiguous, extent => extent % 8 == 0);

    /// <summary>The operation on a kind of device.</summary>
    public Operation For(Arithmetic arithmetic) => _operations.GetOrAdd(arithmetic, create);

    /// <summary>Operation and sizes.</summary>
    public override string ToString() => name;
}
