using Trainer.Compute;
using Trainer.Cpu;
using Trainer.Tests.Compute;

namespace Trainer.Tests.Cpu;

[TestFixtureSource(typeof(CpuBackendContractTests), nameof(CpuBackendContractTests.Variants))]
public sealed class CpuWeightPassesContractTests(CpuInstructionSet instructionSet, int threads) : WeightPassesContractTests
{
    /// <summary>Odd, so that no operand is aligned.</summary>
    protected override int Guard => 61;

    private protected override Arithmetic Arithmetic => Arithmetic.Cpu;

    protected override IBackend Create() => new CpuBackend(threads, instructionSet);
}
