using Trainer.Cuda.Kernels;

namespace Trainer.KernelTests;

internal sealed class LayerNormTests
{
    private const double U = TestValues.UnitRoundoff, UBf16 = Bf16.UnitRoundoff;

    private static readonly (int Rows, int Channels)[] Shapes = [(1, 8), (3, 24), (4, 64), (7, 256), (9, 264), (5, 768), (2, 1600), (3, 4096)];

    [TestCaseSource(nameof(Shapes))]
    public void Forward((int Rows, int Channels) shape)
    {
        var (rows, c) = shape;
        float[] x = TestValues.Normal(rows * c, 1, deviation: 2, mean: 3).Rounded(), w = TestValues.Normal(c, 2, mean: 1).Rounded(), b = TestValues.Normal(c, 3).Rounded();
        KernelRun.InAllOrders(run =>
        {
            var (y, mean, rstd) = (run.Output("y", BufferType.Bf16, rows * c), run.Output("mean", BufferType.Float, rows), run.Output("rstd", BufferType.Float, rows));
            run.Launch(LayerNormKernels.Forward(rows, c), y, mean, rstd, run.Bf16("x", x), run.Bf16("weight", w), run.Bf16("bias", b), rows, c);
            ExpectForward(run, y, mean, rstd, x, w, b, rows, c);
        });
    }

    private static void ExpectForward(KernelRun run, DeviceBuffer y, DeviceBuffer mean, DeviceBuffer rstd, float[] x, float[] w, float[] b, int rows, int c)
    {
        var reference = ReferenceOperations.LayerNormForward(x.Doubles(), w.Doubles(), b.Doubles(), rows, c);
        double[] yTolerance = new double[rows * c], meanTolerance = new double[rows], rstdTolerance = new double[rows];
        for (int row = 0; row < rows; row++)
        {
            // A mean of C terms errs by e = 4 sqrt(C) u max|x|; relative to a deviation's typical size, 1 / rstd, that is e rstd.
            double max = x.AsSpan(row * c, c).ToArray().Max(Math.Abs), error = 4 * Math.Sqrt(c) * U, relative = (error * max * reference.Rstd[row]) + error;
            meanTolerance[row] = error * max;
            rstdTolerance[row] = reference.Rstd[row] * relative;
            for (int i = row * c; i < (row + 1) * c; i++)
            {
                double n = Math.Abs(x[i] - reference.Mean[row]) * reference.Rstd[row];
                yTolerance[i] = (Math.Abs(w[i % c]) * (relative + (n * relative))) + (UBf16 * Math.Abs(reference.Output[i])) + (8 * U * Math.Abs(b[i % c]));
            }
        }

        run.Expect(y, reference.Output, yTolerance);
        run.Expect(mean, reference.Mean, meanTolerance);
        run.Expect(rstd, reference.Rstd, rstdTolerance);
    }
}
