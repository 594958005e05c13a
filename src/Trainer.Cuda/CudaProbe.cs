using System.Globalization;
using System.Runtime.InteropServices;
using System.Text;

namespace Trainer.Cuda;

/// <summary>One GPU.</summary>
/// <param name="Index">Its number in <c>--device cuda:N</c>.</param>
/// <param name="Name">The name the driver gives it.</param>
/// <param name="ComputeCapability">Its architecture: 9.0 for Hopper.</param>
/// <param name="Multiprocessors">Its streaming multiprocessors.</param>
/// <param name="MemoryBytes">Its memory.</param>
public sealed record CudaDevice(int Index, string Name, Version ComputeCapability, int Multiprocessors, long MemoryBytes);

/// <summary>
/// Looks for a GPU without using it: loads the CUDA driver if there is one, asks it what it drives, and looks for cuBLAS. Nothing is allocated, no
/// context is created, and the absence of any of it is an answer, not an error. It looks where <see cref="CudaLibraries"/> looks, but does not
/// decide what that will load: what it has loaded it releases, since the system gives a library that is loaded to everything that asks for one of
/// that name.
/// </summary>
public sealed record CudaProbe
{
    // CUresult and CUdevice_attribute values of the CUDA driver API reference.
    private const int Success = 0, ComputeCapabilityMajor = 75, ComputeCapabilityMinor = 76, MultiprocessorCount = 16;

    // libraryPropertyType_t of cublasGetProperty.
    private const int MajorVersion = 0, MinorVersion = 1, PatchLevel = 2;

    internal CudaProbe()
    {
    }

    /// <summary>The file or name under which the driver library was found; null without one.</summary>
    public string? DriverLibrary { get; internal init; }

    /// <summary>The newest CUDA version that the driver supports; null without a working driver.</summary>
    public Version? DriverVersion { get; internal init; }

    /// <summary>The file or name under which cuBLASLt was found; null without it: the matrix products are then left to the kernels.</summary>
    public string? CublasLtLibrary { get; internal init; }

    /// <summary>The version of cuBLASLt; null if there is none or it does not tell.</summary>
    public Version? CublasLtVersion { get; internal init; }

    /// <summary>The file or name under which the classical cuBLAS was found; null without it.</summary>
    public string? CublasLibrary { get; internal init; }

    /// <summary>The version of cuBLAS; null if there is none or it does not tell.</summary>
    public Version? CublasVersion { get; internal init; }

    /// <summary>The GPUs, by number.</summary>
    public IReadOnlyList<CudaDevice> Devices { get; internal init; } = [];

    /// <summary>Every library that was looked for, and what came of it, in order.</summary>
    public IReadOnlyList<string> Tried { get; internal init; } = [];

    /// <summary>Why no GPU can be used, in a sentence; null when one can.</summary>
    public string? Problem { get; internal init; }

    /// <summary>Looks at this machine.</summary>
    public static CudaProbe Run() => Run(LibrarySearch.OfThisMachine(CudaLibraries.Folder));

    /// <summary>Looks in given places.</summary>
    internal static CudaProbe Run(LibrarySearch search)
    {
        var tried = new List<string>();
        var probe = new CudaProbe { Tried = tried };
        var driver = LibrarySearch.Load(search.Candidates(CudaLibrary.Driver), tried);
        if (driver is { } found)
            probe = Ask(found.Handle, probe with { DriverLibrary = found.Name, DriverVersion = LibrarySearch.DriverVersion(found.Handle) });
        else
            probe = probe with { Problem = "the NVIDIA driver library was not found" };

        (string? cublasLt, Version? cublasLtVersion) = Look(CudaLibrary.CublasLt, CublasLtVersionOf);
        (string? cublas, Version? cublasVersion) = Look(CudaLibrary.Cublas, CublasVersionOf);
        if (driver is { } used)
            NativeLibrary.Free(used.Handle);
        return probe with { CublasLtLibrary = cublasLt, CublasLtVersion = cublasLtVersion, CublasLibrary = cublas, CublasVersion = cublasVersion };

        (string? Name, Version? Version) Look(CudaLibrary library, Func<nint, Version?> versionOf)
        {
            if (LibrarySearch.Load(search.Candidates(library, probe.DriverVersion), tried) is not { } found)
                return default;
            Version? version = versionOf(found.Handle);
            NativeLibrary.Free(found.Handle);
            return (found.Name, version);
        }
    }

