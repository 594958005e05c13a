using Trainer.Compute;
using Trainer.Cpu;
using Trainer.Tests.Compute;

namespace Trainer.Tests.Cpu;

[TestFixtureSource(nameof(Variants))]
public sealed class CpuBackendContractTests(CpuInstructionSet instructionSet, int threads) : BackendContractTests
{
    public static IEnumerable<object[]> Variants =>
        from instructionSet in CpuInstructionSets.Supported from threads in new[] { 1, 2, 3 } select new object[] { instructionSet, threads };

    /// <summary>Odd, so that no operand is aligned: parameters lie in one allocation wherever the one before them ends.</summary>
    protected override int Guard => 61;

    protected override IBackend Create() => new CpuBackend(threads, instructionSet);
}
