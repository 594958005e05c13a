using System.Reflection;
using System.Runtime.InteropServices;

namespace Trainer.Cuda;

/// <summary>
/// Finds and loads the libraries of CUDA for this process, each when it is first called, and once. Everything of CUDA in one process comes
/// from the same search.
/// </summary>
public static class CudaLibraries
{
    // The names under which this assembly imports functions.
    internal const string Driver = "cuda", Cublas = "cublas", CublasLt = "cublasLt";

    private static readonly Lock Gate = new();
    private static readonly Dictionary<CudaLibrary, (string Name, nint Handle)?> Libraries = [];
    private static readonly List<string> Attempts = [];
    private static string? _folder;

    static CudaLibraries() => NativeLibrary.SetDllImportResolver(typeof(CudaLibraries).Assembly, Resolve);

    /// <summary>
    /// The only folder in which to look, for a driver that is not the system's; null to look everywhere. Where it is null, the environment
    /// variable <c>TRAINER_CUDA_LIBRARIES</c> may name such a folder.
    /// </summary>
    /// <exception cref="InvalidOperationException">Another folder is set after a library was looked for.</exception>
    public static string? Folder
    {
        get => _folder;
        set
        {
            lock (Gate)
            {
                if (value == _folder)
                    return;
                if (Libraries.Count > 0)
                    throw new InvalidOperationException("the libraries of CUDA were already looked for; the folder must be set before");
                _folder = value;
            }
        }
    }

    /// <summary>Every file and name that was tried so far, in order, and what came of it.</summary>
    public static IReadOnlyList<string> Tried
    {
        get
        {
            lock (Gate)
                return [.. Attempts];
        }
    }

    /// <summary>Whether there is a CUDA driver. Loads it.</summary>
    public static bool HasDriver => Find(CudaLibrary.Driver) is not null;

    /// <summary>Whether there is a classical cuBLAS. Loads it.</summary>
    public static bool HasCublas => Find(CudaLibrary.Cublas) is not null;

    /// <summary>Whether there is a cuBLASLt. Loads it.</summary>
    public static bool HasCublasLt => Find(CudaLibrary.CublasLt) is not null;

    /// <summary>The file or name from which a library was loaded; null if there is none. Loads it.</summary>
    internal static string? FileOf(CudaLibrary library) => Find(library)?.Name;

    /// <summary>Makes imports of this assembly come here. Called by what imports, before its first call.</summary>
    internal static void Use()
    {
        // The static constructor does it.
    }

    /// <summary>The handle of a library, which is loaded if it was not yet.</summary>
    /// <exception cref="DllNotFoundException">There is none; the message lists what was tried.</exception>
    internal static nint Load(CudaLibrary library)
    {
        if (Find(library) is { } found)
            return found.Handle;
        string name = library switch
        {
            CudaLibrary.Driver => "the NVIDIA driver library",
            CudaLibrary.Cublas => "cuBLAS",
            _ => "cuBLASLt",
        };
        throw new DllNotFoundException($"{name} was not found; tried\n  {string.Join("\n  ", Tried)}");
    }

    private static (string Name, nint Handle)? Find(CudaLibrary library)
    {
        lock (Gate)
        {
            if (Libraries.TryGetValue(library, out var found))
                return found;
            Version? driver = library != CudaLibrary.Driver && Find(CudaLibrary.Driver) is { } loaded ? LibrarySearch.DriverVersion(loaded.Handle) : null;
            found = LibrarySearch.Load(LibrarySearch.OfThisMachine(_folder).Candidates(library, driver), Attempts);
            Libraries.Add(library, found);
            return found;
        }
    }

    private static nint Resolve(string name, Assembly assembly, DllImportSearchPath? path) => name switch
    {
        Driver => Load(CudaLibrary.Driver),
        Cublas => Load(CudaLibrary.Cublas),
        CublasLt => Load(CudaLibrary.CublasLt),

        // 0 leaves it to the runtime.
        _ => 0,
    };
}
