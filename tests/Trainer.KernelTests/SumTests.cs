using Trainer.Cuda.Kernels;
using Trainer.Optimization;

namespace Trainer.KernelTests;

[Category("Device")]
internal sealed class SumTests
{
    private const double U = TestValues.UnitRoundoff;
    private const int Size = 30_000;

    private static readonly Segment[] Tensors = [new(8, 8), new(16, 768), new(800, 0), new(800, 8192), new(9000, 8200), new(17_200, 12_000)];

    [Test]
    public void Squares_of_each_tensor()
    {
        float[] values = TestValues.Normal(Size, 1);
        KernelRun.InAllOrders(run =>
        {
            var (sums, table) = (run.Output("sums", BufferType.Double, Tensors.Length), Table());
            var (partial, spans) = (run.Output("partial", BufferType.Double, table.Chunks), run.Structs("tensors", table.Spans));
            run.Launch(OptimizerKernels.SquareSums(table), partial, run.Float("values", values), spans, Tensors.Length);
            run.Launch(OptimizerKernels.SumChunks(table, 1), sums, partial, spans, 1);
            double[] expected = Array.ConvertAll(Tensors, tensor => ReferenceOperations.SumOfSquares(values.Doubles(), tensor));
            run.Expect(sums, expected, expected.Scaled(FloatSum));
        });
    }

    [Test]
    public void The_chunks_of_a_large_tensor_are_all_added()
    {
        // More than a block has threads. The chunks' sums are made up, so that no weights are needed.
        var table = new TensorTable([new(0, 8), new(8, 600L * TensorTable.ChunkElements), new(16 + (600L * TensorTable.ChunkElements), 24)], [0, 0, 0]);
        double[] partial = TestValues.Normal(2 * table.Chunks, 6).Doubles(), expected = new double[6], terms = new double[6];
        for (int chunk = 0; chunk < table.Chunks; chunk++)
            for (int q = 0; q < 2; q++)
            {
                int at = (2 * (chunk == 0 ? 0 : chunk <= 600 ? 1 : 2)) + q;
                expected[at] += partial[(2 * chunk) + q];
                terms[at] += Math.Abs(partial[(2 * chunk) + q]);
            }

        KernelRun.InAllOrders(run =>
        {
            var sums = run.Output("sums", BufferType.Double, 6);
            run.Launch(OptimizerKernels.SumChunks(table, 2), sums, run.Double("partial", partial), run.Structs("tensors", table.Spans), 2);
            run.Expect(sums, expected, terms.Scaled(600 * Math.Pow(2, -53)));
        });
    }

    [TestCase(float.NaN)]
    [TestCase(float.PositiveInfinity)]
    [TestCase(1e30f)]
    public void A_number_that_is_not_finite_or_too_large_makes_its_tensors_sum_so(float value)
    {
        float[] values = TestValues.Normal(Size, 1);
        values[20_000] = value;
        KernelRun.InAllOrders(run =>
        {
            var (sums, table) = (run.Output("sums", BufferType.Double, Tensors.Length), Table());
            var (partial, spans) = (run.Output("partial", BufferType.Double, table.Chunks), run.Structs("tensors", table.Spans));
            run.Launch(OptimizerKernels.SquareSums(table), partial, run.Float("values", values), spans, Tensors.Length);
            run.Launch(OptimizerKernels.SumChunks(table, 1), sums, partial, spans, 1);
            Assert.That(sums.Values().Select(double.IsFinite), Is.EqualTo(new[] { true, true, true, true, true, false }));
        });
    }

