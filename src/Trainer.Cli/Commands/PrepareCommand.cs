using System.Globalization;
using Trainer.Cli.Display;
using Trainer.Data;
using Trainer.Training;

namespace Trainer.Cli.Commands;

/// <summary>What <c>trainer prepare</c> is asked.</summary>
internal sealed record PrepareSettings
{
    private const string Text = "Text", Tokens = "Tokens";

    /// <summary>The text.</summary>
    [Setting(Text, "files, folders and patterns (*, ?, **) of text or JSON lines", "PATH", Default = "the documentation that the .NET SDK brings along")]
    public IReadOnlyList<string> Input { get; init; } = [];

    /// <summary>The folder to make.</summary>
    [Setting(Text, "folder to make", "DIR", Required = true)]
    public string Output { get; init; } = string.Empty;

    /// <summary>Whether a dataset there is replaced.</summary>
    [Setting(Text, "replace a dataset that is there already")]
    public bool Overwrite { get; init; }

    /// <summary>The share held out for validation.</summary>
    [Setting(Text, "share of the text held out for validation", "X", Range = "(0, 1)")]
    public double ValFraction { get; init; } = 0.05;

    /// <summary>How text becomes tokens.</summary>
    [Setting(Tokens, "how text becomes tokens; bpe learns a vocabulary from the text, gpt2 reads one", Values = "bytes|bpe|gpt2")]
    public string Tokenizer { get; init; } = "bpe";

    /// <summary>V, with bpe.</summary>
    [Setting(Tokens, "tokens of a learned vocabulary", "N", Range = "[257, 65536]")]
    public int VocabSize { get; init; } = 4096;

    /// <summary>The vocabulary of gpt2.</summary>
    [Setting(Tokens, "merges of gpt2: a .tiktoken file, or vocab.bpe with encoder.json beside it", "FILE", Default = "none")]
    public string? VocabFile { get; init; }

    /// <summary>Threads; 0 for one per processor.</summary>
    [Setting("Device", "threads; 0: one per processor; the result does not depend on it", "N", Range = "[0, 1024]")]
    public int Threads { get; init; }
}

/// <summary><c>trainer prepare</c>: makes a dataset of text.</summary>
internal static class PrepareCommand
{
    public static Verb Create(Terminal terminal) => Verb.Create<PrepareSettings>(
        "prepare",
        "Turns text into tokens on disk, for training: splits it, learns or reads a vocabulary, and encodes it.",
        [
            "trainer prepare --input shakespeare.txt --output data/shakespeare",
            "trainer prepare --input 'books/**/*.txt' --tokenizer gpt2 --vocab-file gpt2.tiktoken --output data/books",
        ],
        settings =>
        {
            terminal.StopOnInterruption();
            var options = new CorpusOptions
            {
                Inputs = settings.Input,
                Output = settings.Output,
                Overwrite = settings.Overwrite,
                ValidationFraction = settings.ValFraction,
                Tokenizer = settings.Tokenizer,
                VocabularySize = settings.VocabSize,
                VocabularyFile = settings.VocabFile,
                Threads = settings.Threads == 0 ? Environment.ProcessorCount : settings.Threads,
            };
            Dataset dataset = CorpusPreparer.Prepare(options, new PreparationDisplay(terminal, TimeProvider.System), terminal.Stop);
            DatasetManifest manifest = dataset.Manifest;
            terminal.Out.WriteLine(string.Create(CultureInfo.InvariantCulture,
                $"{dataset.Folder}: {manifest.Train.Tokens:N0} tokens to train on, {manifest.Validation.Tokens:N0} held out, {manifest.Tokenizer.VocabularySize:N0} in the vocabulary ({manifest.Tokenizer.Kind}), {manifest.BytesPerToken:F2} bytes per token"));
            terminal.Error.WriteLine($"Try:    trainer train --data {dataset.Folder}");
            return ExitCode.Done;
        });
}
