using System.Runtime.InteropServices;
using System.Text;
using Trainer.Compute;
using Trainer.Cuda;

namespace Trainer.Tests.Cuda;

/// <summary>
/// The driver simulator of <c>native/</c>, as the driver of this process. Tests that need nothing but a driver run on a GPU too, with that of the machine:
/// they have the category Device, and the environment says so.
/// </summary>
internal static unsafe class SimulatedDriver
{
    private static readonly string? Folder = Built();
    private static readonly bool IsMachines = Environment.GetEnvironmentVariable("TRAINER_TEST_DEVICE") == "cuda";

    /// <summary>Whether it is built, the environment names a folder with a driver, or the machine's own is to be tested.</summary>
    public static bool IsThere => IsMachines || Folder is not null || LibrarySearch.OnlyFolder(null) is not null;

    /// <summary>Whether the driver that was loaded is a simulator: a GPU's neither fails on request nor tells what it holds.</summary>
    private static bool IsSimulated => NativeLibrary.TryGetExport(CudaLibraries.Load(CudaLibrary.Driver), "simcudaReset", out _);

    /// <summary>Makes it the driver, or skips the test where it is not built.</summary>
    public static void Require()
    {
        if (!IsThere)
            Assert.Ignore("the driver simulator is not built; ./build.sh --target=Native builds it");
        if (!IsMachines && LibrarySearch.OnlyFolder(null) is null)
            CudaLibraries.Folder = Folder;
    }

    /// <summary>Skips a test of what only the simulator does.</summary>
    public static void RequireSimulated()
    {
        Require();
        if (!IsSimulated)
            Assert.Ignore("this test makes the driver simulator fail or wait, or knows what its cuBLAS offers");
    }

    /// <summary>A new CUDA backend over it, or skips the test where it is not built.</summary>
    public static CudaBackend CreateBackend(Precision precision)
    {
        Require();
        return new CudaBackend(new CudaBackendOptions { Precision = precision });
    }

    /// <summary>Whether errors are also written to standard error.</summary>
    public static void SetPrinting(bool on) => ((delegate* unmanaged<int, void>)Entry("simcudaSetPrinting"))(on ? 1 : 0);

    /// <summary>Lets calls to come fail: <c>cuMemAlloc_v2:3=2</c> the third allocation from now with error 2; empty for none.</summary>
    public static void SetFailures(string specification)
    {
        fixed (byte* text = Encoding.UTF8.GetBytes(specification + '\0'))
        {
            int count = ((delegate* unmanaged<byte*, int>)Entry("simcudaSetFailures"))(text);
            Assert.That(count, Is.Not.Negative, specification);
        }
    }

    /// <summary>How often a function of the driver was called.</summary>
    public static long Calls(string function)
    {
        fixed (byte* name = Encoding.UTF8.GetBytes(function + '\0'))
            return ((delegate* unmanaged<byte*, long>)Entry("simcudaCallCount"))(name);
    }

    /// <summary>What has been created and not destroyed, a line for each; empty where the driver does not tell.</summary>
    public static string LiveObjects()
    {
        if (!IsSimulated)
            return string.Empty;
        byte* text = stackalloc byte[4096];
        _ = ((delegate* unmanaged<byte*, int, int>)Entry("simcudaLiveObjects"))(text, 4096);
        return Marshal.PtrToStringUTF8((nint)text)!;
    }

    /// <summary>Lets work run only when somebody waits for it, or at once.</summary>
    public static void SetLazy(bool on) => ((delegate* unmanaged<int, ulong, void>)Entry("simcudaSetOrder"))(on ? 1 : 0, on ? 7ul : 0);

    /// <summary>A driver as of a new process.</summary>
    public static void Reset() => ((delegate* unmanaged<void>)Entry("simcudaReset"))();

    private static nint Entry(string name) => NativeLibrary.GetExport(CudaLibraries.Load(CudaLibrary.Driver), name);

    // The build puts it into artifacts/native of the repository that holds this assembly.
    private static string? Built()
    {
        for (var folder = new DirectoryInfo(AppContext.BaseDirectory); folder is not null; folder = folder.Parent)
        {
            string native = Path.Combine(folder.FullName, "artifacts", "native");
            if (File.Exists(Path.Combine(native, "libcuda.so.1")))
                return native;
        }

        return null;
    }
}
