using Trainer.Compute;

namespace Trainer.Tests.Compute;

/// <summary>The cases themselves, on every kind of device: exact results that are only stored pass, and the tolerances leave results that are told from others.</summary>
public sealed class OperationCasesTests
{
    public static IEnumerable<TestCaseData> Devices =>
        new[] { Arithmetic.Cpu, new(Precision.Float32, true), new(Precision.TensorFloat32, true), new(Precision.BFloat16Mixed, true) }
            .Select(arithmetic => new TestCaseData(arithmetic).SetArgDisplayNames(arithmetic.ToString()));

    [TestCaseSource(nameof(Devices))]
    public void Exact_results_that_are_stored_are_within_tolerance(object device)
    {
        var arithmetic = (Arithmetic)device;
        foreach (var (_, operation) in Aligned(arithmetic))
        {
            foreach (Expectation expectation in operation.Reference)
                expectation.Check(Array.ConvertAll(expectation.Values, value => Store(value, TypeOf(operation, expectation))));
        }
    }

    /// <summary>Half of the results at least are known to a third of themselves: neither 0 nor twice or minus the right result would pass.</summary>
    [TestCaseSource(nameof(Devices))]
    public void Tolerances_are_smaller_than_results(object device)
    {
        var arithmetic = (Arithmetic)device;
        foreach (var (name, operation) in Aligned(arithmetic))
        {
            foreach (Expectation expectation in operation.Reference)
            {
                var known = expectation.Values.Zip(expectation.Tolerances, (value, tolerance) => value == 0 ? tolerance == 0 : tolerance < Math.Abs(value) / 3).ToList();
                Assert.That(known.Count(isKnown => isKnown), Is.GreaterThanOrEqualTo((known.Count + 1) / 2), $"{name}, {expectation.Operand}");
            }
        }
    }

    private static IEnumerable<(string Name, Operation Operation)> Aligned(Arithmetic arithmetic) =>
        OperationCases.All.Where(operation => operation.IsAligned).Select(operation => (operation.ToString(), operation.For(arithmetic)));

    private static ElementType TypeOf(Operation operation, Expectation expectation) =>
        operation.Operands.FirstOrDefault(operand => operand.Name == expectation.Operand)?.Type ?? ElementType.Float64;

    private static double Store(double value, ElementType type) => type switch
    {
        ElementType.BFloat16 => Bf16.Value(Bf16.Round((float)value)),
        ElementType.Float32 => (float)value,
        _ => value,
    };
}
