using System.Runtime.CompilerServices;
using Trainer.Compute;
using Trainer.Cuda;

namespace Trainer.Tests.Cuda;

/// <summary>
/// The CUDA backend over the driver simulator of <c>native/driver</c>, which has to be built; or over the libraries in the folder that
/// <c>TRAINER_CUDA_LIBRARIES</c> names, with a GPU.
/// </summary>
internal static class SimulatedGpu
{
    private const string Variable = "TRAINER_CUDA_LIBRARIES", Driver = "libcuda.so.1";

    private static readonly string? Folder = Environment.GetEnvironmentVariable(Variable) ?? Built();

    /// <summary>Whether there is one; else its tests are skipped.</summary>
    public static bool IsThere => Folder is not null;

    /// <summary>A new backend.</summary>
    public static IBackend Create(Precision precision)
    {
        if (!IsThere)
            Assert.Ignore("the driver simulator is not built; ./build.sh --target=Native builds it");
        return new CudaBackend(new CudaBackendOptions { Precision = precision });
    }

    // All of CUDA in a process comes from one folder, so it is chosen before any test looks for a library.
    [ModuleInitializer]
    internal static void Choose() => CudaLibraries.Folder = Folder;

    private static string? Built()
    {
        for (var folder = new DirectoryInfo(AppContext.BaseDirectory); folder is not null; folder = folder.Parent)
        {
            string native = Path.Combine(folder.FullName, "artifacts", "native");
            if (File.Exists(Path.Combine(native, Driver)))
                return native;
        }

        return null;
    }
}
