using Trainer.Cuda.Kernels;

namespace Trainer.KernelTests;

[Category("Device")]
internal sealed class EmbeddingTests
{
    private const double U = TestValues.UnitRoundoff;

    // B, T, C, vocabulary. Few tokens make long runs that cross many chunks; many make none.
    private static readonly (int B, int T, int C, int Vocabulary)[] Shapes =
    [
        (1, 1, 8, 1), (1, 7, 24, 3), (2, 16, 8, 2), (2, 33, 264, 5), (3, 50, 64, 300), (1, 129, 8, 1), (1, 65, 8, 2), (1, 33, 8, 5), (4, 64, 768,
            50257), (2, 160, 16, 257), (1, 3000, 8, 70000),
    ];

    [Test]
    public void Forward([Values] KernelType type, [ValueSource(nameof(Shapes))] (int B, int T, int C, int Vocabulary) shape)
    {
        var (b, t, c, vocabulary) = shape;
        var (tokens, rows) = UsedTokens(b * t, vocabulary);
        float[] tokenTable = TestValues.Normal(rows * c, 2).RoundedTo(type), positionTable = TestValues.Normal((t + 3) * c, 3).RoundedTo(type);
        double[] expected = ReferenceOperations.EmbeddingForward(tokens, tokenTable.Doubles(), positionTable.Doubles(), b, t, c);
        KernelRun.InAllOrders(run =>
        {
            var output = run.Output("out", type.Buffer(), b * t * c);
            run.Launch(EmbeddingKernels.Forward(b, t, c, rows, type), output, run.Int("tokens", tokens), run.Values(type, "tokenTable", tokenTable),
                run.Values(type, "positionTable", positionTable), b * t, t, c);
            run.Expect(output, expected, Array.ConvertAll(expected, value => (type.UnitRoundoff() + U) * Math.Abs(value)));
        });
    }

    [Test]
    public void Backward([Values] KernelType type, [ValueSource(nameof(Shapes))] (int B, int T, int C, int Vocabulary) shape)
    {
        var (b, t, c, vocabulary) = shape;
        int rows = b * t;
        int[] tokens = TestValues.Tokens(rows, vocabulary, 1);
        var (compact, tableRows) = UsedTokens(rows, vocabulary);
        int[] kept = vocabulary > 1000 ? compact : tokens;
        int table = vocabulary > 1000 ? tableRows : vocabulary;
        float[] dout = TestValues.Normal(rows * c, 4).RoundedTo(type);
        float[] dTokens = TestValues.Normal(table * c, 5), dPositions = TestValues.Normal((t + 3) * c, 6);
        double[] tokenGradient = dTokens.Doubles(), positionGradient = dPositions.Doubles(), tokenTerms = dTokens.Magnitudes(),
            positionTerms = dPositions.Magnitudes();
        ReferenceOperations.EmbeddingBackward(tokenGradient, positionGradient, dout.Doubles(), kept, b, t, c);
        ReferenceOperations.EmbeddingBackward(tokenTerms, positionTerms, dout.Magnitudes(), kept, b, t, c);

        // Sums of up to B T terms in fp32.
        double factor = 4 * U * Math.Sqrt(rows);
        int[] order = [.. Enumerable.Range(0, rows).OrderBy(row => kept[row])];
        KernelRun.InAllOrders(run =>
        {
            var (tokenTable, positionTable) = (run.Float("dTokenTable", dTokens), run.Float("dPositionTable", dPositions));
            var (sorted, scratch) = (run.Output("sorted", BufferType.Int, 2 * rows), run.Output("scratch", BufferType.Int, 2 * rows));
            var parts = run.Output("parts", BufferType.Float, EmbeddingKernels.PartCount(rows, c));
            var gradient = run.Values(type, "dout", dout);
            run.Launch(EmbeddingKernels.SortTokens(rows, vocabulary), sorted, scratch, run.Int("tokens", kept), rows, EmbeddingKernels.SortPasses(vocabulary));
            run.Expect(sorted, [.. order.SelectMany(row => new double[] { kept[row], row })], new double[2 * rows]);
            run.Launch(EmbeddingKernels.BackwardTokens(rows, c, table, type), tokenTable, parts, gradient, sorted, rows, c);
            run.Launch(EmbeddingKernels.BackwardTokensFinish(rows, c), tokenTable, parts, sorted, rows, c);
            run.Launch(EmbeddingKernels.BackwardPositions(b, t, c, type), positionTable, gradient, b, t, c);
            run.Expect(tokenTable, tokenGradient, tokenTerms.Scaled(factor));
            run.Expect(positionTable, positionGradient, positionTerms.Scaled(factor));
        });
    }

