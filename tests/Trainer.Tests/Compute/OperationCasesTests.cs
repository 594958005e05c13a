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

    /// <summary>Half at least of the results that are not 0 are known to a third of themselves: neither 0 nor twice or minus the right ones would pass.</summary>
    [TestCaseSource(nameof(Devices))]
    public void Tolerances_are_smaller_than_results(object device) => Assert.Multiple(() =>
    {
        foreach (var (name, operation) in Aligned((Arithmetic)device))
        {
            foreach (Expectation expectation in operation.Reference)
            {
                int results = expectation.Values.Count(value => value != 0);
                int known = expectation.Values.Zip(expectation.Tolerances).Count(pair => pair.First != 0 && pair.Second < Math.Abs(pair.First) / 3);
                Assert.That(2 * known, Is.GreaterThanOrEqualTo(results), $"{name}, {expectation.Operand}");
            }
        }
    });

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
