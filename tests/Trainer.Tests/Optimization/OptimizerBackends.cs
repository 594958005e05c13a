using Trainer.Compute;
using Trainer.Cpu;

namespace Trainer.Tests.Optimization;

/// <summary>The backends that the optimizer's tests run on; one line adds another.</summary>
internal static class OptimizerBackends
{
    public static IEnumerable<TestFixtureData> All()
    {
        yield return Of("reference", () => new ReferenceBackend());
        foreach (var set in CpuInstructionSets.Supported)
            yield return Of($"cpu {set}", () => new CpuBackend(threads: 2, set));
    }

    private static TestFixtureData Of(string name, Func<IBackend> create) => new TestFixtureData(create).SetArgDisplayNames(name);
}
