using System.Reflection;
using System.Runtime.InteropServices;
using System.Runtime.Loader;
using ManagedCuda;
using ManagedCuda.CudaBlas;

namespace Trainer.Cuda;

/// <summary>
/// Gives ManagedCuda the libraries that <see cref="CudaLibraries"/> found. ManagedCuda looks for <c>libcuda.so</c> and <c>libcublas.so</c> without
/// a version, which only a toolkit installs; what the system does not find, it is given here.
/// </summary>
internal static class ManagedCudaLibraries
{
    private static readonly Assembly DriverAssembly = typeof(DriverAPINativeMethods).Assembly, CublasAssembly = typeof(CudaBlasNativeMethods).Assembly;

    // An event, since ManagedCuda has taken the one resolver that an assembly can have.
    static ManagedCudaLibraries() => AssemblyLoadContext.Default.ResolvingUnmanagedDll += Resolve;

    /// <summary>Called before the first call of ManagedCuda.</summary>
    public static void Use()
    {
        // The static constructor does it.
    }

    /// <summary>Makes sure that ManagedCuda calls the library that was found.</summary>
    /// <exception cref="DllNotFoundException">None was found.</exception>
    /// <exception cref="InvalidOperationException">It calls another, although a folder was named.</exception>
    public static void Require(CudaLibrary library)
    {
        nint found = CudaLibraries.Load(library);
        if (LibrarySearch.OnlyFolder(CudaLibraries.Folder) is not { } folder)
            return;

        // As ManagedCuda does it.
        (string name, Assembly assembly) = (library, OperatingSystem.IsWindows()) switch
        {
            (CudaLibrary.Driver, true) => ("nvcuda", DriverAssembly),
            (CudaLibrary.Driver, false) => ("libcuda", DriverAssembly),
            (_, true) => ("cublas64_12", CublasAssembly),
            (_, false) => ("cublas", CublasAssembly),
        };
        if (NativeLibrary.TryLoad(name, assembly, DllImportSearchPath.SafeDirectories, out nint used) && used != found)
        {
            throw new InvalidOperationException(
                $"ManagedCuda calls the {name} of the system, not the one in {folder}, which was asked for. "
                + "A build without -p:CudaDriver=ManagedCuda calls that one.");
        }
    }

    private static nint Resolve(Assembly assembly, string name)
    {
        if (assembly == DriverAssembly)
            return CudaLibraries.Load(CudaLibrary.Driver);

        // 0 leaves it to the runtime.
        return assembly == CublasAssembly ? CudaLibraries.Load(CudaLibrary.Cublas) : 0;
    }
}
