using Trainer.Cuda.Kernels;

namespace Trainer.KernelTests;

[TestFixture(KernelType.Bf16)]
[TestFixture(KernelType.Float)]
[Category("Device")]
internal sealed class LayerNormTests(KernelType type)
{
    private const double U = TestValues.UnitRoundoff;

    private static readonly (int Rows, int Channels)[] Shapes = [(1, 8), (3, 24), (4, 64), (7, 256), (9, 264), (5, 768), (2, 1600), (3, 4096)];

    [TestCaseSource(nameof(Shapes))]
    public void Forward((int Rows, int Channels) shape)
    {
        var (rows, c) = shape;
        var data = new Data(type, rows, c);
        KernelRun.InAllOrders(run =>
        {
            var (y, mean, rstd) = Outputs(run, rows, c);
            run.Launch(LayerNormKernels.Forward(rows, c, type), y, mean, rstd, run.Values(type, "x", data.X),
                run.Values(type, "weight", data.Weight), run.Values(type, "bias", data.Bias), rows, c);
            ExpectForward(run, y, mean, rstd, data.X, data, rows, c);
        });
    }

    [TestCaseSource(nameof(Shapes))]
    public void Forward_after_a_residual_add((int Rows, int Channels) shape)
    {
        var (rows, c) = shape;
        var data = new Data(type, rows, c);

        // The sum is rounded once; what is normalised is that, so the reference sees the same numbers.
        double[] exact = [.. data.X.Zip(data.Branch, (a, b) => (double)a + b)];
        float[] sums = exact.Floats().RoundedTo(type);
        KernelRun.InAllOrders(run =>
        {
            var (y, mean, rstd) = Outputs(run, rows, c);
            var sum = run.Output("sum", type.Buffer(), rows * c);
            run.Launch(LayerNormKernels.ResidualForward(rows, c, type), sum, y, mean, rstd, run.Values(type, "residual", data.X),
                run.Values(type, "branch", data.Branch), run.Values(type, "weight", data.Weight), run.Values(type, "bias", data.Bias), rows, c);
            run.Expect(sum, sums.Doubles(), new double[sums.Length]);
            ExpectForward(run, y, mean, rstd, sums, data, rows, c);
        });
    }

    [TestCase(1e30f)]
    [TestCase(-3e5f)]
    [TestCase(0)]
    public void Forward_of_equal_channels_is_the_bias(float value)
    {
        const int rows = 3, c = 768;
        var data = new Data(type, rows, c);
        float[] x = new float[rows * c];
        Array.Fill(x, value);
        x = x.RoundedTo(type);
        KernelRun.InAllOrders(run =>
        {
            var (y, mean, rstd) = Outputs(run, rows, c);
            run.Launch(LayerNormKernels.Forward(rows, c, type), y, mean, rstd, run.Values(type, "x", x),
                run.Values(type, "weight", data.Weight), run.Values(type, "bias", data.Bias), rows, c);

            // The mean of equal numbers errs by the roundings of the sum; a deviation of that size is all that is normalised.
            double error = 4 * Math.Sqrt(c) * U * Math.Abs(x[0]);
            run.Expect(mean, [.. Enumerable.Repeat((double)x[0], rows)], [.. Enumerable.Repeat(error, rows)]);
            for (int i = 0; i < rows * c; i++)
            {
                double normalized = Math.Min(1, error / Math.Sqrt(1e-5)), got = y.Values()[i], bias = data.Bias[i % c];
                double tolerance = (Math.Abs(data.Weight[i % c]) * normalized * 1.01) + (type.UnitRoundoff() * (Math.Abs(bias) + normalized));
                Assert.That(Math.Abs(got - bias), Is.LessThanOrEqualTo(tolerance));
            }
        });
    }

    [TestCaseSource(nameof(Shapes))]
    public void Backward((int Rows, int Channels) shape) => Backward(shape.Rows, shape.Channels);

    // More rows than the largest grid has blocks for: each block takes several turns, and the last one ends in the middle of a group of rows.
    [Test]
    public void Backward_of_many_rows() => Backward((512 * 4 * 2) + 7, 8);

