using Trainer.Cuda.Kernels;

namespace Trainer.KernelTests;

/// <summary>Compares what a launch says of its costs with what the simulator counts.</summary>
internal static class TrafficCheck
{
    private const int SectorBytes = 32;

    /// <summary>
    /// The kernel moves the bytes that its launch says, up to a fiftieth; asks the memory system for hardly more sectors than
    /// hold them, so that accesses are contiguous and nothing is read twice; and shared memory has no conflicts.
    /// </summary>
    public static void IsIdeal(KernelRun run, KernelLaunch launch, params ReadOnlySpan<KernelArgument> arguments) => Check(run, launch, 0.02, 1.1, arguments);

    /// <summary>The same for a kernel that reads some of its operands more than once, from caches.</summary>
    /// <param name="run">The run.</param>
    /// <param name="launch">The launch.</param>
    /// <param name="slack">How far the bytes may be from those of the launch, relative.</param>
    /// <param name="sectors">How many times the sectors that hold the bytes may be asked for.</param>
    /// <param name="arguments">The kernel's.</param>
    public static void Check(KernelRun run, KernelLaunch launch, double slack, double sectors, params ReadOnlySpan<KernelArgument> arguments)
    {
        var traffic = run.Trace(launch, arguments);
        double bytes = traffic.LoadedBytes + traffic.StoredBytes;
        Assert.That(bytes, Is.EqualTo((double)launch.Bytes).Within(slack * launch.Bytes), $"{launch.Kernel}: bytes of device memory");
        Assert.That((traffic.LoadSectors + traffic.StoreSectors) * SectorBytes, Is.LessThanOrEqualTo(sectors * bytes),
            $"{launch.Kernel}: bytes of the sectors asked for");
        Assert.That(traffic.SharedConflicts, Is.Zero, $"{launch.Kernel}: conflicts between banks of shared memory");
        if (traffic.MmaFlops + traffic.WgmmaFlops > 0)
            Assert.That(traffic.MmaFlops + traffic.WgmmaFlops, Is.EqualTo((ulong)launch.Flops), $"{launch.Kernel}: operations of tensor cores");
    }
}
