using System.Reflection;
using System.Runtime.InteropServices;

namespace Trainer.KernelTests;

/// <summary>In which order lanes, warps and blocks run.</summary>
internal enum Order : uint
{
    Forward,
    Reversed,
    Random,
}

/// <summary>What the memory system would have to do for a launch (native/simt/include/simt_api.h).</summary>
[StructLayout(LayoutKind.Sequential)]
internal struct Traffic
{
    public ulong LoadRequests, LoadSectors, StoreRequests, StoreSectors;
    public ulong LoadedBytes, StoredBytes;
    public ulong SharedPhases, SharedConflicts;
    public ulong MmaFlops, WgmmaFlops;
}

/// <summary>The kernels of <c>cuda/</c>, compiled for the CPU with the simulator in native/simt.</summary>
internal static partial class Simulator
{
    private const string Library = "simt";

    // Another build of the library: with AddressSanitizer, or with a mistake planted in a kernel.
    private const string PathVariable = "TRAINER_SIMT_LIBRARY";

    static Simulator()
    {
        string? path = Environment.GetEnvironmentVariable(PathVariable) ?? Find();
        Missing = path == null || !File.Exists(path)
            ? "the kernels were not compiled for the CPU; ./build.sh --target=Native does it and needs cmake and g++"
            : ChangedSince(path) is { } source ? $"{source} has changed since the kernels were compiled for the CPU; ./build.sh --target=Native does it again"
            : null;
        if (Missing == null)
            NativeLibrary.SetDllImportResolver(Assembly.GetExecutingAssembly(), (name, _, _) => name == Library ? NativeLibrary.Load(path!) : 0);
    }

    /// <summary>Why there is no simulator; null when there is one.</summary>
    public static string? Missing { get; }

    /// <summary>Whether every load and store is checked and counted; in a build with AddressSanitizer only their addresses are checked.</summary>
    public static bool SeesAccesses => Missing == null && SeesAccessesCore() != 0;

    public static IEnumerable<string> Kernels()
    {
        for (int i = 0; Marshal.PtrToStringUTF8(KernelName(i)) is { } name; i++)
            yield return name;
    }

    [LibraryImport(Library, EntryPoint = "simt_allocate", StringMarshalling = StringMarshalling.Utf8)]
    public static partial nint Allocate(nuint bytes, string name);

    [LibraryImport(Library, EntryPoint = "simt_free")]
    public static partial int Free(nint memory);

    [LibraryImport(Library, EntryPoint = "simt_live_buffers")]
    public static partial nuint LiveBuffers();

    [LibraryImport(Library, EntryPoint = "simt_launch", StringMarshalling = StringMarshalling.Utf8)]
    public static unsafe partial byte* Launch(string kernel, in LaunchConfig config, void** arguments, nuint* argumentBytes, int count, Traffic* traffic);

    [LibraryImport(Library, EntryPoint = "simt_encode_tensor_map")]
    public static unsafe partial byte* EncodeTensorMap(void* map, nint address, uint rank, ulong* extent, ulong* pitch, uint* box, uint swizzle);

    [LibraryImport(Library, EntryPoint = "simt_sees_accesses")]
    private static partial int SeesAccessesCore();

    [LibraryImport(Library, EntryPoint = "simt_kernel_name")]
    private static partial nint KernelName(int i);

    // A source in the repository of the library that is newer than it: not of native/driver, which is other libraries over this one. A library of
    // another build has its own sources.
    private static string? ChangedSince(string library)
    {
        if (Environment.GetEnvironmentVariable(PathVariable) != null)
            return null;
        var (root, built) = (new FileInfo(library).Directory!.Parent!.Parent!, File.GetLastWriteTimeUtc(library));
        return root.EnumerateDirectories().Where(folder => folder.Name is "cuda" or "native")
            .SelectMany(folder => folder.EnumerateFiles("*", SearchOption.AllDirectories))
            .Where(file => !file.FullName.StartsWith(Path.Combine(root.FullName, "native", "driver") + Path.DirectorySeparatorChar, StringComparison.Ordinal))
            .FirstOrDefault(file => file.Extension is ".cu" or ".cuh" or ".cpp" or ".h" && file.LastWriteTimeUtc > built)?.FullName;
    }

    private static string? Find()
    {
        // The build puts it into artifacts/native of the repository that holds this assembly.
        for (var folder = new DirectoryInfo(AppContext.BaseDirectory); folder != null; folder = folder.Parent)
        {
            string path = Path.Combine(folder.FullName, "artifacts", "native", "libsimt.so");
            if (File.Exists(path))
                return path;
        }

        return null;
    }

    [StructLayout(LayoutKind.Sequential)]
    public unsafe struct LaunchConfig
    {
        public fixed uint Grid[3];
        public fixed uint Block[3];
        public uint SharedBytes;
        public Order Order;
        public ulong Seed;
    }
}
