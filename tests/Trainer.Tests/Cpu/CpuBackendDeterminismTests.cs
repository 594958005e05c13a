using Trainer.Cpu;
using Trainer.Tests.Compute;

namespace Trainer.Tests.Cpu;

public sealed class CpuBackendDeterminismTests
{
    private const int Guard = 61;

    public static IEnumerable<CpuInstructionSet> InstructionSets => CpuInstructionSets.Supported;

    private static IEnumerable<OperationCase> Cases => OperationCases.All.Concat(OperationCases.WeightPasses);

    [TestCaseSource(nameof(InstructionSets))]
    public void Any_number_of_threads_gives_the_same_bits(CpuInstructionSet instructionSet)
    {
        using var alone = new CpuBackend(1, instructionSet);
        foreach (int threads in new[] { 2, 3, 5 })
        {
            using var team = new CpuBackend(threads, instructionSet);
            foreach (var operation in Cases)
            {
                var expected = Run(alone, operation);
                var actual = Run(team, operation);
                for (int i = 0; i < expected.Count; i++)
                    Assert.That(actual[i].AsSpan().SequenceEqual(expected[i]), $"{operation}, operand {i}, {threads} threads");
            }
        }
    }

    [TestCaseSource(nameof(InstructionSets))]
    public void Repeating_an_operation_gives_the_same_bits(CpuInstructionSet instructionSet)
    {
        // Long enough for the runtime to replace its first code by optimised code, which must not round differently.
        using var backend = new CpuBackend(1, instructionSet);
        foreach (var operation in OperationCases.OneOfEach(Cases))
        {
            using var operands = new DeviceOperands(backend, operation.For(Arithmetic.Cpu), Guard);
            operands.Invoke();
            var first = operands.AllBytes();
            for (int repeat = 0; repeat < 60; repeat++)
            {
                operands.Reset();
                operands.Invoke();
                var again = operands.AllBytes();
                for (int i = 0; i < first.Count; i++)
                    Assert.That(again[i].AsSpan().SequenceEqual(first[i]), $"{operation}, operand {i}, repeat {repeat}");
            }
        }
    }

    [Test]
    public void Instruction_sets_agree_within_rounding()
    {
        using var portable = new CpuBackend(1, CpuInstructionSet.Portable);
        foreach (var set in CpuInstructionSets.Supported.Where(set => set != CpuInstructionSet.Portable))
        {
            using var backend = new CpuBackend(1, set);
            foreach (var operation in Cases)
            {
                using var expected = new DeviceOperands(portable, operation.For(Arithmetic.Cpu), Guard);
                using var actual = new DeviceOperands(backend, operation.For(Arithmetic.Cpu), Guard);
                expected.Invoke();
                actual.Invoke();

                // Each is within its tolerance of the reference, so they are within twice that of each other.
                foreach (var expectation in operation.For(Arithmetic.Cpu).Reference)
                {
                    var between = expectation with { Values = expected.Values(expectation.Operand), Tolerances = expectation.Tolerances.Scaled(2) };
                    between.Check(actual.Values(expectation.Operand));
                }
            }
        }
    }

    private static List<byte[]> Run(CpuBackend backend, OperationCase operation)
    {
        using var operands = new DeviceOperands(backend, operation.For(Arithmetic.Cpu), Guard);
        operands.Invoke();
        return operands.AllBytes();
    }
}
