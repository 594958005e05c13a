using Trainer.Cuda.Kernels;

namespace Trainer.KernelTests;

[TestFixture(KernelType.Bf16)]
[TestFixture(KernelType.Float)]
[Category("Device")]
internal sealed class ClassifierTests(KernelType type)
{
    private const double U = TestValues.UnitRoundoff;
    private const int Ignored = 60_000;   // not below any vocabulary here, and not negative
    private const int SharedLimit = 227 * 1024;

    // exp2_approx errs by 2 units in the last place, its argument by the two roundings of (x - max) log2(e); below 2^-126 it gives 0.
    private const double Exponential = 4;

    private static readonly (int Rows, int Vocabulary, int Padded, float Scale, double Deviation, int SharedLimit)[] Shapes =
    [
        (1, 1, 8, 0.5f, 1, SharedLimit), (3, 7, 8, 0.25f, 1, SharedLimit), (2, 8, 8, 1, 3, SharedLimit), (5, 37, 48, 0.125f, 3, SharedLimit),
        (3, 2500, 2560, 0.3f, 5, SharedLimit), (2, 4097, 4104, 1, 1, SharedLimit), (1, 50257, 50304, 1f / 65536, 2, SharedLimit),

        // Half of each row does not fit into shared memory.
        (2, 9001, 9008, 1, 2, (2 * (9008 + 2048)) - 1024), (2, 4999, 5000, 0, 3, SharedLimit),

        // Large magnitudes: the softmax is one-hot.
        (4, 1000, 1008, 0.5f, 1e4, SharedLimit), (4, 1000, 1008, 0.5f, 1e37, SharedLimit), (4, 1000, 1008, 0.5f, 0, SharedLimit),
    ];

    [TestCaseSource(nameof(Shapes))]
    public void Losses_and_gradients((int Rows, int Vocabulary, int Padded, float Scale, double Deviation, int SharedLimit) shape)
    {
        var (rows, v, padded, scale, deviation, limit) = shape;
        float[] logits = TestValues.Normal(rows * padded, 1, deviation).RoundedTo(type);
        int[] targets = TestValues.Tokens(rows, v, 2);
        Check(logits, targets, rows, v, padded, scale, limit);
    }

    [Test]
    public void Minus_infinity_masks()
    {
        const int rows = 3, v = 600, padded = 600;
        float[] logits = TestValues.Normal(rows * padded, 3).RoundedTo(type);
        for (int i = 0; i < logits.Length; i++)
            logits[i] = i % 7 == 0 || (i / padded == 1 && i % padded != 5) ? float.NegativeInfinity : logits[i];
        Check(logits, [1, 5, 8], rows, v, padded, 1, SharedLimit);
    }

    [TestCase(0, 30, 32)]
    [TestCase(2, 0, 8)]
    [TestCase(2, 12, 12)]
    [TestCase(2, 33, 32)]
    public void Impossible_shapes_are_refused(int rows, int vocabulary, int padded) =>
        Assert.Throws<ArgumentOutOfRangeException>(() => ClassifierKernels.SoftmaxCrossEntropy(rows, vocabulary, padded, SharedLimit, type));

    [TestCase(227)]
    [TestCase(163)]
    [TestCase(99)]
    public void Two_blocks_share_a_multiprocessor(int limit)
    {
        // A multiprocessor has 1 KiB more than a block may have, and keeps 1 KiB of each block's for itself; the kernel has 1 KiB of its own.
        int block = ClassifierKernels.SoftmaxCrossEntropy(1, 200_000, 200_000, limit << 10, type).SharedBytes + 2048;
        Assert.That(2 * block, Is.InRange(((limit + 1) << 10) - 64, (limit + 1) << 10));
    }

