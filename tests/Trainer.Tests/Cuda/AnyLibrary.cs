using System.Runtime.InteropServices;

namespace Trainer.Tests.Cuda;

/// <summary>Libraries under the names of CUDA's: copies of one that the runtime brings, which has none of CUDA's functions.</summary>
internal static class AnyLibrary
{
    /// <summary>Puts one into a folder.</summary>
    /// <returns>Its path.</returns>
    public static string CopyTo(TemporaryFolder folder, string name)
    {
        string path = Path.Combine(folder.Path, name);
        string original = OperatingSystem.IsWindows() ? "System.IO.Compression.Native.dll" : "libSystem.Native.so";
        File.Copy(Path.Combine(RuntimeEnvironment.GetRuntimeDirectory(), original), path);
        return path;
    }
}
