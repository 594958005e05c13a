using System.Globalization;

namespace Trainer.Cpu;

/// <summary>How much memory the system can still give.</summary>
public static class SystemMemory
{
    /// <summary>The bytes that can be allocated without swapping, as far as the system and the limits of its container tell.</summary>
    public static long Available
    {
        get
        {
            var information = GC.GetGCMemoryInfo();
            long limit = information.TotalAvailableMemoryBytes;
            return MemAvailable() is { } free ? Math.Min(free, limit) : limit - information.MemoryLoadBytes;
        }
    }

    private static long? MemAvailable()
    {
        const string Path = "/proc/meminfo", Key = "MemAvailable:";
        if (!File.Exists(Path))
            return null;
        foreach (string line in File.ReadLines(Path))
        {
            if (line.StartsWith(Key, StringComparison.Ordinal)
                && long.TryParse(line[Key.Length..].Replace("kB", string.Empty, StringComparison.Ordinal), CultureInfo.InvariantCulture, out long kibibytes))
                return kibibytes * 1024;
        }

        return null;
    }
}
