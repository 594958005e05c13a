namespace Trainer.Data;

/// <summary>
/// Cuts a corpus into batches of B sequences of T tokens. What a batch holds is a pure function of seed and <see cref="Position"/>, so
/// a run continues where it stopped. Allocates nothing per batch. Not thread-safe; loaders may share a corpus.
/// </summary>
public sealed class BatchLoader
{
    // What the random numbers are for. An epoch is added to the first, so that each has its own permutation.
    private const ulong ShuffleStream = 0x53687566_00000000;
    private const ulong OffsetStream = 0x4F666673_00000000;

    private readonly TokenCorpus _corpus;
    private readonly int _vocabularySize;
    private readonly ulong _seed;

    // How many windows (shuffled), batches (sequential) or offsets (random) lie in the shards before each, and in all of them.
    private readonly long[] _firstOfShard;
    private long _position;
    private long _epoch = -1;
    private IndexPermutation _permutation;

    /// <summary>Creates a loader at position 0.</summary>
    /// <param name="corpus">The tokens; must outlive the loader.</param>
    /// <param name="batchSize">B.</param>
    /// <param name="sequenceLength">T.</param>
    /// <param name="vocabularySize">V; a token of this id or above is an error when it is met.</param>
    /// <param name="order">The order of the batches.</param>
    /// <param name="seed">The seed of the run.</param>
    /// <exception cref="RequestException">A size is not positive, or the corpus is too short for a sequence (sequential: for a batch).</exception>
    public BatchLoader(TokenCorpus corpus, int batchSize, int sequenceLength, int vocabularySize, DataOrder order, ulong seed)
    {
        if (batchSize <= 0)
            throw new RequestException($"--batch-size must be positive, but is {batchSize}.");
        if (sequenceLength <= 0)
            throw new RequestException($"--seq-len must be positive, but is {sequenceLength}.");
        (_corpus, _vocabularySize, _seed) = (corpus, vocabularySize, seed);
        (BatchSize, SequenceLength, Order) = (batchSize, sequenceLength, order);

        long span = order == DataOrder.Sequential ? (long)batchSize * sequenceLength : sequenceLength;
        _firstOfShard = new long[corpus.Shards.Count + 1];
        for (int s = 0; s < corpus.Shards.Count; s++)
        {
            long spare = corpus.Shards[s].Tokens - 1L;
            long count = order == DataOrder.Random ? spare - span + 1 : spare / span;
            _firstOfShard[s + 1] = _firstOfShard[s] + Math.Max(0, count);
        }

        if (_firstOfShard[^1] == 0)
            throw TooShort(span + 1);
        SequencesPerEpoch = order switch
        {
            DataOrder.Sequential => _firstOfShard[^1] * batchSize,
            DataOrder.Random => Math.Max(1, (corpus.Tokens - 1) / sequenceLength),
            _ => _firstOfShard[^1],
        };
    }

    /// <summary>B, the sequences of a batch.</summary>
    public int BatchSize { get; }

    /// <summary>T, the tokens of a sequence.</summary>
    public int SequenceLength { get; }

    /// <summary>The order of the batches.</summary>
    public DataOrder Order { get; }

    /// <summary>The tokens of the corpus.</summary>
    public long Tokens => _corpus.Tokens;

    /// <summary>
    /// The sequences of one pass over the corpus: windows of T tokens (shuffled), B times the batches (sequential), or as many as
    /// hold the corpus once (random, where a pass is only a measure).
    /// </summary>
    public long SequencesPerEpoch { get; }

    /// <summary>The passes over the corpus so far.</summary>
    public double Epochs => (double)_position / SequencesPerEpoch;

    /// <summary>
    /// The number of sequences handed out so far: all that a checkpoint has to save. It may be continued with another batch size, except
    /// in sequential order, whose batches it would cut apart.
    /// </summary>
    /// <exception cref="RequestException">The position is negative or, in sequential order, not a multiple of B.</exception>
    public long Position
    {
        get => _position;
        set
        {
            if (value < 0)
                throw new RequestException($"the data position {value} is negative; the checkpoint is corrupt.");
            if (Order == DataOrder.Sequential && value % BatchSize != 0)
            {
                throw new RequestException(
                    $"the data position {value} is not a multiple of --batch-size {BatchSize}; continue sequential order with the batch size it began with.");
            }

            _position = value;
        }
    }

    /// <summary>Reads the next batch.</summary>
    /// <param name="inputs">(B, T): receives the tokens.</param>
    /// <param name="targets">(B, T): receives for each token the one that follows it.</param>
    /// <exception cref="ArgumentException">A span does not hold B*T values.</exception>
    /// <exception cref="RequestException">A token is outside the vocabulary; the message names the file and the place in it.</exception>
    public void Next(Span<int> inputs, Span<int> targets)
    {
        int size = checked(BatchSize * SequenceLength);
        if (inputs.Length != size || targets.Length != size)
            throw new ArgumentException($"Expected {BatchSize} x {SequenceLength} = {size} inputs and targets, got {inputs.Length} and {targets.Length}.");

        if (Order == DataOrder.Sequential)
        {
            long batch = _position / BatchSize % _firstOfShard[^1];
            Read(batch, size, inputs, targets);
        }
        else
        {
            for (int b = 0; b < BatchSize; b++)
            {
                Range row = (b * SequenceLength)..((b + 1) * SequenceLength);
                long sequence = _position + b;
                if (Order == DataOrder.Shuffled)
                    Read(Shuffled(sequence), SequenceLength, inputs[row], targets[row]);
                else
                    Read(Drawn(sequence), stride: 1, inputs[row], targets[row]);
            }
        }

        _position += BatchSize;
    }

    private long Shuffled(long sequence)
    {
        (long epoch, long index) = Math.DivRem(sequence, SequencesPerEpoch);
        if (epoch != _epoch)
        {
            _permutation = new IndexPermutation(new CounterRandom(_seed, ShuffleStream + (ulong)epoch), SequencesPerEpoch);
            _epoch = epoch;
        }

        return _permutation[index];
    }

    private long Drawn(long sequence) => (long)new CounterRandom(_seed, OffsetStream).Below((ulong)sequence, (ulong)_firstOfShard[^1]);

    // Reads the span that begins "stride" tokens after the one before it, counted over all shards.
    private void Read(long index, int stride, Span<int> inputs, Span<int> targets)
    {
        int shard = Array.BinarySearch(_firstOfShard, index);
        if (shard < 0)
            shard = ~shard - 1;

        // A shard that is too short holds nothing and has the same first index as the next.
        while (_firstOfShard[shard + 1] == _firstOfShard[shard])
            shard++;

        int start = checked((int)((index - _firstOfShard[shard]) * stride));
        _corpus.Shards[shard].Copy(start, inputs, _vocabularySize);
        inputs[1..].CopyTo(targets);
        _corpus.Shards[shard].Copy(start + inputs.Length, targets[^1..], _vocabularySize);
    }

    private RequestException TooShort(long needed)
    {
        string where = _corpus.Shards.Count == 1 ? _corpus.Shards[0].Path : $"{_corpus.Shards[0].Path} and {_corpus.Shards.Count - 1} more";
        string sizes = Order == DataOrder.Sequential ? $"--batch-size {BatchSize} x --seq-len {SequenceLength}" : $"--seq-len {SequenceLength}";
        int longest = _corpus.Shards.Max(shard => shard.Tokens);
        return new RequestException($"{where}: too short: the longest shard has {longest} tokens, {sizes} needs {needed}; use more text or smaller sizes.");
    }
}
