using System.Runtime.InteropServices;

namespace Trainer.Cuda;

/// <summary>A library that the backend calls.</summary>
internal enum CudaLibrary
{
    /// <summary>The CUDA driver: libcuda.so.1, nvcuda.dll.</summary>
    Driver,

    /// <summary>The classical cuBLAS.</summary>
    Cublas,

    /// <summary>cuBLASLt.</summary>
    CublasLt,
}

/// <summary>Where the libraries of CUDA are looked for.</summary>
/// <param name="folder">The only folder in which to look; null to look everywhere.</param>
/// <param name="toolkit">The folder of a CUDA toolkit, as <c>CUDA_PATH</c> names it; null for none.</param>
/// <param name="windows">Whether the names are those of Windows.</param>
internal sealed class LibrarySearch(string? folder, string? toolkit, bool windows)
{
    // cuBLAS of CUDA 13 needs a driver of CUDA 13; one of CUDA 12 runs on either. Of those that run the newest is best: an old one does not know
    // a new device.
    private static readonly int[] CublasVersions = [13, 12], CublasVersionsForOldDriver = [12, 13];

    /// <summary>The search of this machine.</summary>
    /// <param name="folder">The only folder in which to look; null for what <c>TRAINER_CUDA_LIBRARIES</c> names, or everywhere.</param>
    public static LibrarySearch OfThisMachine(string? folder) =>
        new(OnlyFolder(folder), Variable("CUDA_PATH") ?? Variable("CUDA_HOME"), OperatingSystem.IsWindows());

    /// <summary>The only folder in which to look: the given one, else what <c>TRAINER_CUDA_LIBRARIES</c> names; null without either.</summary>
    public static string? OnlyFolder(string? folder) => (folder ?? Variable("TRAINER_CUDA_LIBRARIES")) is { } named ? Path.GetFullPath(named) : null;

    /// <summary>The files and names to try for a library, in order. A name without a folder is for the system's own search.</summary>
    /// <param name="library">The library.</param>
    /// <param name="driver">The CUDA version that the driver supports; null if it is not known.</param>
    public IReadOnlyList<string> Candidates(CudaLibrary library, Version? driver = null)
    {
        string[] names = Names(library, driver?.Major < 13 ? CublasVersionsForOldDriver : CublasVersions);
        return folder is not null
            ? [.. names.Select(name => Join(folder, name))]
            : [.. names, .. Folders(library).SelectMany(place => names.Select(name => Join(place, name)))];
    }

    /// <summary>Loads the first of some files and names that can be loaded.</summary>
    /// <param name="candidates">The files and names.</param>
    /// <param name="tried">Gets a line for every one that was tried: the name, and what came of it.</param>
    /// <returns>The name and the handle; null if none can be loaded.</returns>
    public static (string Name, nint Handle)? Load(IEnumerable<string> candidates, ICollection<string> tried)
    {
        foreach (string name in candidates)
        {
            if (Path.IsPathRooted(name) && !File.Exists(name))
            {
                tried.Add($"{name}: not found");
                continue;
            }

            try
            {
                nint handle = NativeLibrary.Load(name);
                tried.Add($"{name}: found");
                return (name, handle);
            }
            catch (Exception exception) when (exception is DllNotFoundException or BadImageFormatException)
            {
                tried.Add($"{name}: {Reason(name, exception.Message)}");
            }
        }

        return null;
    }

    // The runtime's message ends in a line of the system's: NAME: REASON. Of a name that the system does not know, it says no more than that.
    private static string Reason(string name, string message)
    {
        string line = message.TrimEnd().Split('\n')[^1].Trim();
        bool isName = !Path.IsPathRooted(name);
        bool isUnknown = OperatingSystem.IsWindows() || line.StartsWith($"{name}: cannot open shared object file", StringComparison.Ordinal);
        return isName && isUnknown ? "not found" : $"not loaded: {line}";
    }

    /// <summary>The CUDA version that a driver supports; null if it does not tell. It tells before it is initialised.</summary>
    public static unsafe Version? DriverVersion(nint driver)
    {
        int version = 0;
        return NativeLibrary.TryGetExport(driver, "cuDriverGetVersion", out nint entry) && ((delegate* unmanaged<int*, int>)entry)(&version) == 0
            ? new Version(version / 1000, version % 1000 / 10)
            : null;
    }

    private static string? Variable(string name) => Environment.GetEnvironmentVariable(name) is { Length: > 0 } value ? value : null;

    private string[] Names(CudaLibrary library, int[] versions) => (library, windows) switch
    {
        (CudaLibrary.Driver, false) => ["libcuda.so.1"],
        (CudaLibrary.Driver, true) => ["nvcuda.dll"],
        (CudaLibrary.Cublas, false) => [.. versions.Select(version => $"libcublas.so.{version}")],
        (CudaLibrary.Cublas, true) => [.. versions.Select(version => $"cublas64_{version}.dll")],
        (_, false) => [.. versions.Select(version => $"libcublasLt.so.{version}")],
        (_, true) => [.. versions.Select(version => $"cublasLt64_{version}.dll")],
    };

    private IEnumerable<string> Folders(CudaLibrary library)
    {
        if (windows)
        {
            // The driver installs into the system's folder. The toolkit has moved its libraries with version 13.
            return library == CudaLibrary.Driver || toolkit is null ? [] : [Join(toolkit, @"bin\x64"), Join(toolkit, "bin")];
        }

        if (library == CudaLibrary.Driver)
            return ["/usr/lib/wsl/lib", "/usr/lib/x86_64-linux-gnu", "/usr/lib/aarch64-linux-gnu", "/usr/lib64"];
        IEnumerable<string> ofToolkit = toolkit is null ? [] : [Join(toolkit, "lib64"), Join(toolkit, "lib")];
        return [.. ofToolkit, "/usr/local/cuda/lib64", "/usr/local/cuda-13/lib64", "/usr/local/cuda-12/lib64"];
    }

    private string Join(string first, string second) => first.TrimEnd('/', '\\') + (windows ? '\\' : '/') + second;
}