    [TestCase(300, 50257)]
    [TestCase(3000, 70_000)]
    [TestCase(2100, 1 << 24)]
    public void Rows_are_sorted_by_token_and_keep_their_order(int rows, int vocabulary)
    {
        // Every byte of the tokens matters, and some tokens occur twice.
        int[] tokens = TestValues.Tokens(rows, vocabulary, 7);
        for (int i = 0; i < rows; i += 5)
            tokens[i] = tokens[rows - 1 - i];
        KernelRun.InAllOrders(run =>
        {
            var (sorted, scratch) = (run.Output("sorted", BufferType.Int, 2 * rows), run.Output("scratch", BufferType.Int, 2 * rows));
            int passes = EmbeddingKernels.SortPasses(vocabulary);
            run.Launch(EmbeddingKernels.SortTokens(rows, vocabulary), sorted, scratch, run.Int("tokens", tokens), rows, passes);
            int[] order = [.. Enumerable.Range(0, rows).OrderBy(row => tokens[row])];
            run.Expect(sorted, [.. order.SelectMany(row => new double[] { tokens[row], row })], new double[2 * rows]);
        });
    }

    [TestCase(12)]
    [TestCase(0)]
    public void Channels_that_are_not_whole_packs_are_refused(int channels) => Assert.Multiple(() =>
    {
        Assert.Throws<ArgumentOutOfRangeException>(() => EmbeddingKernels.Forward(1, 4, channels, 4));
        Assert.Throws<ArgumentOutOfRangeException>(() => EmbeddingKernels.BackwardPositions(1, 4, channels));
        Assert.Throws<ArgumentOutOfRangeException>(() => EmbeddingKernels.BackwardTokens(4, channels, 4));
        Assert.Throws<ArgumentOutOfRangeException>(() => EmbeddingKernels.BackwardTokensFinish(4, channels));
    });

    [TestCase(1, 1)]
    [TestCase(2, 1)]
    [TestCase(256, 1)]
    [TestCase(257, 2)]
    [TestCase(50257, 2)]
    [TestCase(65536, 2)]
    [TestCase(65537, 3)]
    public void The_sort_takes_as_many_passes_as_tokens_have_bytes(int vocabulary, int passes) =>
        Assert.That(EmbeddingKernels.SortPasses(vocabulary), Is.EqualTo(passes));

    [Test]
    public void Memory_is_read_and_written_once([Values] KernelType type) => KernelRun.Once(run =>
    {
        const int b = 4, t = 64, c = 256, rows = b * t;
        int[] tokens = [.. Enumerable.Range(0, rows).Select(i => (i * 37) % rows)];
        var (table, positions) = (run.Values(type, "tokenTable", new float[rows * c]), run.Values(type, "positionTable", new float[t * c]));
        var (output, ids) = (run.Output("out", type.Buffer(), rows * c), run.Int("tokens", tokens));

        // A warp covers 512 bytes, so it asks for the token once for every row; positions are read for each sequence, from the cache.
        TrafficCheck.Check(run, EmbeddingKernels.Forward(b, t, c, rows, type), 0.02, 1.4, output, ids, table, positions, rows, t, c);
        var (dTokens, dPositions) = (run.Float("dTokenTable", new float[rows * c]), run.Float("dPositionTable", new float[t * c]));
        TrafficCheck.IsIdeal(run, EmbeddingKernels.BackwardPositions(b, t, c, type), dPositions, output, b, t, c);
        var (sorted, scratch) = (run.Output("sorted", BufferType.Int, 2 * rows), run.Output("scratch", BufferType.Int, 2 * rows));
        run.Launch(EmbeddingKernels.SortTokens(rows, rows), sorted, scratch, ids, rows, EmbeddingKernels.SortPasses(rows));
        var parts = run.Output("parts", BufferType.Float, EmbeddingKernels.PartCount(rows, c));
        TrafficCheck.IsIdeal(run, EmbeddingKernels.BackwardTokens(rows, c, rows, type), dTokens, parts, output, sorted, rows, c);
    });

    // Large vocabularies with small tables: the tokens that occur, numbered.
    private static (int[] Tokens, int Count) UsedTokens(int count, int vocabulary)
    {
        int[] tokens = TestValues.Tokens(count, vocabulary, 1), distinct = [.. tokens.Distinct().Order()];
        return ([.. tokens.Select(token => Array.BinarySearch(distinct, token))], distinct.Length);
    }
}
