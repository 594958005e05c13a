using Trainer.Compute;

namespace Trainer.Tests.Compute;

/// <summary>An operand of an operation, by the name that its parameter has.</summary>
/// <param name="Name">The parameter.</param>
/// <param name="Shape">Its extents.</param>
/// <param name="Values">What it holds before the call, float[], double[] or int[]; null for an operand that is overwritten, which is filled with NaN.</param>
/// <param name="Optional">Whether it may be left out.</param>
internal sealed record Operand(string Name, Shape Shape, Array? Values = null, bool Optional = false)
{
    public ElementType Type => Values switch
    {
        int[] => ElementType.Int32,
        double[] => ElementType.Float64,
        _ => ElementType.Float32,
    };
}

/// <summary>One operation at one size: operands in the order of its parameters, the call, and what the reference makes of it.</summary>
/// <param name="name">Operation and sizes.</param>
/// <param name="operands">The operands.</param>
/// <param name="invoke">The call, with the operands' tensors and room for <paramref name="results"/> numbers.</param>
/// <param name="reference">What it has to give; operands that are not among it must keep their bits.</param>
/// <param name="results">The numbers that come back to the host.</param>
internal sealed class OperationCase(
    string name, Operand[] operands, Action<IBackend, Tensor[], double[]> invoke, Func<Expectation[]> reference, int results = 0)
{
    // Computed once for all backends: the reference is slower than what it checks.
    private readonly Lazy<Expectation[]> _reference = new(reference);

    public IReadOnlyList<Operand> Operands => operands;

    public int Results => results;

    public Expectation[] Reference => _reference.Value;

    public void Invoke(IBackend backend, Tensor[] tensors, double[] resultValues) => invoke(backend, tensors, resultValues);

    public override string ToString() => name;
}