    private static unsafe Version? CublasLtVersionOf(nint library)
    {
        if (!NativeLibrary.TryGetExport(library, "cublasLtGetVersion", out nint entry))
            return null;

        // 120405 for 12.4.5.
        int version = (int)((delegate* unmanaged<nuint>)entry)();
        return new Version(version / 10000, version / 100 % 100, version % 100);
    }

    private static unsafe Version? CublasVersionOf(nint library)
    {
        if (!NativeLibrary.TryGetExport(library, "cublasGetProperty", out nint entry))
            return null;
        var getProperty = (delegate* unmanaged<int, int*, int>)entry;
        int major = 0, minor = 0, patch = 0;
        return getProperty(MajorVersion, &major) == Success && getProperty(MinorVersion, &minor) == Success && getProperty(PatchLevel, &patch) == Success
            ? new Version(major, minor, patch)
            : null;
    }

    private static unsafe CudaProbe Ask(nint driver, CudaProbe probe)
    {
        string[] names = ["cuInit", "cuDriverGetVersion", "cuDeviceGetCount", "cuDeviceGet", "cuDeviceGetName", "cuDeviceTotalMem_v2", "cuDeviceGetAttribute"];
        var entries = new Dictionary<string, nint>();
        foreach (string name in names)
        {
            if (!NativeLibrary.TryGetExport(driver, name, out nint entry))
                return probe with { Problem = $"{probe.DriverLibrary} has no function {name}; it is no usable NVIDIA driver" };
            entries[name] = entry;
        }

        int status = ((delegate* unmanaged<uint, int>)entries["cuInit"])(0);
        if (status != Success)
            return probe with { Problem = $"the NVIDIA driver does not start: {Explain(driver, status)}" };

        int count = 0;
        status = ((delegate* unmanaged<int*, int>)entries["cuDeviceGetCount"])(&count);
        if (status != Success || count == 0)
            return probe with { Problem = status == Success ? "the NVIDIA driver knows no GPU" : $"the GPUs cannot be counted: {Explain(driver, status)}" };

        var devices = new List<CudaDevice>();
        for (int index = 0; index < count; index++)
        {
            int device = 0;
            status = ((delegate* unmanaged<int*, int, int>)entries["cuDeviceGet"])(&device, index);
            if (status != Success)
                return probe with { Devices = devices, Problem = $"GPU {index} cannot be opened: {Explain(driver, status)}" };
            devices.Add(Describe(entries, index, device));
        }

        return probe with { Devices = devices };
    }

    private static unsafe CudaDevice Describe(Dictionary<string, nint> entries, int index, int device)
    {
        var getName = (delegate* unmanaged<byte*, int, int, int>)entries["cuDeviceGetName"];
        var getMemory = (delegate* unmanaged<nuint*, int, int>)entries["cuDeviceTotalMem_v2"];
        var getAttribute = (delegate* unmanaged<int*, int, int, int>)entries["cuDeviceGetAttribute"];

        byte* name = stackalloc byte[256];
        name[0] = 0;
        bool named = getName(name, 256, device) == Success;
        nuint memory = 0;
        _ = getMemory(&memory, device);
        int major = 0, minor = 0, multiprocessors = 0;
        _ = getAttribute(&major, ComputeCapabilityMajor, device);
        _ = getAttribute(&minor, ComputeCapabilityMinor, device);
        _ = getAttribute(&multiprocessors, MultiprocessorCount, device);
        return new CudaDevice(index, named ? Text(name) : "unknown", new Version(major, minor), multiprocessors, (long)memory);
    }

    private static unsafe string Explain(nint driver, int status)
    {
        byte* text = null;
        if (NativeLibrary.TryGetExport(driver, "cuGetErrorString", out nint entry))
            _ = ((delegate* unmanaged<int, byte**, int>)entry)(status, &text);
        string code = string.Create(CultureInfo.InvariantCulture, $"CUDA error {status}");
        return text is null ? code : $"{code}, {Text(text)}";
    }

    private static unsafe string Text(byte* text) => Encoding.UTF8.GetString(MemoryMarshal.CreateReadOnlySpanFromNullTerminated(text));
}
