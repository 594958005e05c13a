namespace Trainer.Data;

/// <summary>Turns what a user names (files, folders, patterns) into the files to read.</summary>
internal static class InputFiles
{
    private static readonly string[] JsonLinesExtensions = [".jsonl", ".ndjson"];

    // What is read from a folder. A file that is named, or matched by a pattern, may have any extension.
    private static readonly string[] TextExtensions = [".txt", ".text", ".md", ".markdown", ".rst", ".adoc", ".tex", .. JsonLinesExtensions];

    /// <summary>The sources, in the order of the inputs; the files of a folder or pattern in ordinal order of their paths, none twice.</summary>
    /// <exception cref="RequestException">An input does not exist, or matches no file.</exception>
    public static IReadOnlyList<TextSource> Open(IEnumerable<string> inputs)
    {
        var seen = new HashSet<string>(StringComparer.Ordinal);
        var sources = new List<TextSource>();
        foreach (string path in inputs.SelectMany(Find))
        {
            if (seen.Add(Path.GetFullPath(path)))
                sources.Add(Open(path));
        }

        return sources;
    }

    private static TextSource Open(string path) =>
        JsonLinesExtensions.Contains(Path.GetExtension(path).ToLowerInvariant()) ? new JsonLinesSource(path) : new PlainTextSource(path);

    private static IEnumerable<string> Find(string input)
    {
        if (File.Exists(input))
            return [input];
        if (Directory.Exists(input))
        {
            IReadOnlyList<string> files = [.. FilePattern.Expand(Path.Combine(input, "**")).Where(HasTextExtension)];
            return files.Count > 0 ? files : throw new RequestException($"{input}: the folder holds no text ({string.Join(", ", TextExtensions)}).");
        }

        if (FilePattern.IsPattern(input))
        {
            IReadOnlyList<string> files = FilePattern.Expand(input);
            return files.Count > 0 ? files : throw new RequestException($"{input}: no file matches.");
        }

        throw new RequestException($"{input}: the input does not exist.");
    }

    private static bool HasTextExtension(string path) => TextExtensions.Contains(Path.GetExtension(path).ToLowerInvariant());
}
