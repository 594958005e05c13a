using System.Security.Cryptography;
using Trainer.Tokenization;

namespace Trainer.Data;

/// <summary>A prepared dataset: a folder with token shards of both splits, the tokenizer, and a manifest. <see cref="CorpusPreparer"/> makes it.</summary>
public sealed class Dataset
{
    /// <summary>The name of the rank file in the folder.</summary>
    internal const string TokenizerFileName = "tokenizer.tiktoken";

    private Dataset(string folder, DatasetManifest manifest, ITokenizer tokenizer) => (Folder, Manifest, Tokenizer) = (folder, manifest, tokenizer);

    /// <summary>The folder.</summary>
    public string Folder { get; }

    /// <summary>What the folder holds.</summary>
    public DatasetManifest Manifest { get; }

    /// <summary>The tokenizer with which the text was encoded.</summary>
    public ITokenizer Tokenizer { get; }

    /// <summary>The rank file of the tokenizer; null for bytes.</summary>
    public string? TokenizerPath => Manifest.Tokenizer.File is { } file ? Path.Combine(Folder, file.Name) : null;

    /// <summary>The shards of the training split, in order.</summary>
    public IEnumerable<string> TrainShards => Paths(Manifest.Train);

    /// <summary>The shards of the held-out split, in order.</summary>
    public IEnumerable<string> ValidationShards => Paths(Manifest.Validation);

    /// <summary>Opens a dataset: reads manifest and tokenizer and checks that every file has the length that it had.</summary>
    /// <exception cref="RequestException">The folder is no dataset, or a file is missing, truncated or does not fit the others.</exception>
    public static Dataset Open(string folder)
    {
        DatasetManifest manifest = DatasetManifest.Load(folder);
        foreach (FileDescription file in Files(manifest))
        {
            var info = new FileInfo(Path.Combine(folder, file.Name));
            if (!info.Exists)
                throw new RequestException($"{info}: missing, though {DatasetManifest.FileName} names it; prepare the data again.");
            if (info.Length != file.Bytes)
                throw new RequestException($"{info}: expected {file.Bytes} bytes, found {info.Length}; prepare the data again.");
        }

        TokenizerDescription described = manifest.Tokenizer;
        ITokenizer tokenizer = TokenizerKind.Load(described.Kind, described.File is { } ranks ? Path.Combine(folder, ranks.Name) : null);
        if (tokenizer.VocabularySize != described.VocabularySize || tokenizer.EndOfText != described.EndOfText)
        {
            throw new RequestException(
                $"{Path.Combine(folder, DatasetManifest.FileName)}: says {described.VocabularySize} tokens, but the tokenizer has {tokenizer.VocabularySize}; prepare the data again.");
        }

        return new Dataset(folder, manifest, tokenizer);
    }

    /// <summary>Whether a folder holds a dataset, whole or not: whether it has a manifest of one.</summary>
    public static bool Exists(string folder)
    {
        try
        {
            DatasetManifest.Load(folder);
            return true;
        }
        catch (RequestException)
        {
            return false;
        }
    }

    /// <summary>Opens the training split; the caller disposes it.</summary>
    /// <exception cref="RequestException">A shard is missing or corrupt.</exception>
    public TokenCorpus OpenTrain() => TokenCorpus.Open(TrainShards);

    /// <summary>Opens the held-out split; the caller disposes it.</summary>
    /// <exception cref="RequestException">A shard is missing or corrupt.</exception>
    public TokenCorpus OpenValidation() => TokenCorpus.Open(ValidationShards);

    /// <summary>Reads every file and compares its digest with the manifest.</summary>
    /// <param name="cancellation">Stops the work.</param>
    /// <exception cref="RequestException">A file was changed; the message names it.</exception>
    public void Verify(CancellationToken cancellation = default)
    {
        foreach (FileDescription file in Files(Manifest))
        {
            cancellation.ThrowIfCancellationRequested();
            string path = Path.Combine(Folder, file.Name);
            string found = Digest(path);
            if (found != file.Sha256)
                throw new RequestException($"{path}: corrupt: its SHA-256 is {found}, the manifest says {file.Sha256}; prepare the data again.");
        }
    }

    /// <summary>Describes a file of a dataset that is being written.</summary>
    internal static FileDescription Describe(string folder, string name)
    {
        string path = Path.Combine(folder, name);
        return new FileDescription(name, new FileInfo(path).Length, Digest(path));
    }

    private IEnumerable<string> Paths(SplitDescription split) => split.Shards.Select(shard => Path.Combine(Folder, shard.Name));

    private static IEnumerable<FileDescription> Files(DatasetManifest manifest)
    {
        IEnumerable<FileDescription> shards = manifest.Train.Shards.Concat(manifest.Validation.Shards);
        return manifest.Tokenizer.File is { } ranks ? shards.Prepend(ranks) : shards;
    }

    private static string Digest(string path)
    {
        try
        {
            using FileStream file = File.OpenRead(path);
            return Convert.ToHexStringLower(SHA256.HashData(file));
        }
        catch (FileNotFoundException error)
        {
            throw new RequestException($"{path}: missing; prepare the data again.", error);
        }
    }
}
