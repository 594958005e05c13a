using Trainer.Compute;

namespace Trainer.Tests.Optimization;

/// <summary>The backends that the optimizer's tests run on; one line adds another.</summary>
internal static class OptimizerBackends
{
    public static IEnumerable<TestFixtureData> All()
    {
        yield return Of("reference", () => new ReferenceBackend());
    }

    private static TestFixtureData Of(string name, Func<IBackend> create) => new TestFixtureData(create).SetArgDisplayNames(name);
}
