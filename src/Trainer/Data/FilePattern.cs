using System.IO.Enumeration;

namespace Trainer.Data;

/// <summary>File patterns: <c>*</c> and <c>?</c> within a name, <c>**</c> for any number of folders.</summary>
internal static class FilePattern
{
    private static readonly char[] Separators = [Path.DirectorySeparatorChar, Path.AltDirectorySeparatorChar];

    /// <summary>Whether a path is a pattern rather than a name.</summary>
    public static bool IsPattern(string path) => path.AsSpan().IndexOfAny('*', '?') >= 0;

    /// <summary>
    /// The files that match, in ordinal order. Folders whose names begin with a dot are matched only where the pattern says so,
    /// and <c>**</c> does not go through links to folders, which may lead in a circle.
    /// </summary>
    /// <exception cref="RequestException">A folder cannot be read.</exception>
    public static IReadOnlyList<string> Expand(string pattern)
    {
        string[] parts = pattern.Split(Separators, StringSplitOptions.RemoveEmptyEntries);
        int literal = Array.FindIndex(parts, IsPattern);
        string root = string.Join(Path.DirectorySeparatorChar, parts[..literal]);
        if (Path.IsPathRooted(pattern) && !Path.IsPathRooted(root))
            root = Path.DirectorySeparatorChar + root;
        var found = new SortedSet<string>(StringComparer.Ordinal);
        try
        {
            Match(root, parts.AsSpan(literal), found);
        }
        catch (Exception error) when (error is IOException or UnauthorizedAccessException)
        {
            throw new RequestException($"{pattern}: a folder cannot be read: {error.Message}", error);
        }

        return [.. found];
    }

    private static void Match(string folder, ReadOnlySpan<string> parts, SortedSet<string> found)
    {
        string listed = folder.Length == 0 ? "." : folder;
        if (!Directory.Exists(listed))
            return;
        if (parts[0] == "**")
        {
            ReadOnlySpan<string> rest = parts.Length > 1 ? parts[1..] : ["*"];
            Match(folder, rest, found);
            foreach (string name in Names(Directory.EnumerateDirectories(listed).Where(IsNoLink), "*"))
                Match(Path.Combine(folder, name), parts, found);
        }
        else if (parts.Length == 1)
        {
            foreach (string name in Names(Directory.EnumerateFiles(listed), parts[0]))
                found.Add(Path.Combine(folder, name));
        }
        else
        {
            foreach (string name in Names(Directory.EnumerateDirectories(listed), parts[0]))
                Match(Path.Combine(folder, name), parts[1..], found);
        }
    }

    private static bool IsNoLink(string folder) => !File.GetAttributes(folder).HasFlag(FileAttributes.ReparsePoint);

    private static List<string> Names(IEnumerable<string> paths, string expression) =>
        [.. paths.Select(path => Path.GetFileName(path))
            .Where(name => (name[0] != '.' || expression[0] == '.') && FileSystemName.MatchesSimpleExpression(expression, name, ignoreCase: false))];
}
