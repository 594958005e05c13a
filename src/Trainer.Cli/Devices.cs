using Trainer.Compute;
using Trainer.Cpu;
using Trainer.Cuda;

namespace Trainer.Cli;

/// <summary>The device that a name stands for.</summary>
internal static class Devices
{
    private const string Simulator = "cuda-sim", SimulatorLibrary = "libcuda.so.1";

    /// <summary>Opens a device.</summary>
    /// <param name="device"><c>auto</c>, <c>cpu</c>, <c>cuda</c>, <c>cuda:N</c> or <c>cuda-sim</c>.</param>
    /// <param name="precision">The name of a <see cref="Precision"/>, or <c>auto</c> for the device's usual one.</param>
    /// <param name="threads">CPU threads; 0 for one per processor.</param>
    /// <param name="isa"><c>auto</c>, <c>avx512</c>, <c>avx2</c> or <c>portable</c>.</param>
    /// <param name="seed">Of stochastic rounding.</param>
    /// <exception cref="RequestException">This machine or this build does not have it, or it does not compute in this precision.</exception>
    public static IBackend Open(string device, string precision = "auto", int threads = 0, string isa = "auto", ulong seed = 1)
    {
        // A precision that no GPU has is no matter of which GPU there is.
        Precision? ofGpu = device.StartsWith("cuda", StringComparison.Ordinal) ? OfGpu(precision) : null;
        if (device == Simulator)
            CudaLibraries.Folder = SimulatorFolder();
        else if (device == "cpu" || (device == "auto" && CudaProbe.Run().Problem is not null))
            return OpenCpu(precision, threads, isa, seed);
        else if (CudaProbe.Run().Problem is { } problem)
            throw new RequestException($"--device {device} cannot be used: {problem}.\n'trainer doctor' lists what was tried; --device cpu works everywhere.");
        return new CudaBackend(new CudaBackendOptions
        {
            Device = device.StartsWith("cuda:", StringComparison.Ordinal) ? SettingNumber(device) : 0,
            Precision = ofGpu ?? OfGpu(precision),
            RoundingSeed = (uint)seed,
        });
    }

    private static Precision OfGpu(string name)
    {
        Precision precision = name == "auto" ? Precision.BFloat16Mixed : Precision.Parse(name);
        return Precision.All.Contains(precision)
            ? precision
            : throw new RequestException($"--precision {name} is not available on a GPU; use --device cpu.");
    }

    private static CpuBackend OpenCpu(string name, int threads, string isa, ulong seed)
    {
        Precision precision = name == "auto" ? Precision.Float32 : Precision.Parse(name).Emulated;
        return precision.HasMaster || precision.UsesTensorFloat32
            ? throw new RequestException($"--precision {name} needs a GPU; a CPU computes in fp32, with the weights of bf16-pure or bf16-pure-stochastic, "
                + "or with matrix products of mantissa:M. Leave the option out, or use mantissa:10 for the rounding of tf32, mantissa:7 for that of bf16.")
            : new CpuBackend(threads, InstructionSet(isa), precision, (uint)seed);
    }

    private static int SettingNumber(string device) => int.Parse(device.AsSpan("cuda:".Length), System.Globalization.CultureInfo.InvariantCulture);

    // The build puts it into artifacts/native of the repository that holds this program.
    private static string SimulatorFolder()
    {
        for (var folder = new DirectoryInfo(AppContext.BaseDirectory); folder is not null; folder = folder.Parent)
        {
            string native = Path.Combine(folder.FullName, "artifacts", "native");
            if (File.Exists(Path.Combine(native, SimulatorLibrary)))
                return native;
        }

        throw new RequestException($"--device {Simulator} needs the driver simulator, which is not built; ./build.sh --target=Native builds it and needs cmake and g++.");
    }

    private static CpuInstructionSet? InstructionSet(string isa) => isa switch
    {
        "avx512" => CpuInstructionSet.Avx512,
        "avx2" => CpuInstructionSet.Avx2,
        "portable" => CpuInstructionSet.Portable,
        _ => null,
    };
}
