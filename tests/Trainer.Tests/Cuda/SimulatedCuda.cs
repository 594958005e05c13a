using System.Runtime.InteropServices;
using System.Text;

namespace Trainer.Tests.Cuda;

/// <summary>The simulated driver and cuBLAS of native/driver, bound by path and without any code of the product.</summary>
internal static unsafe partial class SimulatedCuda
{
    // Another build of the libraries: with AddressSanitizer.
    private const string FolderVariable = "TRAINER_SIMULATED_CUDA";

    private static readonly Dictionary<string, nint> Exports = [];

    static SimulatedCuda()
    {
        string? folder = Environment.GetEnvironmentVariable(FolderVariable) ?? Find();
        // Linked last, over all the others.
        string last = Path.Combine(folder ?? "", "libcublas.so.12");
        Folder = folder ?? "";
        Missing = folder == null || !File.Exists(last)
            ? "the simulated CUDA driver was not compiled; ./build.sh --target=Native does it and needs cmake and g++"
            : ChangedSince(last) is { } source ? $"{source} has changed since the simulated CUDA driver was compiled; ./build.sh --target=Native does it again"
            : null;
        if (Missing != null)
            return;
        foreach (string library in new[] { "libcuda.so.1", "libcublasLt.so.12", "libcublas.so.12", "libsimt.so" })
            Libraries.Add(NativeLibrary.Load(Path.Combine(Folder, library)));
    }

    /// <summary>Why there is no simulated driver; null when there is one.</summary>
    public static string? Missing { get; }

    public static string Folder { get; }

    /// <summary>What was wrong with the latest call that failed.</summary>
    public static string Message => Text("simcudaLastMessage").Text;

    public static (int Count, string Text) LiveObjects => Text("simcudaLiveObjects");

    /// <summary>Whether every load and store of a kernel is checked for races; not so in a build with AddressSanitizer.</summary>
    public static bool SeesAccesses => ((delegate* unmanaged<int>)Export("simt_sees_accesses"))() != 0;

    private static List<nint> Libraries { get; } = [];

    public static long Calls(string function)
    {
        fixed (byte* name = Utf8(function))
            return ((delegate* unmanaged<byte*, long>)Export("simcudaCallCount"))(name);
    }

    public static long ExecutedKernels => ((delegate* unmanaged<long>)Export("simcudaExecutedKernels"))();

    public static long UnpinnedCopies => ((delegate* unmanaged<long>)Export("simcudaUnpinnedCopies"))();

    public static long LeakedObjects => ((delegate* unmanaged<long>)Export("simcudaLeakedObjects"))();

    public static void Reset() => ((delegate* unmanaged<void>)Export("simcudaReset"))();

    public static void SetLazy(bool lazy, ulong seed = 0) => ((delegate* unmanaged<int, ulong, void>)Export("simcudaSetOrder"))(lazy ? 1 : 0, seed);

    public static void SetKernelOrder(int order, ulong seed = 0) => ((delegate* unmanaged<int, ulong, void>)Export("simcudaSetKernelOrder"))(order, seed);

    /// <summary>Compute capability (90 is 9.0), multiprocessors and memory; 0 leaves a number as it is.</summary>
    public static void SetDevice(int capability, int multiprocessors, ulong memory) =>
        ((delegate* unmanaged<int, int, ulong, void>)Export("simcudaSetDevice"))(capability, multiprocessors, memory);

    public static void SetEmptyKernels(bool empty) => Set("simcudaSetEmptyKernels", empty);

    public static void SetRaceChecks(bool on) => Set("simcudaSetRaceChecks", on);

    public static void SetPrinting(bool on) => Set("simcudaSetPrinting", on);

    public static int SetFailures(string specification)
    {
        fixed (byte* text = Utf8(specification))
            return ((delegate* unmanaged<byte*, int>)Export("simcudaSetFailures"))(text);
    }

    /// <summary>The address of an exported function.</summary>
    public static nint Export(string name)
    {
        if (Exports.TryGetValue(name, out nint address))
            return address;
        foreach (nint library in Libraries)
        {
            if (NativeLibrary.TryGetExport(library, name, out address))
                return Exports[name] = address;
        }

        throw new EntryPointNotFoundException(name);
    }

    /// <summary>A string for native code, ended by a zero.</summary>
    public static byte[] Utf8(string text) => Encoding.UTF8.GetBytes(text + '\0');

    private static void Set(string function, bool on) => ((delegate* unmanaged<int, void>)Export(function))(on ? 1 : 0);

    private static (int Count, string Text) Text(string function)
    {
        byte[] buffer = new byte[1 << 16];
        fixed (byte* text = buffer)
        {
            int result = ((delegate* unmanaged<byte*, int, int>)Export(function))(text, buffer.Length);
            return (result, Marshal.PtrToStringUTF8((nint)text)!);
        }
    }

    // A source in the repository of the libraries that is newer than they are. Libraries of another build have their own sources.
    private static string? ChangedSince(string library)
    {
        if (Environment.GetEnvironmentVariable(FolderVariable) != null)
            return null;
        var (root, built) = (new FileInfo(library).Directory!.Parent!.Parent!, File.GetLastWriteTimeUtc(library));
        return root.EnumerateDirectories().Where(folder => folder.Name is "cuda" or "native")
            .SelectMany(folder => folder.EnumerateFiles("*", SearchOption.AllDirectories))
            .Where(file => file.Name != "process.cpp")      // a program over the libraries
            .FirstOrDefault(file => file.Extension is ".cu" or ".cuh" or ".cpp" or ".h" && file.LastWriteTimeUtc > built)?.FullName;
    }

    private static string? Find()
    {
        // The build puts them into artifacts/native of the repository that holds this assembly.
        for (var folder = new DirectoryInfo(AppContext.BaseDirectory); folder != null; folder = folder.Parent)
        {
            string path = Path.Combine(folder.FullName, "artifacts", "native");
            if (Directory.Exists(path))
                return path;
        }

        return null;
    }
}
