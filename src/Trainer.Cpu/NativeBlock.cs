using System.Runtime.InteropServices;

namespace Trainer.Cpu;

/// <summary>Memory outside the managed heap, aligned to a cache line, and to large pages where the system offers them.</summary>
internal static unsafe partial class NativeBlock
{
    private const nuint CacheLine = 64;
    private const nuint LargePage = 2 << 20;
    private const int MadviseHugePage = 14;

    /// <summary>Allocates memory of no particular content.</summary>
    public static void* Allocate(nuint bytes)
    {
        if (bytes < 2 * LargePage || !OperatingSystem.IsLinux())
            return NativeMemory.AlignedAlloc(bytes, CacheLine);
        void* address = NativeMemory.AlignedAlloc(bytes, LargePage);
        // Matrix products walk down columns, each row on another small page. Advice that the system does not take costs nothing.
        _ = Madvise(address, bytes, MadviseHugePage);
        return address;
    }

    public static void Free(void* address) => NativeMemory.AlignedFree(address);

    [LibraryImport("libc", EntryPoint = "madvise")]
    private static partial int Madvise(void* address, nuint length, int advice);
}