    [Test]
    public void Pairs_and_their_angles()
    {
        float[] a = TestValues.Normal(Size, 2), b = TestValues.Normal(Size, 3);

        // One tensor opposite to the other, one equal, one a multiple, one as near as weights of consecutive steps are.
        Fill(0, v => -v);
        Fill(1, v => v);
        Fill(3, v => 2 * v);
        for (long i = Tensors[5].Offset; i < Tensors[5].Offset + Tensors[5].Count; i++)
            b[i] = a[i] + (1e-5f * b[i]);
        double[] sums = new double[5 * Tensors.Length], sumTolerance = new double[sums.Length], angles = new double[2 * Tensors.Length],
            angleTolerance = new double[angles.Length];
        for (int t = 0; t < Tensors.Length; t++)
        {
            var terms = new double[5];
            for (long i = Tensors[t].Offset; i < Tensors[t].Offset + Tensors[t].Count; i++)
            {
                double x = a[i], y = b[i];
                double[] products = [x * x, y * y, x * y, (x - y) * (x - y), (x - y) * (x + y)];
                for (int q = 0; q < 5; q++)
                {
                    sums[(5 * t) + q] += products[q];
                    terms[q] += Math.Abs(products[q]);
                }
            }

            // (x - y)^2 and (x - y)(x + y) hold two more roundings.
            for (int q = 0; q < 5; q++)
                sumTolerance[(5 * t) + q] = (FloatSum + (4 * U)) * terms[q];
            double normA = Math.Sqrt(sums[5 * t]), normB = Math.Sqrt(sums[(5 * t) + 1]), square = 0;
            for (long i = Tensors[t].Offset; i < Tensors[t].Offset + Tensors[t].Count; i++)
                square += Math.Pow((a[i] / normA) - (b[i] / normB), 2);
            angles[2 * t] = Tensors[t].Count == 0 ? double.NaN : sums[(5 * t) + 2] / (normA * normB);
            angles[(2 * t) + 1] = 2 * Math.Asin(Math.Min(1, 0.5 * Math.Sqrt(square)));
            angleTolerance[2 * t] = 4 * (FloatSum + (4 * U)) * terms[2] / (normA * normB);

            // The square of the distance errs by the errors of the two sums it is made of; the angle by half of that relative to itself, and opposite
            // vectors, where the arc sine is steep, by its root.
            double numerator = sumTolerance[(5 * t) + 3] + (2 * Math.Abs(normA - normB) * sumTolerance[(5 * t) + 4] / (normA + normB));
            double error = (numerator / (normA * normB)) + (FloatSum * square);
            angleTolerance[(2 * t) + 1] = square > 3.9 ? 2 * Math.Sqrt(error) : square == 0 ? Math.Sqrt(error) : Math.Min(Math.Sqrt(error),
                error / Math.Sqrt(square)) * 2;
        }

        KernelRun.InAllOrders(run =>
        {
            var (table, output, angleOutput) = (Table(), run.Output("sums", BufferType.Double, sums.Length), run.Output("angles", BufferType.Double,
                angles.Length));
            var (partial, spans) = (run.Output("partial", BufferType.Double, 5 * table.Chunks), run.Structs("tensors", table.Spans));
            run.Launch(OptimizerKernels.PairSums(table), partial, run.Float("a", a), run.Float("b", b), spans, Tensors.Length);
            run.Launch(OptimizerKernels.SumChunks(table, 5), output, partial, spans, 5);
            run.Expect(output, sums, sumTolerance);
            run.Launch(OptimizerKernels.Angles(table), angleOutput, output, Tensors.Length);
            double[] got = angleOutput.Values();
            for (int i = 0; i < got.Length; i++)
            {
                if (Tensors[i / 2].Count == 0)
                    Assert.That(got[i], Is.NaN, "no angle without elements");
                else
                    Assert.That(got[i], Is.EqualTo(angles[i]).Within(angleTolerance[i] + 1e-14), $"tensor {i / 2}, {(i % 2 == 0 ? "cosine" : "angle")}");
            }
        });

        void Fill(int tensor, Func<float, float> value)
        {
            for (long i = Tensors[tensor].Offset; i < Tensors[tensor].Offset + Tensors[tensor].Count; i++)
                b[i] = value(a[i]);
        }
    }

    [TestCase(1)]
    [TestCase(1023)]
    [TestCase(1024)]
    [TestCase(5000)]
    public void Means_are_those_of_double_precision(int count)
    {
        float[] values = TestValues.Normal(count, 4, mean: 2);
        KernelRun.InAllOrders(run =>
        {
            var output = run.Output("out", BufferType.Double, 1);
            run.Launch(OptimizerKernels.Mean(count), output, run.Float("values", values), count, 1.0, 0);
            run.Expect(output, [values.Doubles().Sum() / count], [1e-13 * values.Magnitudes().Sum() / count]);
        });
    }

    [Test]
    public void Means_of_micro_batches_add_up()
    {
        // One value each, so that the mean is exact: then the product and the sum are rounded as C# rounds them.
        float[] losses = [3.3f, 2.7f, 3.1f];
        const double scale = 1.0 / 3;
        double expected = 0;
        foreach (float loss in losses)
            expected += scale * loss;
        KernelRun.InAllOrders(run =>
        {
            var output = run.Output("out", BufferType.Double, 1);
            for (int i = 0; i < losses.Length; i++)
                run.Launch(OptimizerKernels.Mean(1), output, run.Float("values", [losses[i]]), 1, scale, i == 0 ? 0 : 1);
            run.Expect(output, [expected], [0]);
            run.Launch(OptimizerKernels.Mean(1), output, run.Float("values", [float.NaN]), 1, scale, 1);
            Assert.That(output.Values()[0], Is.NaN, "a loss that is not a number stays one");
        });
    }

    [Test]
    public void Memory_is_read_once() => KernelRun.Once(run =>
    {
        var table = Table();
        var (values, spans) = (run.Float("values", TestValues.Normal(Size, 5)), run.Structs("tensors", table.Spans));
        var partial = run.Output("partial", BufferType.Double, 5 * table.Chunks);
        TrafficCheck.IsIdeal(run, OptimizerKernels.SquareSums(table), partial, values, spans, Tensors.Length);
        TrafficCheck.IsIdeal(run, OptimizerKernels.PairSums(table), partial, values, run.Float("b", TestValues.Normal(Size, 6)), spans, Tensors.Length);
    });

    // At most 32 numbers are added in fp32, everything after that in double precision: the relative error of a sum of squares.
    private static double FloatSum => ((4 * Math.Sqrt(32)) + 1) * U;

    private static TensorTable Table() => new(Tensors, [-1, -1, -1, -1, -1, -1]);
}
