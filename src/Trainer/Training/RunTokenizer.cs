using Trainer.Tokenization;

namespace Trainer.Training;

/// <summary>The tokenizer that a run keeps beside its checkpoints, so that it can sample when the data are gone: <c>tokenizer-KIND.tiktoken</c>, empty for bytes.</summary>
public static class RunTokenizer
{
    private const string Prefix = "tokenizer-";
    private const string Suffix = ".tiktoken";

    /// <summary>Copies the tokenizer of the data into a run directory.</summary>
    public static void Save(string run, ITokenizer tokenizer, string? rankFile)
    {
        ArgumentNullException.ThrowIfNull(tokenizer);
        string path = Path.Combine(run, Prefix + tokenizer.Kind + Suffix);
        if (rankFile is null)
            File.WriteAllBytes(path, []);
        else
            File.Copy(rankFile, path, overwrite: true);
    }

    /// <summary>Loads the tokenizer of a run; null if it has none.</summary>
    /// <exception cref="RequestException">The file is corrupt.</exception>
    public static ITokenizer? Load(string run)
    {
        string? path = Directory.Exists(run) ? Directory.EnumerateFiles(run, Prefix + "*" + Suffix).Order(StringComparer.Ordinal).FirstOrDefault() : null;
        if (path is null)
            return null;
        string kind = Path.GetFileName(path)[Prefix.Length..^Suffix.Length];
        return TokenizerKind.Load(kind, kind == TokenizerKind.Bytes ? null : path);
    }
}
