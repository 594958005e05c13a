using System.Collections.Concurrent;
using Trainer.Tokenization;

namespace Trainer.Data;

/// <summary>
/// Makes a dataset from text: reads documents, cuts them into segments of which an even sample is held out, learns a vocabulary if
/// asked, encodes, and writes shards, tokenizer and manifest. Memory is bounded whatever the size of the text, the result depends on
/// nothing but inputs and options, and the folder appears only when it is complete.
/// </summary>
public sealed class CorpusPreparer
{
    // Segments of this share of the corpus are small enough to sample from, and large enough that few sequences cross their borders.
    private const int SegmentsPerCorpus = 200;
    private const int LargestSegmentBytes = 1 << 20;

    // More text hardly changes which merges are best, but its rare words would take memory without bound. What is taken is evenly spaced.
    private const double LargestVocabularySample = 512L << 20;

    private readonly CorpusOptions _options;
    private readonly IProgress<PreparationProgress>? _progress;
    private readonly CancellationToken _cancellation;
    private readonly IReadOnlyList<TextSource> _sources;
    private readonly long _sourceBytes;
    private readonly int _segmentBytes;

    private CorpusPreparer(CorpusOptions options, IProgress<PreparationProgress>? progress, CancellationToken cancellation)
    {
        (_options, _progress, _cancellation) = (options, progress, cancellation);
        _sources = options.Inputs.Count > 0 ? InputFiles.Open(options.Inputs) : [ApiDocumentationSource.Load(ApiDocumentation.Locate())];
        _sourceBytes = _sources.Sum(source => source.Bytes);
        _segmentBytes = (int)Math.Clamp(_sourceBytes / SegmentsPerCorpus, TextSegmenter.LeastSegmentBytes, LargestSegmentBytes);
    }

    /// <summary>Makes a dataset.</summary>
    /// <param name="options">What to make it of, and how.</param>
    /// <param name="progress">Is told how far the work is, on the calling thread.</param>
    /// <param name="cancellation">Stops the work; nothing is left behind.</param>
    /// <returns>The dataset. With <see cref="TokenizerKind.Bpe"/> its vocabulary is smaller than asked for if the text is too small for it.</returns>
    /// <exception cref="RequestException">An option or an input is wrong, there is too little text, or the output exists.</exception>
    /// <exception cref="RunFailedException">The output cannot be written.</exception>
    public static Dataset Prepare(CorpusOptions options, IProgress<PreparationProgress>? progress = null, CancellationToken cancellation = default)
    {
        Check(options);
        using var staged = new StagedFolder(options.Output, options.Overwrite);
        try
        {
            var preparer = new CorpusPreparer(options, progress, cancellation);
            preparer.Fill(staged.Path);
            staged.Publish();
        }
        catch (IOException error)
        {
            throw new RunFailedException($"{options.Output}: the dataset could not be written: {error.Message}", error);
        }

        return Dataset.Open(options.Output);
    }

    private static void Check(CorpusOptions options)
    {
        if (!(options.ValidationFraction > 0 && options.ValidationFraction < 1))
            throw new RequestException($"--val-fraction must be above 0 and below 1, but is {options.ValidationFraction}.");
        if (options.Threads < 1)
            throw new RequestException($"--threads must be positive, but is {options.Threads}.");
        if (options.TokensPerShard < 1)
            throw new RequestException($"the tokens per shard must be positive, but are {options.TokensPerShard}.");
        if (options.VocabularyFile is not null && options.Tokenizer != TokenizerKind.Gpt2)
            throw new RequestException($"--vocab-file goes with --tokenizer {TokenizerKind.Gpt2}, not with {options.Tokenizer}.");
    }

    private void Fill(string folder)
    {
        ITokenizer tokenizer = _options.Tokenizer == TokenizerKind.Bpe ? LearnVocabulary() : TokenizerKind.Load(_options.Tokenizer, _options.VocabularyFile);
        using var train = new SplitWriter(folder, "train", tokenizer, _options.TokensPerShard);
        using var validation = new SplitWriter(folder, "val", tokenizer, _options.TokensPerShard);
        Encode(tokenizer, train, validation);
        if (train.Bytes + validation.Bytes == 0)
            throw new RequestException($"{string.Join(", ", _options.Inputs)}: the inputs hold no text.");
        if (train.Bytes == 0 || validation.Bytes == 0)
        {
            throw new RequestException(
                $"{train.Bytes + validation.Bytes} bytes of text are too few to hold out {_options.ValidationFraction} of them; give more text or another --val-fraction.");
        }

        (tokenizer as BpeTokenizer)?.Ranks.Save(Path.Combine(folder, Dataset.TokenizerFileName));
        Describe(folder, tokenizer, train, validation).Save(folder);
    }

