using System.Runtime.InteropServices;

namespace Trainer.Tokenization;

/// <summary>What <see cref="BpeTrainer.Train"/> learned.</summary>
/// <param name="Ranks">The 256 bytes, ranked by value, and the merges in the order in which they were learned.</param>
/// <param name="RequestedVocabulary">The vocabulary that was asked for.</param>
public sealed record BpeTrainingResult(MergeRanks Ranks, int RequestedVocabulary)
{
    /// <summary>V, the end-of-text token included; smaller than <see cref="RequestedVocabulary"/> if the text has too few pairs that recur.</summary>
    public int VocabularySize => Ranks.Count + 1;
}

/// <summary>
/// Learns byte-level BPE (Sennrich, Haddow and Birch 2016, over bytes as in GPT-2): merge the most frequent pair of neighbouring
/// tokens, again and again. A pair is counted at every place where it stands, overlapping places too; of equally frequent pairs the
/// one with the smaller left id is merged first, then the one with the smaller right id. So the result depends on nothing but the counts.
/// </summary>
/// <remarks>
/// Only the words that hold the merged pair are visited, and only their pairs are counted anew. The counts of old pairs can only fall,
/// so a queue entry is an upper bound: one that is too high goes back with its present count when it comes up.
/// </remarks>
public sealed class BpeTrainer
{
    private readonly WordCounts _words;
    private readonly ByteStringTable _tokens = new();

    // The tokens of word w are _symbols[_starts[w]..][.._lengths[w]].
    private readonly int[] _symbols;
    private readonly int[] _starts;
    private readonly int[] _lengths;
    private readonly Dictionary<(int Left, int Right), PairPlaces> _pairs = [];
    private readonly PriorityQueue<(int Left, int Right), (long NegativeCount, int Left, int Right)> _queue = new();

    private sealed class PairPlaces
    {
        public long Count;

        // Ascending in each batch of insertions; may name a word twice, or one that has lost the pair since.
        public readonly List<int> Words = [];
    }

    private BpeTrainer(WordCounts words)
    {
        _words = words;
        _starts = new int[words.Distinct];
        _lengths = new int[words.Distinct];
        long total = 0;
        for (int w = 0; w < words.Distinct; w++)
            total += words.Word(w).Length;
        _symbols = new int[total];
        int at = 0;
        for (int w = 0; w < words.Distinct; w++)
        {
            _starts[w] = at;
            foreach (byte value in words.Word(w))
                _symbols[at++] = value;
            _lengths[w] = at - _starts[w];
        }

        for (int value = 0; value < 256; value++)
            _tokens.Add([(byte)value], out _);
    }

    /// <summary>Learns merges until the vocabulary is full or no pair occurs twice.</summary>
    /// <param name="words">The counted pieces of the text.</param>
    /// <param name="vocabularySize">V: 256 bytes, the merges, and the end-of-text token.</param>
    /// <param name="progress">Is told now and then how many merges are learned.</param>
    /// <param name="cancellation">Stops the work.</param>
    /// <returns>The ranks. The vocabulary is smaller than asked for when no pair that occurs at least twice is left: merging further
    /// could not shorten anything that recurs.</returns>
    /// <exception cref="RequestException">The vocabulary is smaller than 257.</exception>
    public static BpeTrainingResult Train(WordCounts words, int vocabularySize, IProgress<int>? progress = null, CancellationToken cancellation = default)
    {
        if (vocabularySize < 257)
            throw new RequestException($"--vocab-size {vocabularySize} is too small; 256 bytes and the end-of-text token make 257.");
        var trainer = new BpeTrainer(words);
        trainer.CountPairs();
        trainer.Learn(vocabularySize - 1, progress, cancellation);
        return new BpeTrainingResult(MergeRanks.Create(trainer._tokens, "training"), vocabularySize);
    }

    private void CountPairs()
    {
        for (int w = 0; w < _starts.Length; w++)
        {
            ReadOnlySpan<int> symbols = Symbols(w);
            for (int i = 0; i + 1 < symbols.Length; i++)
                Count((symbols[i], symbols[i + 1]), _words.Count(w), w);
        }

        foreach (((int Left, int Right) pair, PairPlaces places) in _pairs)
            Enqueue(pair, places.Count);
    }

    private void Learn(int ranks, IProgress<int>? progress, CancellationToken cancellation)
    {
        while (_tokens.Count < ranks && TakeMostFrequent(out (int Left, int Right) pair, out PairPlaces places))
        {
            if (_tokens.Count % 256 == 0)
            {
                cancellation.ThrowIfCancellationRequested();
                progress?.Report(_tokens.Count - 256);
            }

            _tokens.Add([.. _tokens[pair.Left], .. _tokens[pair.Right]], out int merged);
            _pairs.Remove(pair);
            var created = new HashSet<(int Left, int Right)>();
            foreach (int w in places.Words)
                MergeIn(w, pair, merged, created);
            foreach ((int Left, int Right) next in created)
            {
                if (_pairs.TryGetValue(next, out PairPlaces? counted))
                    Enqueue(next, counted.Count);
            }
        }

        progress?.Report(_tokens.Count - 256);
    }

    private bool TakeMostFrequent(out (int Left, int Right) pair, out PairPlaces places)
    {
        while (_queue.TryDequeue(out pair, out (long NegativeCount, int, int) entry))
        {
            if (!_pairs.TryGetValue(pair, out places!))
                continue;
            if (places.Count == -entry.NegativeCount)
                return places.Count >= 2;
            if (places.Count > 0)
                Enqueue(pair, places.Count);
        }

        places = null!;
        return false;
    }

    private void MergeIn(int w, (int Left, int Right) pair, int merged, HashSet<(int Left, int Right)> created)
    {
        Span<int> symbols = Symbols(w);
        int first = 0;
        while (first + 1 < symbols.Length && (symbols[first] != pair.Left || symbols[first + 1] != pair.Right))
            first++;
        if (first + 1 >= symbols.Length)
            return;

        long count = _words.Count(w);
        for (int i = 0; i + 1 < symbols.Length; i++)
            Discount((symbols[i], symbols[i + 1]), count);

        int length = first;
        for (int i = first; i < symbols.Length; i++)
        {
            bool here = i + 1 < symbols.Length && symbols[i] == pair.Left && symbols[i + 1] == pair.Right;
            symbols[length++] = here ? merged : symbols[i];
            if (here)
                i++;
        }

        _lengths[w] = length;
        symbols = symbols[..length];
        for (int i = 0; i + 1 < length; i++)
        {
            (int Left, int Right) next = (symbols[i], symbols[i + 1]);
            bool isNew = next.Left == merged || next.Right == merged;
            Count(next, count, isNew ? w : -1);
            if (isNew)
                created.Add(next);
        }
    }

    private Span<int> Symbols(int w) => _symbols.AsSpan(_starts[w], _lengths[w]);

    private void Discount((int Left, int Right) pair, long count)
    {
        // The merged pair itself is no longer counted.
        if (_pairs.TryGetValue(pair, out PairPlaces? places))
            places.Count -= count;
    }

    private void Count((int Left, int Right) pair, long count, int word)
    {
        ref PairPlaces? places = ref CollectionsMarshal.GetValueRefOrAddDefault(_pairs, pair, out _);
        places ??= new PairPlaces();
        places.Count += count;
        if (word >= 0 && (places.Words.Count == 0 || places.Words[^1] != word))
            places.Words.Add(word);
    }

    private void Enqueue((int Left, int Right) pair, long count) => _queue.Enqueue(pair, (-count, pair.Left, pair.Right));
}
