using System.Runtime.InteropServices;

namespace Trainer.Data;

/// <summary>
/// Finds the XML documentation of the .NET API, which every SDK brings along: the text to train on when the user names none.
/// </summary>
internal static class ApiDocumentation
{
    private const string ReferencePack = "Microsoft.NETCore.App.Ref";

    /// <summary>The documentation files in ordinal order of their names.</summary>
    /// <exception cref="RequestException">There is neither an SDK nor a NuGet cache with documentation.</exception>
    public static IReadOnlyList<string> Locate() => Locate(DotnetRoots(), NuGetCache());

    /// <summary>Looks in the reference packs of the given .NET installations, then in a NuGet cache.</summary>
    /// <exception cref="RequestException">Neither holds documentation.</exception>
    internal static IReadOnlyList<string> Locate(IEnumerable<string> dotnetRoots, string nuGetCache)
    {
        foreach (string root in dotnetRoots.Where(Directory.Exists).Distinct())
        {
            IReadOnlyList<string> files = InPack(Path.Combine(root, "packs", ReferencePack));
            if (files.Count > 0)
                return files;
        }

        IReadOnlyList<string> cached = InPack(Path.Combine(nuGetCache, ReferencePack.ToLowerInvariant()));
        if (cached.Count == 0)
            cached = FilePattern.Expand(Path.Combine(nuGetCache, "*", "*", "lib", "*", "*.xml"));
        return cached.Count > 0 ? cached : throw new RequestException(
            "there is no .NET SDK here whose documentation could be the default corpus; name text to train on with --input.");
    }

    private static IReadOnlyList<string> InPack(string pack)
    {
        if (!Directory.Exists(pack))
            return [];
        IOrderedEnumerable<string> versions = Directory.GetDirectories(pack)
            .OrderByDescending(folder => ParseVersion(Path.GetFileName(folder)))
            .ThenByDescending(folder => folder, StringComparer.Ordinal);
        return versions.Select(version => FilePattern.Expand(Path.Combine(version, "ref", "net*", "*.xml"))).FirstOrDefault(files => files.Count > 0) ?? [];
    }

    // "10.0.0-rc.1" counts as 10.0.0.
    private static Version ParseVersion(string name) => Version.TryParse(name.Split('-')[0], out Version? version) ? version : new Version(0, 0);

    private static IEnumerable<string> DotnetRoots()
    {
        if (Environment.GetEnvironmentVariable("DOTNET_ROOT") is { Length: > 0 } configured)
            yield return configured;

        // <root>/shared/Microsoft.NETCore.App/<version>/, unless the program brings its own runtime.
        string? runtime = RuntimeEnvironment.GetRuntimeDirectory();
        for (int up = 0; up < 3 && runtime is not null; up++)
            runtime = Path.GetDirectoryName(runtime.TrimEnd(Path.DirectorySeparatorChar));
        if (runtime is not null)
            yield return runtime;

        string host = OperatingSystem.IsWindows() ? "dotnet.exe" : "dotnet";
        foreach (string folder in (Environment.GetEnvironmentVariable("PATH") ?? "").Split(Path.PathSeparator, StringSplitOptions.RemoveEmptyEntries))
        {
            var file = new FileInfo(Path.Combine(folder, host));
            if (file.Exists)
                yield return Path.GetDirectoryName((file.ResolveLinkTarget(returnFinalTarget: true) ?? file).FullName)!;
        }
    }

    private static string NuGetCache() => Environment.GetEnvironmentVariable("NUGET_PACKAGES") is { Length: > 0 } configured
        ? configured
        : Path.Combine(Environment.GetFolderPath(Environment.SpecialFolder.UserProfile), ".nuget", "packages");
}