    private BpeTokenizer LearnVocabulary()
    {
        // Words of the training split only: held-out text must be new to the vocabulary too.
        var counts = new ConcurrentBag<WordCounts>();
        long done = 0;
        OrderedPipeline.Run(Sample(), _options.Threads, CountWords, Counted, _cancellation);

        var words = new WordCounts();
        foreach (WordCounts part in counts)
            words.Add(part);
        int merges = Math.Max(0, _options.VocabularySize - 257);
        var learned = new Forwarding<int>(count => Report(PreparationPhase.LearningMerges, count, merges));
        return new BpeTokenizer(BpeTrainer.Train(words, _options.VocabularySize, learned, _cancellation).Ranks, TokenizerKind.Bpe);

        IEnumerable<SegmentBatch> Sample()
        {
            var sampled = new SplitAssignment(LargestVocabularySample / Math.Max(1, _sourceBytes), SegmentBatch.TargetBytes);
            foreach (SegmentBatch batch in Batches())
            {
                if (sampled.Next(batch.Bytes))
                {
                    yield return batch;
                    continue;
                }

                done += batch.SourceBytes;
                batch.Dispose();
            }
        }

        bool CountWords(SegmentBatch batch)
        {
            if (!counts.TryTake(out WordCounts? mine))
                mine = new WordCounts();
            foreach (SegmentBatch.Entry entry in batch.Entries)
            {
                if (!entry.IsValidation)
                    mine.Add(batch.Text(entry));
            }

            counts.Add(mine);
            return true;
        }

        void Counted(SegmentBatch batch, bool _) => Report(PreparationPhase.CountingWords, done += batch.SourceBytes, _sourceBytes);
    }

    private void Encode(ITokenizer tokenizer, SplitWriter train, SplitWriter validation)
    {
        long done = 0;
        OrderedPipeline.Run(Batches(), _options.Threads, batch => EncodedBatch.Create(batch, tokenizer), Write, _cancellation);
        train.Complete();
        validation.Complete();
        Report(PreparationPhase.Encoding, _sourceBytes, _sourceBytes);

        void Write(SegmentBatch batch, EncodedBatch encoded)
        {
            using (encoded)
            {
                train.Write(encoded.Train);
                validation.Write(encoded.Validation);
            }

            Report(PreparationPhase.Encoding, done += batch.SourceBytes, _sourceBytes);
        }
    }

    private DatasetManifest Describe(string folder, ITokenizer tokenizer, SplitWriter train, SplitWriter validation)
    {
        int files = train.Shards.Count + validation.Shards.Count + 1;
        int done = 0;
        FileDescription? ranks = tokenizer is BpeTokenizer ? Digest(Dataset.TokenizerFileName) : null;
        return new DatasetManifest(
            DatasetManifest.FormatName,
            DatasetManifest.FormatVersion,
            new TokenizerDescription(tokenizer.Kind, tokenizer.VocabularySize, tokenizer.EndOfText, ranks),
            Split(train),
            Split(validation),
            [.. _sources.Select(source => new InputDescription(source.Name, source.Bytes))],
            _options.ValidationFraction,
            _segmentBytes);

        SplitDescription Split(SplitWriter split) => new(split.Documents, split.Bytes, split.Tokens, [.. split.Shards.Select(shard => Digest(shard.Name))]);

        FileDescription Digest(string name)
        {
            _cancellation.ThrowIfCancellationRequested();
            FileDescription description = Dataset.Describe(folder, name);
            Report(PreparationPhase.Digesting, ++done, files);
            return description;
        }
    }

    private IEnumerable<SegmentBatch> Batches() =>
        SegmentBatch.Collect(new TextSegmenter(_segmentBytes).Read(_sources), new SplitAssignment(_options.ValidationFraction, _segmentBytes));

    private void Report(PreparationPhase phase, long done, long total) => _progress?.Report(new PreparationProgress(phase, done, total));

    private sealed class Forwarding<T>(Action<T> report) : IProgress<T>
    {
        public void Report(T value) => report(value);
    }
}
