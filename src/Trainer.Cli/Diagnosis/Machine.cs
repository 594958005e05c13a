using System.Globalization;
using System.Runtime.InteropServices;
using System.Runtime.Intrinsics.Arm;
using System.Runtime.Intrinsics.X86;

namespace Trainer.Cli.Diagnosis;

/// <summary>What this process has to work with.</summary>
internal sealed record Machine
{
    /// <summary>The processor's name; its architecture where the system tells no name.</summary>
    public required string Processor { get; init; }

    /// <summary>Processors of the machine.</summary>
    public required int Processors { get; init; }

    /// <summary>Processors that this process may use: fewer under a limit of affinity or of a container.</summary>
    public required int UsableProcessors { get; init; }

    /// <summary>Instruction sets that the runtime can use, by name.</summary>
    public required IReadOnlyList<string> InstructionSets { get; init; }

    /// <summary>Memory of the machine.</summary>
    public required long MemoryBytes { get; init; }

    /// <summary>Memory that can be had without swapping, the container's limit included; null where the system does not tell.</summary>
    public required long? FreeMemoryBytes { get; init; }

    /// <summary>The container's memory limit; null without one.</summary>
    public required long? MemoryLimitBytes { get; init; }

    /// <summary>The operating system.</summary>
    public required string System { get; init; }

    /// <summary>The .NET runtime.</summary>
    public required string Runtime { get; init; }

    /// <summary>The current directory.</summary>
    public required string Directory { get; init; }

    /// <summary>Space free for this user where the current directory is.</summary>
    public required long FreeDiskBytes { get; init; }

    /// <summary>Looks at this machine.</summary>
    public static Machine Read()
    {
        IReadOnlyDictionary<string, long> memory = ParseMemory(Lines("/proc/meminfo"));
        long total = memory.TryGetValue("MemTotal", out long installed) ? installed : GC.GetGCMemoryInfo().TotalAvailableMemoryBytes;
        long? free = memory.TryGetValue("MemAvailable", out long available) ? available : null;
        string group = ParseControlGroup(Lines("/proc/self/cgroup"));
        long? limit = null;
        foreach (string root in (ReadOnlySpan<string>)[$"/sys/fs/cgroup{group}", "/sys/fs/cgroup"])
        {
            // Version 2 first, then the names of version 1. A limit above the machine's memory limits nothing.
            long? set = Number($"{root}/memory.max") ?? Number($"{root}/memory/memory.limit_in_bytes");
            if (set is not { } bytes || bytes >= total || bytes >= limit)
                continue;
            limit = bytes;
            long used = Number($"{root}/memory.current") ?? Number($"{root}/memory/memory.usage_in_bytes") ?? 0;
            free = Math.Min(free ?? long.MaxValue, Math.Max(0, bytes - used));
        }

        string directory = Environment.CurrentDirectory;
        return new Machine
        {
            Processor = ParseProcessor(Lines("/proc/cpuinfo")) ?? Environment.GetEnvironmentVariable("PROCESSOR_IDENTIFIER") ?? RuntimeInformation.ProcessArchitecture.ToString(),
            Processors = Math.Max(Environment.ProcessorCount, Lines("/proc/cpuinfo").Count(line => line.StartsWith("processor", StringComparison.Ordinal))),
            UsableProcessors = Environment.ProcessorCount,
            InstructionSets = SupportedInstructionSets(),
            MemoryBytes = total,
            FreeMemoryBytes = free,
            MemoryLimitBytes = limit,
            System = RuntimeInformation.OSDescription,
            Runtime = RuntimeInformation.FrameworkDescription,
            Directory = directory,
            FreeDiskBytes = new DriveInfo(directory).AvailableFreeSpace,
        };
    }

    /// <summary>The lines of <c>/proc/meminfo</c>, in bytes by name.</summary>
    internal static IReadOnlyDictionary<string, long> ParseMemory(IEnumerable<string> lines)
    {
        var values = new Dictionary<string, long>();
        foreach (string line in lines)
        {
            string[] words = line.Split([':', ' '], StringSplitOptions.RemoveEmptyEntries);
            if (words is [var name, var number, "kB"] && long.TryParse(number, NumberStyles.None, CultureInfo.InvariantCulture, out long kibibytes))
                values[name] = kibibytes * 1024;
        }

        return values;
    }

    /// <summary>The path of the process's control group (version 2) from <c>/proc/self/cgroup</c>; empty for the root.</summary>
    internal static string ParseControlGroup(IEnumerable<string> lines) =>
        lines.FirstOrDefault(line => line.StartsWith("0::/", StringComparison.Ordinal)) is { } line ? line[3..].TrimEnd('/') : string.Empty;

    /// <summary>The processor's name from <c>/proc/cpuinfo</c>.</summary>
    internal static string? ParseProcessor(IEnumerable<string> lines) =>
        lines.FirstOrDefault(line => line.StartsWith("model name", StringComparison.Ordinal)) is { } line ? line[(line.IndexOf(':', StringComparison.Ordinal) + 1)..].Trim() : null;

    private static List<string> SupportedInstructionSets()
    {
        (string Name, bool Supported)[] sets =
        [
            ("SSE4.2", Sse42.IsSupported), ("AVX", Avx.IsSupported), ("AVX2", Avx2.IsSupported), ("FMA", Fma.IsSupported),
            ("AVX-VNNI", AvxVnni.IsSupported), ("AVX-512F", Avx512F.IsSupported), ("AVX-512BW", Avx512BW.IsSupported),
            ("AVX-512CD", Avx512CD.IsSupported), ("AVX-512DQ", Avx512DQ.IsSupported), ("AVX-512VBMI", Avx512Vbmi.IsSupported),
            ("AVX10.1", Avx10v1.IsSupported), ("NEON", AdvSimd.IsSupported), ("ARM dot product", Dp.IsSupported),
        ];
        return [.. sets.Where(set => set.Supported).Select(set => set.Name)];
    }

    private static string[] Lines(string path)
    {
        try
        {
            return File.Exists(path) ? File.ReadAllLines(path) : [];
        }
        catch (Exception exception) when (exception is IOException or UnauthorizedAccessException)
        {
            // A container may hide these files; what they would tell is then unknown.
            return [];
        }
    }

    private static long? Number(string path) =>
        Lines(path) is [var line, ..] && long.TryParse(line, NumberStyles.None, CultureInfo.InvariantCulture, out long number) ? number : null;
}