    [TestCase(1f)]
    [TestCase(0f)]
    public void Ignored_rows_have_neither_loss_nor_gradient(float scale)
    {
        const int rows = 4, v = 30, padded = 32;
        Check(TestValues.Normal(rows * padded, 4).RoundedTo(type), [3, Ignored, 29, Ignored], rows, v, padded, scale, SharedLimit);
    }

    [Test]
    public void Not_finite_logits_make_the_loss_not_finite() => KernelRun.InAllOrders(run =>
    {
        float[] values = TestValues.Normal(2 * 32, 5).RoundedTo(type);
        (values[7], values[40]) = (float.NaN, float.PositiveInfinity);
        var (logits, losses) = (run.Values(type, "logits", values, changing: true), run.Output("losses", BufferType.Float, 2));
        run.Launch(ClassifierKernels.SoftmaxCrossEntropy(2, 30, 32, SharedLimit, type), logits, losses, run.Int("targets", [1, 2]), 30, 32, 32, Ignored, 1f);
        Assert.That(losses.Values(), Has.None.Matches<double>(double.IsFinite));
    });

    [Test]
    public void A_row_is_read_and_written_once() => KernelRun.Once(run =>
    {
        const int rows = 2, v = 8190, padded = 8192;
        var (logits, losses) = (run.Values(type, "logits", TestValues.Normal(rows * padded, 6)), run.Output("losses", BufferType.Float, rows));
        TrafficCheck.IsIdeal(run, ClassifierKernels.SoftmaxCrossEntropy(rows, v, padded, SharedLimit, type), logits, losses,
            run.Int("targets", [5, 8189]), v, padded, ClassifierKernels.KeptColumns(padded, SharedLimit, type), Ignored, 1f);
    });

    private void Check(float[] logits, int[] targets, int rows, int v, int padded, float scale, int limit)
    {
        var launch = ClassifierKernels.SoftmaxCrossEntropy(rows, v, padded, limit, type);
        int kept = ClassifierKernels.KeptColumns(padded, limit, type);
        int[] counted = Array.ConvertAll(targets, target => target == Ignored ? 0 : target);
        var (losses, gradient) = ReferenceOperations.SoftmaxCrossEntropy(logits.Doubles(), counted, rows, v, padded, scale);
        double[] lossTolerance = new double[rows], gradientTolerance = new double[rows * padded];
        double sumError = 4 * Math.Sqrt(v) * U;
        for (int row = 0; row < rows; row++)
        {
            if (targets[row] == Ignored)
            {
                losses[row] = 0;
                gradient.AsSpan(row * padded, padded).Clear();
                continue;
            }

            double max = logits.Skip(row * padded).Take(v).Max();

            // The sum's relative error is an absolute one of its logarithm. Terms e^-x err by x u: together by at most ln V.
            lossTolerance[row] = (3 * U * Math.Abs(losses[row])) + sumError + (U * (Exponential + 2 + (2 * Math.Log(v)))) + (2 * U * Math.Abs(Math.Log(v)));
            for (int i = 0; i < v; i++)
            {
                int at = (row * padded) + i;
                double probability = scale == 0 ? 0 : (gradient[at] / scale) + (i == targets[row] ? 1 : 0);
                double relative = sumError + (U * ((3 * Math.Min(max - logits[at], 1e3)) + Exponential + 3));
                gradientTolerance[at] = (scale * probability * Math.Min(relative, 1)) + ((type.UnitRoundoff() + (2 * U)) * Math.Abs(gradient[at]))
                    + (scale * 4 * Bf16.Tiny);
            }
        }

        KernelRun.InAllOrders(run =>
        {
            var (buffer, lossBuffer) = (run.Values(type, "logits", logits), run.Output("losses", BufferType.Float, rows));
            run.Launch(launch, buffer, lossBuffer, run.Int("targets", targets), v, padded, kept, Ignored, scale);
            run.Expect(lossBuffer, losses, lossTolerance);
            if (scale != 0)
                run.Expect(buffer, gradient, gradientTolerance);
        });
    }
}