    [Test]
    public void Memory_is_read_and_written_once_without_conflicts() => KernelRun.Once(run =>
    {
        // Weight and bias are read for every group of rows, 8 bytes of each channel: from the cache, as much as one or two rows beside eight or more.
        const int rows = 24, c = 768;
        const double slack = 0.02;
        double sectors = type == KernelType.Bf16 ? 1.3 : 1.6;
        var data = new Data(type, rows, c);
        var (y, mean, rstd) = Outputs(run, rows, c);
        var (x, weight, bias) = (run.Values(type, "x", data.X), run.Values(type, "weight", data.Weight), run.Values(type, "bias", data.Bias));
        TrafficCheck.Check(run, LayerNormKernels.Forward(rows, c, type), slack, sectors, y, mean, rstd, x, weight, bias, rows, c);
        var (sum, branch) = (run.Output("sum", type.Buffer(), rows * c), run.Values(type, "branch", data.Branch));
        TrafficCheck.Check(run, LayerNormKernels.ResidualForward(rows, c, type), slack, sectors, sum, y, mean, rstd, x, branch, weight, bias, rows, c);
        var (dx, partial) = (run.Values(type, "dx", data.DX), run.Output("partial", BufferType.Float, LayerNormKernels.PartialCount(rows, c)));
        var dy = run.Values(type, "dy", data.DY);
        TrafficCheck.Check(run, LayerNormKernels.Backward(rows, c, type), slack, sectors, dx, partial, dy, x, weight, mean, rstd, rows, c);
        var (dWeight, dBias) = (run.Float("dweight", new float[c]), run.Float("dbias", new float[c]));
        TrafficCheck.IsIdeal(run, LayerNormKernels.BackwardReduce(rows, c), dWeight, dBias, partial, LayerNormKernels.BackwardBlocks(rows), c);
    });

    [Test]
    public void Channels_must_fit() => Assert.Multiple(() =>
    {
        Assert.Throws<ArgumentOutOfRangeException>(() => LayerNormKernels.Forward(1, 12, type));
        Assert.Throws<ArgumentOutOfRangeException>(() => LayerNormKernels.Forward(1, 0, type));
        Assert.Throws<ArgumentOutOfRangeException>(() => LayerNormKernels.Backward(1, LayerNormKernels.MaxChannels + 8, type));
    });

    private (DeviceBuffer Y, DeviceBuffer Mean, DeviceBuffer Rstd) Outputs(KernelRun run, int rows, int c) =>
        (run.Output("y", type.Buffer(), rows * c), run.Output("mean", BufferType.Float, rows), run.Output("rstd", BufferType.Float, rows));

    private void ExpectForward(KernelRun run, DeviceBuffer y, DeviceBuffer mean, DeviceBuffer rstd, float[] x, Data data, int rows, int c)
    {
        var reference = ReferenceOperations.LayerNormForward(x.Doubles(), data.Weight.Doubles(), data.Bias.Doubles(), rows, c);
        double[] yTolerance = new double[rows * c], meanTolerance = new double[rows], rstdTolerance = new double[rows];
        for (int row = 0; row < rows; row++)
        {
            // A mean of C terms errs by e = 4 sqrt(C) u max|x|; relative to a deviation's typical size, 1 / rstd, that is e rstd, which the variance passes on.
            double max = x.AsSpan(row * c, c).ToArray().Max(Math.Abs), error = 4 * Math.Sqrt(c) * U, relative = (error * max * reference.Rstd[row]) + error;
            meanTolerance[row] = error * max;
            rstdTolerance[row] = reference.Rstd[row] * relative;
            for (int i = row * c; i < (row + 1) * c; i++)
            {
                double normalized = Math.Abs(x[i] - reference.Mean[row]) * reference.Rstd[row];
                yTolerance[i] = (Math.Abs(data.Weight[i % c]) * ((1 + normalized) * (relative + (4 * U)))) + (8 * U * Math.Abs(data.Bias[i % c]))
                    + (type.UnitRoundoff() * Math.Abs(reference.Output[i]));
            }
        }

        run.Expect(y, reference.Output, yTolerance);
        run.Expect(mean, reference.Mean, meanTolerance);
        run.Expect(rstd, reference.Rstd, rstdTolerance);
    }

