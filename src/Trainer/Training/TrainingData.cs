using System.Globalization;
using System.Security.Cryptography;
using System.Text;
using Trainer.Checkpoints;
using Trainer.Data;
using Trainer.Tokenization;

namespace Trainer.Training;

/// <summary>What a run trains and evaluates on: token shards of both splits, and the tokenizer that made them where it is known.</summary>
public sealed class TrainingData : IDisposable
{
    /// <summary>Where the default corpus is prepared, below the current directory.</summary>
    public static readonly string DefaultFolder = Path.Combine("data", "dotnet-api");

    /// <summary>V of foreign shards, which do not say it: llm.c's and nanoGPT's are GPT-2's.</summary>
    private const int Gpt2Vocabulary = 50257;

    /// <summary>
    /// V of a corpus that is prepared on the way: in runs of minutes on a CPU, small vocabularies learn more of the text
    /// (bench/results/default-run.md).
    /// </summary>
    private const int PreparedVocabulary = 2048;

    private TrainingData(TokenCorpus train, TokenCorpus validation, ITokenizer? tokenizer, string? tokenizerPath, int vocabulary, string description)
    {
        (Train, Validation, Tokenizer, TokenizerPath, Vocabulary, Description) = (train, validation, tokenizer, tokenizerPath, vocabulary, description);
        try
        {
            Fingerprint = FingerprintOf(train, validation, vocabulary);
        }
        catch
        {
            Dispose();
            throw;
        }
    }

    /// <summary>The training split.</summary>
    public TokenCorpus Train { get; }

    /// <summary>The validation split.</summary>
    public TokenCorpus Validation { get; }

    /// <summary>The tokenizer; null for foreign shards, from which no text can be drawn.</summary>
    public ITokenizer? Tokenizer { get; }

    /// <summary>The rank file of the tokenizer, if it has one.</summary>
    public string? TokenizerPath { get; }

    /// <summary>V.</summary>
    public int Vocabulary { get; }

    /// <summary>What it is, on one line.</summary>
    public string Description { get; }

    /// <summary>Stands for the data in a recorded run, so that a run is not resumed on other data.</summary>
    public string Fingerprint { get; }

    /// <summary>Opens what the settings name; text, and the default corpus on first use, is prepared before.</summary>
    /// <param name="settings">Says where the data are.</param>
    /// <param name="progress">Is told how far preparation is.</param>
    /// <param name="cancellation">Stops preparation.</param>
    /// <exception cref="RequestException">The data are missing or corrupt.</exception>
    public static TrainingData Open(TrainingSettings settings, IProgress<PreparationProgress>? progress = null, CancellationToken cancellation = default)
    {
        ArgumentNullException.ThrowIfNull(settings);
        TrainingData data = OpenWhole(settings, progress, cancellation);
        if (settings.TrainTokens is not { } most || most >= data.Train.Tokens)
            return data;
        data.Train.Truncate(most);
        return data;
    }

    private static TrainingData OpenWhole(TrainingSettings settings, IProgress<PreparationProgress>? progress, CancellationToken cancellation)
    {
        if (settings is { TrainData: { } train, ValData: { } validation })
            return OpenShards(train, validation, settings.VocabSize, ModelOf(settings));
        if (settings.Data is { } folder)
            return OpenDataset(Dataset.Open(folder));
        string output = settings.Input.Count == 0 ? DefaultFolder : PreparedFolder(settings.Input);
        var dataset = Dataset.Exists(output)
            ? Dataset.Open(output)
            : CorpusPreparer.Prepare(new CorpusOptions { Inputs = settings.Input, Output = output, VocabularySize = PreparedVocabulary }, progress, cancellation);
        return OpenDataset(dataset);
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        Train.Dispose();
        Validation.Dispose();
    }

    private static TrainingData OpenDataset(Dataset dataset)
    {
        var (tokens, held) = (dataset.Manifest.Train.Tokens, dataset.Manifest.Validation.Tokens);
        string description = string.Create(CultureInfo.InvariantCulture,
            $"{dataset.Folder}: {tokens:N0} tokens to train on, {held:N0} held out, {dataset.Tokenizer.Kind} vocabulary of {dataset.Tokenizer.VocabularySize:N0}");
        var train = dataset.OpenTrain();
        try
        {
            return new TrainingData(train, dataset.OpenValidation(), dataset.Tokenizer, dataset.TokenizerPath, dataset.Tokenizer.VocabularySize, description);
        }
        catch
        {
            train.Dispose();
            throw;
        }
    }

    /// <summary>The model that says what V is: that of a resumed run, whose source may be gone, or the one to begin with.</summary>
    private static string? ModelOf(TrainingSettings settings) =>
        settings is { Resume: true, Run: { } run } && new CheckpointStore(new RunPaths(run).Checkpoints).FindNewest() is { } newest
            ? newest
            : settings.InitFrom;

    private static TrainingData OpenShards(string trainPattern, string validationPattern, int? size, string? model)
    {
        int vocabulary = size ?? (model is null ? Gpt2Vocabulary : ModelSource.Open(model).Config.Vocabulary);
        var train = TokenCorpus.OpenPattern(trainPattern);
        try
        {
            var validation = TokenCorpus.OpenPattern(validationPattern);
            string description = string.Create(CultureInfo.InvariantCulture,
                $"{trainPattern}: {train.Tokens:N0} tokens to train on, {validation.Tokens:N0} held out, vocabulary of {vocabulary:N0}, no tokenizer");
            return new TrainingData(train, validation, null, null, vocabulary, description);
        }
        catch
        {
            train.Dispose();
            throw;
        }
    }

    /// <summary>A folder of its own for each set of inputs as they are now, so that changed text is prepared again.</summary>
    private static string PreparedFolder(IReadOnlyList<string> inputs)
    {
        var text = new StringBuilder();
        foreach (var source in InputFiles.Open(inputs))
            text.Append(CultureInfo.InvariantCulture, $"{Path.GetFullPath(source.Name)}|{source.Bytes}|{File.GetLastWriteTimeUtc(source.Name).Ticks}\n");
        return Path.Combine("data", "input-" + Hash(text)[..12]);
    }

    private static string FingerprintOf(TokenCorpus train, TokenCorpus validation, int vocabulary)
    {
        var text = new StringBuilder();
        Span<int> sample = stackalloc int[64];
        foreach (var shard in train.Shards.Concat(validation.Shards))
        {
            // The length and a spread of tokens tell other data, and those of another tokenizer, apart without reading gigabytes.
            text.Append(CultureInfo.InvariantCulture, $"{shard.Tokens}");
            for (int part = 0; part < 64; part++)
            {
                int count = Math.Min(sample.Length, shard.Tokens);
                shard.Copy((int)((long)(shard.Tokens - count) * part / 63), sample[..count], vocabulary);
                foreach (int token in sample[..count])
                    text.Append(',').Append(token);
            }

            text.Append('\n');
        }

        return Hash(text);
    }

    private static string Hash(StringBuilder text) => Convert.ToHexStringLower(SHA256.HashData(Encoding.UTF8.GetBytes(text.ToString())));
}
