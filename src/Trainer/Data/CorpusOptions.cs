using Trainer.Tokenization;

namespace Trainer.Data;

/// <summary>What to make a dataset of, and how.</summary>
public sealed record CorpusOptions
{
    /// <summary>
    /// Files, folders and patterns (<c>*</c>, <c>?</c>, <c>**</c>). A folder is searched through for .txt, .text, .md, .markdown, .rst,
    /// .adoc, .tex, .jsonl and .ndjson; names that begin with a dot are passed over. A .jsonl or .ndjson file holds one document per line, as
    /// the <c>text</c> of an object; every other file is one document of plain text. Empty for the default corpus: the prose of the
    /// API documentation that comes with the .NET SDK.
    /// </summary>
    public IReadOnlyList<string> Inputs { get; init; } = [];

    /// <summary>The folder to make.</summary>
    public required string Output { get; init; }

    /// <summary>One of the names of <see cref="TokenizerKind"/>.</summary>
    public string Tokenizer { get; init; } = TokenizerKind.Bpe;

    /// <summary>V for <see cref="TokenizerKind.Bpe"/>, the end-of-text token included. A small text may give fewer.</summary>
    public int VocabularySize { get; init; } = 4096;

    /// <summary>The ranks for <see cref="TokenizerKind.Gpt2"/>: what <see cref="MergeRanks.Load"/> reads.</summary>
    public string? VocabularyFile { get; init; }

    /// <summary>The share of the text to hold out; above 0 and below 1.</summary>
    public double ValidationFraction { get; init; } = 0.05;

    /// <summary>The most tokens of one shard.</summary>
    public int TokensPerShard { get; init; } = 100_000_000;

    /// <summary>How many threads encode. The result does not depend on it.</summary>
    public int Threads { get; init; } = Environment.ProcessorCount;

    /// <summary>Whether a dataset that is at <see cref="Output"/> may be replaced. Nothing else ever is.</summary>
    public bool Overwrite { get; init; }
}

/// <summary>What <see cref="CorpusPreparer"/> is doing.</summary>
public enum PreparationPhase
{
    /// <summary>Counts the words of the text, in bytes of the inputs.</summary>
    CountingWords,

    /// <summary>Learns merges, in tokens of the vocabulary.</summary>
    LearningMerges,

    /// <summary>Encodes the text, in bytes of the inputs.</summary>
    Encoding,

    /// <summary>Takes digests of what was written, in files.</summary>
    Digesting,
}

/// <summary>How far <see cref="CorpusPreparer"/> is.</summary>
/// <param name="Phase">What it does, and the unit of the numbers.</param>
/// <param name="Done">How much is done.</param>
/// <param name="Total">How much there is to do.</param>
public readonly record struct PreparationProgress(PreparationPhase Phase, long Done, long Total);
