using Trainer.Cuda.Kernels;

namespace Trainer.KernelTests;

[TestFixture(KernelType.Bf16)]
[TestFixture(KernelType.Float)]
[Category("Device")]
internal sealed class BiasTests(KernelType type)
{
    private const double U = TestValues.UnitRoundoff;

    // Ends in the middle of a group of rows, of a warp's columns, of a block's; more rows than 256 parts take at once.
    private static readonly (int Rows, int N)[] Shapes = [(1, 8), (7, 24), (64, 256), (65, 264), (200, 768), (256 * 64, 8), ((256 * 64) + 300, 16)];

    [Test]
    public void Sums_of_columns([ValueSource(nameof(Shapes))] (int Rows, int N) shape, [Values] bool accumulate)
    {
        var (rows, n) = shape;
        float[] dy = TestValues.Normal(rows * n, 1, mean: 0.5).RoundedTo(type), before = TestValues.Normal(n, 2);
        double[] expected = accumulate ? before.Doubles() : new double[n], terms = accumulate ? before.Magnitudes() : new double[n];
        for (int i = 0; i < dy.Length; i++)
        {
            expected[i % n] += dy[i];
            terms[i % n] += Math.Abs((double)dy[i]);
        }

        int parts = BiasKernels.Parts(rows);
        KernelRun.InAllOrders(run =>
        {
            var partial = run.Output("partial", BufferType.Float, BiasKernels.PartialCount(rows, n));
            var dBias = accumulate ? run.Float("dbias", before, changing: true) : run.Output("dbias", BufferType.Float, n);
            run.Launch(BiasKernels.Gradient(rows, n, type), partial, run.Values(type, "dy", dy), rows, n);
            run.Launch(BiasKernels.Reduce(parts, n, accumulate), dBias, partial, parts, n, accumulate ? 1 : 0);

            // A thread adds the rows of its part one by one; then come 8 warps, a share of the parts, and 16 warps: so many roundings at most.
            double roundings = Math.Ceiling(rows / (8.0 * parts)) + 8 + Math.Ceiling(parts / 16.0) + 17;
            run.Expect(dBias, expected, terms.Scaled(roundings * U));
        });
    }

    [Test]
    public void A_gradient_is_added_to_another()
    {
        float[] before = TestValues.Normal(40, 3), gradient = TestValues.Normal(40, 4);
        KernelRun.InAllOrders(run =>
        {
            var dBias = run.Float("dbias", before, changing: true);
            run.Launch(BiasKernels.Reduce(1, 40, accumulate: true), dBias, run.Float("gradient", gradient), 1, 40, 1);
            run.Expect(dBias, [.. before.Zip(gradient, (a, b) => (double)(a + b))], new double[40]);
        });
    }

    [Test]
    public void Memory_is_read_and_written_once_without_conflicts() => KernelRun.Once(run =>
    {
        const int rows = 300, n = 768;
        int parts = BiasKernels.Parts(rows);
        var (partial, dBias) = (run.Output("partial", BufferType.Float, BiasKernels.PartialCount(rows, n)), run.Float("dbias", new float[n], changing: true));
        TrafficCheck.IsIdeal(run, BiasKernels.Gradient(rows, n, type), partial, run.Values(type, "dy", new float[rows * n]), rows, n);
        TrafficCheck.IsIdeal(run, BiasKernels.Reduce(parts, n, accumulate: true), dBias, partial, parts, n, 1);
    });

    [Test]
    public void Columns_must_fit() => Assert.Multiple(() =>
    {
        Assert.Throws<ArgumentOutOfRangeException>(() => BiasKernels.Gradient(1, 12, type));
        Assert.Throws<ArgumentOutOfRangeException>(() => BiasKernels.Gradient(0, 8, type));
        Assert.Throws<ArgumentOutOfRangeException>(() => BiasKernels.Reduce(1, 0, accumulate: false));
    });
}
