using Trainer.Data;

namespace Trainer.Tests.Data;

public sealed class BatchLoaderTests
{
    private const int Vocabulary = 60_000;

    private TemporaryFolder _folder = null!;

    [SetUp]
    public void MakeFolder() => _folder = new TemporaryFolder();

    [TearDown]
    public void DeleteFolder() => _folder.Dispose();

    [TestCase(new[] { 100 }, 2, 5)]
    [TestCase(new[] { 41, 100, 40, 200 }, 4, 10)]
    [TestCase(new[] { 81, 80, 82, 3 }, 2, 20)]
    [TestCase(new[] { 11 }, 1, 10)]
    public void Sequential_order_is_that_of_llm_c(int[] sizes, int batchSize, int sequenceLength)
    {
        using TokenCorpus corpus = Corpus(sizes);
        var loader = new BatchLoader(corpus, batchSize, sequenceLength, Vocabulary, DataOrder.Sequential, 1);
        int[][] shards = Shards(sizes);
        int size = batchSize * sequenceLength;
        int shard = 0, position = 0;
        for (int step = 0; step < 50; step++)
        {
            // dataloader_next_batch: if the next batch would go past the end of the file, advance.
            while (position + size + 1 > shards[shard].Length)
            {
                shard = (shard + 1) % shards.Length;
                position = 0;
            }

            (int[] inputs, int[] targets) = Next(loader);
            Assert.That(inputs, Is.EqualTo(shards[shard][position..(position + size)]), $"step {step}");
            Assert.That(targets, Is.EqualTo(shards[shard][(position + 1)..(position + size + 1)]), $"step {step}");
            position += size;
        }
    }

    [TestCase(new[] { 1000 }, 3, 7)]
    [TestCase(new[] { 8, 100, 3, 57, 7 }, 4, 7)]
    public void Shuffled_order_reads_every_window_once_per_epoch(int[] sizes, int batchSize, int sequenceLength)
    {
        using TokenCorpus corpus = Corpus(sizes);
        var loader = new BatchLoader(corpus, batchSize, sequenceLength, Vocabulary, DataOrder.Shuffled, 1);
        List<int> starts = [.. Shards(sizes).SelectMany(shard => Enumerable.Range(0, Math.Max(0, (shard.Length - 1) / sequenceLength)).Select(w => shard[w * sequenceLength]))];
        Assert.That(loader.SequencesPerEpoch, Is.EqualTo(starts.Count));

        var read = new List<int>();
        while (read.Count < 3 * starts.Count)
        {
            (int[] inputs, int[] targets) = Next(loader);
            for (int b = 0; b < batchSize; b++)
            {
                int first = inputs[b * sequenceLength];
                read.Add(first);
                Assert.That(inputs.AsSpan(b * sequenceLength, sequenceLength).ToArray(), Is.EqualTo(Enumerable.Range(first, sequenceLength)));
                Assert.That(targets.AsSpan(b * sequenceLength, sequenceLength).ToArray(), Is.EqualTo(Enumerable.Range(first + 1, sequenceLength)));
            }
        }

        int[][] epochs = [.. read.Take(3 * starts.Count).Chunk(starts.Count)];
        foreach (int[] epoch in epochs)
            Assert.That(epoch, Is.EquivalentTo(starts));
        Assert.That(epochs[1], Is.Not.EqualTo(epochs[0]));
        Assert.That(epochs[0], Is.Not.EqualTo(starts));
    }

    [Test]
    public void Random_order_reads_windows_from_every_place()
    {
        int[] sizes = [12, 5, 9];
        using TokenCorpus corpus = Corpus(sizes);
        var loader = new BatchLoader(corpus, 50, 6, Vocabulary, DataOrder.Random, 1);
        var firsts = new HashSet<int>();
        for (int step = 0; step < 20; step++)
        {
            (int[] inputs, int[] targets) = Next(loader);
            for (int b = 0; b < 50; b++)
            {
                firsts.Add(inputs[b * 6]);
                Assert.That(targets[(b * 6)..((b + 1) * 6)], Is.EqualTo(Enumerable.Range(inputs[b * 6] + 1, 6)));
            }
        }

        // Six starts in the shard of 12, none in that of 5, three in that of 9, whose numbers go on after a gap.
        int[][] shards = Shards(sizes);
        Assert.That(firsts, Is.EquivalentTo(shards[0][..6].Concat(shards[2][..3])));
    }

    [Test]
    public void A_loader_continues_from_a_position([Values] DataOrder order)
    {
        using TokenCorpus corpus = Corpus([500, 333]);
        var first = new BatchLoader(corpus, 4, 10, Vocabulary, order, 7);
        for (int step = 0; step < 37; step++)
            Next(first);
        var second = new BatchLoader(corpus, 4, 10, Vocabulary, order, 7) { Position = first.Position };
        Assert.That(first.Position, Is.EqualTo(4 * 37));
        for (int step = 0; step < 60; step++)
            Assert.That(Next(second), Is.EqualTo(Next(first)));

        first.Position = 0;
        (int[] inputs, _) = Next(first);
        Assert.That(inputs, Is.EqualTo(Next(new BatchLoader(corpus, 4, 10, Vocabulary, order, 7)).Inputs));
    }

