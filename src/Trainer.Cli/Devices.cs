using Trainer.Compute;
using Trainer.Cpu;
using Trainer.Cuda;

namespace Trainer.Cli;

/// <summary>The device that a name stands for.</summary>
internal static class Devices
{
    /// <summary>Opens a device.</summary>
    /// <param name="device"><c>auto</c>, <c>cpu</c>, <c>cuda</c> or <c>cuda:N</c>.</param>
    /// <param name="threads">CPU threads; 0 for one per processor.</param>
    /// <param name="isa"><c>auto</c>, <c>avx512</c>, <c>avx2</c> or <c>portable</c>.</param>
    /// <exception cref="RequestException">This machine or this build does not have it.</exception>
    public static IBackend Open(string device, int threads, string isa)
    {
        if (!device.StartsWith("cuda", StringComparison.Ordinal))
            return new CpuBackend(threads, InstructionSet(isa));
        CudaProbe probe = CudaProbe.Run();
        throw new RequestException(probe.Problem is { } problem
            ? $"--device {device} cannot be used: {problem}.\n'trainer doctor' lists what was tried; --device cpu works everywhere."
            : $"--device {device} cannot be used: this version computes on the CPU only. Use --device cpu.");
    }

    private static CpuInstructionSet? InstructionSet(string isa) => isa switch
    {
        "avx512" => CpuInstructionSet.Avx512,
        "avx2" => CpuInstructionSet.Avx2,
        "portable" => CpuInstructionSet.Portable,
        _ => null,
    };
}
