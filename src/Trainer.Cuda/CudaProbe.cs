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
/// Looks for a GPU without using it: loads the CUDA driver if there is one, asks it what it drives, and looks for cuBLASLt. Nothing is
/// allocated, no context is created, and the absence of any of it is an answer, not an error.
/// </summary>
public sealed record CudaProbe
{
    // CUresult and CUdevice_attribute values of the CUDA driver API reference.
    private const int Success = 0, ComputeCapabilityMajor = 75, ComputeCapabilityMinor = 76, MultiprocessorCount = 16;

    private CudaProbe()
    {
    }

    /// <summary>The file or name under which the driver library was found; null without one.</summary>
    public string? DriverLibrary { get; private init; }

    /// <summary>The newest CUDA version that the driver supports; null without a working driver.</summary>
    public Version? DriverVersion { get; private init; }

    /// <summary>The name under which cuBLASLt was found; null without it.</summary>
    public string? CublasLtLibrary { get; private init; }

    /// <summary>The GPUs, by number.</summary>
    public IReadOnlyList<CudaDevice> Devices { get; private init; } = [];

    /// <summary>Every library that was looked for, and what came of it, in order.</summary>
    public IReadOnlyList<string> Tried { get; private init; } = [];

    /// <summary>Why no GPU can be used, in a sentence; null when one can.</summary>
    public string? Problem { get; private init; }

    /// <summary>Looks at this machine.</summary>
    public static CudaProbe Run() => OperatingSystem.IsWindows()
        ? Run(["nvcuda.dll"], ["cublasLt64_13.dll", "cublasLt64_12.dll"])
        : Run(
            ["libcuda.so.1", "/usr/lib/wsl/lib/libcuda.so.1", "/usr/lib/x86_64-linux-gnu/libcuda.so.1", "/usr/lib64/libcuda.so.1", "/usr/lib/aarch64-linux-gnu/libcuda.so.1"],
            ["libcublasLt.so.13", "libcublasLt.so.12", "/usr/local/cuda/lib64/libcublasLt.so.13", "/usr/local/cuda/lib64/libcublasLt.so.12"]);

    /// <summary>Looks for the libraries under the given names.</summary>
    internal static CudaProbe Run(IReadOnlyList<string> driverLibraries, IReadOnlyList<string> cublasLtLibraries)
    {
        var tried = new List<string>();
        var probe = new CudaProbe { Tried = tried };
        if (Load(cublasLtLibraries, tried) is { } cublasLt)
        {
            // Only its presence matters here.
            NativeLibrary.Free(cublasLt.Handle);
            probe = probe with { CublasLtLibrary = cublasLt.Name };
        }

        if (Load(driverLibraries, tried) is not { } driver)
            return probe with { Problem = "the NVIDIA driver library was not found" };
        probe = probe with { DriverLibrary = driver.Name };
        probe = Ask(driver.Handle, probe);
        return probe with { Problem = probe.Problem ?? (probe.CublasLtLibrary is null ? "cuBLASLt of CUDA 12 or 13 was not found" : null) };
    }

    private static (string Name, nint Handle)? Load(IReadOnlyList<string> names, List<string> tried)
    {
        foreach (string name in names)
        {
            bool found = NativeLibrary.TryLoad(name, out nint handle);
            tried.Add($"{name}: {(found ? "found" : "not found")}");
            if (found)
                return (name, handle);
        }

        return null;
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

        var getVersion = (delegate* unmanaged<int*, int>)entries["cuDriverGetVersion"];
        int version = 0;
        if (getVersion(&version) == Success)
            probe = probe with { DriverVersion = new Version(version / 1000, version % 1000 / 10) };

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