    [TestCase(DataOrder.Shuffled)]
    [TestCase(DataOrder.Random)]
    public void Seeds_give_different_orders_and_batch_sizes_the_same(DataOrder order)
    {
        using TokenCorpus corpus = Corpus([5000]);
        (int[] one, _) = Next(new BatchLoader(corpus, 8, 10, Vocabulary, order, 1));
        (int[] two, _) = Next(new BatchLoader(corpus, 8, 10, Vocabulary, order, 2));
        Assert.That(one, Is.Not.EqualTo(two));
        var halves = new BatchLoader(corpus, 4, 10, Vocabulary, order, 1);
        Assert.That(Next(halves).Inputs.Concat(Next(halves).Inputs), Is.EqualTo(one));
    }

    [Test]
    public void Batches_allocate_nothing([Values] DataOrder order)
    {
        using TokenCorpus corpus = Corpus([500, 333]);
        var loader = new BatchLoader(corpus, 4, 10, Vocabulary, order, 7);
        var inputs = new int[40];
        var targets = new int[40];
        loader.Next(inputs, targets);
        long before = GC.GetAllocatedBytesForCurrentThread();
        for (int step = 0; step < 100; step++)
            loader.Next(inputs, targets);
        Assert.That(GC.GetAllocatedBytesForCurrentThread() - before, Is.Zero);
    }

    [TestCase(DataOrder.Shuffled, "longest shard has 10 tokens, --seq-len 10 needs 11")]
    [TestCase(DataOrder.Random, "longest shard has 10 tokens, --seq-len 10 needs 11")]
    [TestCase(DataOrder.Sequential, "longest shard has 10 tokens, --batch-size 2 x --seq-len 10 needs 21")]
    public void A_corpus_that_is_too_short_is_refused(DataOrder order, string message)
    {
        using TokenCorpus corpus = Corpus([10, 9]);
        Assert.That(() => new BatchLoader(corpus, 2, 10, Vocabulary, order, 1), Throws.InstanceOf<RequestException>().With.Message.Contains(message));
    }

    [Test]
    public void A_token_outside_the_vocabulary_is_refused([Values] DataOrder order)
    {
        using TokenCorpus corpus = Corpus([21]);
        var loader = new BatchLoader(corpus, 2, 10, 20, order, 1);
        Assert.That(
            () =>
            {
                for (int step = 0; step < 100; step++)
                    Next(loader);
            },
            Throws.InstanceOf<RequestException>().With.Message.Contains("token 20 is 20, outside the vocabulary of 20"));
    }

    [Test]
    public void Impossible_sizes_and_positions_are_refused()
    {
        using TokenCorpus corpus = Corpus([100]);
        Assert.That(() => new BatchLoader(corpus, 0, 10, 200, DataOrder.Shuffled, 1), Throws.InstanceOf<RequestException>());
        Assert.That(() => new BatchLoader(corpus, 1, 0, 200, DataOrder.Shuffled, 1), Throws.InstanceOf<RequestException>());
        var loader = new BatchLoader(corpus, 4, 5, 200, DataOrder.Sequential, 1);
        Assert.That(() => loader.Position = -4, Throws.InstanceOf<RequestException>());
        Assert.That(() => loader.Position = 6, Throws.InstanceOf<RequestException>().With.Message.Contains("--batch-size 4"));
        Assert.That(() => loader.Next(new int[20], new int[19]), Throws.ArgumentException);
    }

    [Test]
    public void Epochs_count_passes()
    {
        using TokenCorpus corpus = Corpus([101]);
        var loader = new BatchLoader(corpus, 5, 10, Vocabulary, DataOrder.Shuffled, 1);
        Next(loader);
        Assert.That(loader.Epochs, Is.EqualTo(0.5));
        Assert.That(loader.Tokens, Is.EqualTo(101));
    }

    [Test]
    public void Shards_are_opened_by_pattern_in_ordinal_order()
    {
        Corpus([30, 20, 10]).Dispose();
        using TokenCorpus corpus = TokenCorpus.OpenPattern(Path.Combine(_folder.Path, "*.bin"));
        Assert.That(corpus.Shards.Select(shard => shard.Tokens), Is.EqualTo(new[] { 30, 20, 10 }));
        Assert.That(() => TokenCorpus.OpenPattern(_folder.PathOf("*.none")), Throws.InstanceOf<RequestException>());
        Assert.That(() => TokenCorpus.Open([]), Throws.InstanceOf<RequestException>());
    }

    private static (int[] Inputs, int[] Targets) Next(BatchLoader loader)
    {
        int size = loader.BatchSize * loader.SequenceLength;
        int[] inputs = [.. Enumerable.Repeat(-1, size)];
        int[] targets = [.. Enumerable.Repeat(-1, size)];
        loader.Next(inputs, targets);
        return (inputs, targets);
    }

    // Consecutive numbers, so that a token tells where it stands; a gap of one between shards, so that none seems to continue another.
    private static int[][] Shards(int[] sizes)
    {
        int next = 0;
        var shards = new int[sizes.Length][];
        for (int s = 0; s < sizes.Length; s++)
        {
            shards[s] = [.. Enumerable.Range(next, sizes[s])];
            next += sizes[s] + 1;
        }

        return shards;
    }

    private TokenCorpus Corpus(int[] sizes)
    {
        var paths = new List<string>();
        foreach (int[] tokens in Shards(sizes))
        {
            paths.Add(_folder.PathOf($"shard_{paths.Count}.bin"));
            using var writer = new TokenShardWriter(paths[^1], Vocabulary);
            writer.Write(tokens);
            writer.Complete();
        }

        return TokenCorpus.Open(paths);
    }
}