    private void Backward(int rows, int c)
    {
        var data = new Data(type, rows, c);
        var forward = ReferenceOperations.LayerNormForward(data.X.Doubles(), data.Weight.Doubles(), data.Bias.Doubles(), rows, c);
        float[] mean = forward.Mean.Floats(), rstd = forward.Rstd.Floats(), dWeight = TestValues.Normal(c, 7), dBias = TestValues.Normal(c, 8);
        var expected = BackwardReference(data, mean, rstd, dWeight, dBias, rows, c);
        KernelRun.InAllOrders(run =>
        {
            var dx = run.Values(type, "dx", data.DX);
            var partial = run.Output("partial", BufferType.Float, LayerNormKernels.PartialCount(rows, c));
            var (weightGradient, biasGradient) = (run.Float("dweight", dWeight), run.Float("dbias", dBias));
            run.Launch(LayerNormKernels.Backward(rows, c, type), dx, partial, run.Values(type, "dy", data.DY), run.Values(type, "x", data.X),
                run.Values(type, "weight", data.Weight), run.Float("mean", mean), run.Float("rstd", rstd), rows, c);
            run.Launch(LayerNormKernels.BackwardReduce(rows, c), weightGradient, biasGradient, partial, LayerNormKernels.BackwardBlocks(rows), c);
            run.Expect(dx, expected.DX, expected.DXTolerance);
            run.Expect(weightGradient, expected.DWeight, expected.DWeightTolerance);
            run.Expect(biasGradient, expected.DBias, expected.DBiasTolerance);
        });
    }

    private (double[] DX, double[] DXTolerance, double[] DWeight, double[] DWeightTolerance, double[] DBias, double[] DBiasTolerance) BackwardReference(
        Data data, float[] mean, float[] rstd, float[] dWeight, float[] dBias, int rows, int c)
    {
        double[] dX = data.DX.Doubles(), dW = dWeight.Doubles(), dB = dBias.Doubles();
        double[] dXTolerance = new double[rows * c], dWTerms = dWeight.Magnitudes(), dBTerms = dBias.Magnitudes(), normalizedErrors = new double[c];
        for (int row = 0; row < rows; row++)
        {
            double meanD = 0, meanProduct = 0, meanDTerms = 0, meanProductTerms = 0;
            double N(int i) => ((double)data.X[(row * c) + i] - mean[row]) * rstd[row];
            double D(int i) => (double)data.DY[(row * c) + i] * data.Weight[i];
            for (int i = 0; i < c; i++)
            {
                meanD += D(i) / c;
                meanProduct += D(i) * N(i) / c;
                meanDTerms += Math.Abs(D(i)) / c;
                meanProductTerms += Math.Abs(D(i) * N(i)) / c;
            }

            for (int i = 0; i < c; i++)
            {
                int at = (row * c) + i;
                double gradient = rstd[row] * (D(i) - meanD - (N(i) * meanProduct));
                double terms = rstd[row] * (Math.Abs(D(i)) + meanDTerms + (Math.Abs(N(i)) * meanProductTerms));
                dX[at] += gradient;

                // Sums of C terms in fp32, and one rounding of the result.
                dXTolerance[at] = (4 * U * Math.Sqrt(c) * terms) + (2 * U * Math.Abs(data.DX[at])) + (type.UnitRoundoff() * Math.Abs(dX[at]));
                dW[i] += data.DY[at] * N(i);
                dB[i] += data.DY[at];
                dWTerms[i] += Math.Abs(data.DY[at] * N(i));
                dBTerms[i] += Math.Abs((double)data.DY[at]);

                // The difference x - mean is rounded once, and so is its product with rstd.
                normalizedErrors[i] += 4 * U * Math.Abs(data.DY[at] * N(i));
            }
        }

        double factor = 4 * U * Math.Sqrt(rows);
        return (dX, dXTolerance, dW, [.. dWTerms.Zip(normalizedErrors, (terms, error) => (factor * terms) + error)], dB, dBTerms.Scaled(factor));
    }

    private sealed class Data(KernelType type, int rows, int c)
    {
        public float[] X { get; } = TestValues.Normal(rows * c, 1, deviation: 2, mean: 3).RoundedTo(type);

        public float[] Branch { get; } = TestValues.Normal(rows * c, 2).RoundedTo(type);

        public float[] Weight { get; } = TestValues.Normal(c, 3, mean: 1).RoundedTo(type);

        public float[] Bias { get; } = TestValues.Normal(c, 4).RoundedTo(type);

        public float[] DY { get; } = TestValues.Normal(rows * c, 5).RoundedTo(type);

        public float[] DX { get; } = TestValues.Normal(rows * c, 6).RoundedTo(type);
    }
}
