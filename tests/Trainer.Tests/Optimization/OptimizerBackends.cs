using Trainer.Compute;
using Trainer.Cpu;
using Trainer.Tests.Compute;
using Trainer.Tests.Cuda;

namespace Trainer.Tests.Optimization;

/// <summary>
/// The backends that the optimizer's tests run on, each with the relative error of the norms that it tells; one line adds another. A backend may hold
/// several steps in flight, and may round otherwise than a CPU: bits are compared only between runs of the same one.
/// </summary>
internal static class OptimizerBackends
{
    // Sums of squares of a CPU are in double precision.
    private const double OfDoublePrecision = 1e-10;

    public static IEnumerable<TestFixtureData> All()
    {
        yield return Of("reference", () => new ReferenceBackend(), OfDoublePrecision);
        foreach (var set in CpuInstructionSets.Supported)
            yield return Of($"cpu {set}", () => new CpuBackend(threads: 2, set), OfDoublePrecision);
        if (!SimulatedDriver.IsThere)
            yield break;
        double normError = new Arithmetic(Precision.Float32, IsGpu: true).SquareSum / 2;
        TestFixtureData cuda = Of("cuda fp32", () => SimulatedDriver.CreateBackend(Precision.Float32), normError);
        cuda.Properties.Add("Category", "Device");
        yield return cuda;
    }

    private static TestFixtureData Of(string name, Func<IBackend> create, double normError) => new TestFixtureData(create, normError).SetArgDisplayNames(name);
}
