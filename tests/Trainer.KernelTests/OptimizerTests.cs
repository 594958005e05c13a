using Trainer.Cuda.Kernels;
using Trainer.Optimization;

namespace Trainer.KernelTests;

/// <summary>The pass over all parameters, with factors as the host could set them.</summary>
[Category("Device")]
internal sealed class OptimizerTests
{
    private const double U = TestValues.UnitRoundoff, UBf16 = Bf16.UnitRoundoff;
    private const int Size = 30_000;

    // Below a chunk, none, exactly one, one and a bit, several; with gaps that nobody may touch.
    private static readonly Segment[] Tensors = [new(8, 8), new(16, 768), new(800, 0), new(800, 8192), new(9000, 8200), new(17_200, 12_000)];

    private static readonly TensorFactors[] Factors =
    [
        new() { Rate = 1e-3f, L2 = 0, Before = 1, After = 1 }, new() { Rate = 1e-3f, L2 = 0.1f, Before = 1, After = 1 }, new() { Rate = 1, L2 = 1,
            Before = 2, After = 2 },
        new() { Rate = 2e-3f, L2 = 0, Before = 0.99f, After = 1 }, new() { Rate = 1e-3f, L2 = 0, Before = 1, After = 1.01f }, new() { Rate = 0,
            L2 = 0.2f, Before = 0.5f, After = 0.9f },
    ];

    [TestCase(1, false, 1f)]
    [TestCase(7, true, 0.25f)]
    public void Adam_with_master_weights(int step, bool started, float scale) => Adam(step, started, scale, master: true, copy: true);

    [Test]
    public void Adam_in_fp32_alone() => Adam(3, started: true, 1, master: true, copy: false);

    [Test]
    public void Adam_in_bf16_alone() => Adam(3, started: true, 1, master: false, copy: true);

    [TestCase(false, 1, true, true)]
    [TestCase(false, 5, true, true)]
    [TestCase(true, 5, true, true)]
    [TestCase(false, 5, true, false)]
    [TestCase(true, 5, false, true)]
    public void Sgd_with_momentum(bool rateInMomentum, int step, bool master, bool copy)
    {
        var data = new Data(started: step > 1);
        if (!master)
            data = data with { Weights = data.Weights.Rounded() };
        var scalars = new StepScalars
        {
            Taken = 1, Step = (uint)step, GradientScale = 0.5f, Momentum = step == 1 ? 0 : 0.9f, Gain = step == 1 ? 1 : 0.75f,
            RateInMomentum = rateInMomentum ? 1 : 0,
        };
        double[] w = data.Weights.Doubles(), m = data.First.Doubles(), wTolerance = new double[Size], mTolerance = new double[Size];
        for (int t = 0; t < Tensors.Length; t++)
        {
            var f = Factors[t];
            foreach (long i in Elements(Tensors[t]))
            {
                double g = (scalars.GradientScale * (double)data.Gradients[i]) + (f.L2 * w[i]), gain = rateInMomentum ? f.Rate : scalars.Gain;
                double gError = 2 * U * (Math.Abs(scalars.GradientScale * (double)data.Gradients[i]) + Math.Abs(f.L2 * w[i]));
                mTolerance[i] = (gain * gError) + (2 * U * (Math.Abs(scalars.Momentum * m[i]) + Math.Abs(gain * g)));
                m[i] = (scalars.Momentum * m[i]) + (gain * g);
                double rate = rateInMomentum ? 1 : f.Rate;
                wTolerance[i] = f.After * ((rate * mTolerance[i]) + (4 * U * (Math.Abs(f.Before * w[i]) + Math.Abs(rate * m[i]))));
                w[i] = ((f.Before * w[i]) - (rate * m[i])) * f.After;
            }
        }

        KernelRun.InAllOrders(run =>
        {
            var buffers = new Buffers(run, data, scalars, master, copy);
            run.Launch(OptimizerKernels.SgdUpdate(buffers.Table, master, copy), buffers.SgdArguments((int)Rounding.Nearest));
            run.Expect(buffers.First, m, mTolerance);
            ExpectWeights(run, buffers, data, w, wTolerance);
        });
    }

    [Test]
    public void The_update_rounds_at_random_by_element_step_and_seed([Values] bool sgd)
    {
        const uint step = 7, seed = 0x12345678;
        var data = new Data(started: true);
        var scalars = new StepScalars
        {
            Taken = 1, Step = step, Seed = seed, GradientScale = 1, Beta1 = 0.9f, Beta2 = 0.95f, Epsilon = 1e-8f, FirstCorrection = 2, SecondCorrection = 2,
            Momentum = 0.9f, Gain = 1,
        };
        KernelRun.InAllOrders(run =>
        {
            var buffers = new Buffers(run, data, scalars, master: true, copy: true);
            if (sgd)
                run.Launch(OptimizerKernels.SgdUpdate(buffers.Table), buffers.SgdArguments((int)Rounding.Stochastic));
            else
                run.Launch(OptimizerKernels.AdamUpdate(buffers.Table), buffers.AdamArguments((int)Rounding.Stochastic));
            ExpectRandomCopy(run, buffers.Copy!, data.Weights.Rounded(), buffers.Master!.Values(), [0, 1, 2, 3, 4, 5], purpose: 0, step, seed);
        });
    }

    [Test]
    public void Scaling_rounds_at_random_with_other_numbers_than_the_update([Values] bool master)
    {
        const uint step = 7, seed = 0x12345678;
        var data = new Data(started: false);
        if (!master)
            data = data with { Weights = data.Weights.Rounded() };
        float[] factors = [2, 1, 3, 0.3f, 0.99f, 0.7f];
        double[] scaled = data.Weights.Doubles();
        for (int t = 0; t < Tensors.Length; t++)
        {
            foreach (long i in Elements(Tensors[t]))
                scaled[i] = factors[t] * data.Weights[i];
        }

        KernelRun.InAllOrders(run =>
        {
            var buffers = new Buffers(run, data, new StepScalars { Step = step, Seed = seed }, master, copy: true);
            run.Launch(OptimizerKernels.ScaleWeights(buffers.Table, master), buffers.ScaleArguments(run.Float("scales", factors), (int)Rounding.Stochastic));
            int[] changed = [0, 2, 3, 4, 5];   // a factor of 1 costs nothing
            ExpectRandomCopy(run, buffers.Copy!, data.Weights.Rounded(), scaled, changed, purpose: 1, step, seed);
        });
    }

    [Test]
    public void A_step_that_is_not_taken_touches_nothing()
    {
        var data = new Data(started: true);
        KernelRun.InAllOrders(run =>
        {
            var buffers = new Buffers(run, data, new StepScalars { Taken = 0, Step = 3, GradientScale = float.NaN }, master: true, copy: true, changing: false);
            run.Launch(OptimizerKernels.AdamUpdate(buffers.Table), buffers.AdamArguments((int)Rounding.Nearest));
        });
    }

    [Test]
    public void Weights_are_scaled_tensor_by_tensor()
    {
        var data = new Data(started: false);
        float[] factors = [2, 1, 3, 0.3f, 0.99f, 0];
        double[] w = data.Weights.Doubles(), tolerance = new double[Size];
        for (int t = 0; t < Tensors.Length; t++)
        {
            foreach (long i in Elements(Tensors[t]))
                (w[i], tolerance[i]) = (factors[t] * w[i], factors[t] == 1 ? 0 : U * Math.Abs(factors[t] * w[i]));
        }

        KernelRun.InAllOrders(run =>
        {
            var buffers = new Buffers(run, data, default, master: true, copy: true);
            run.Launch(OptimizerKernels.ScaleWeights(buffers.Table), buffers.ScaleArguments(run.Float("scales", factors), (int)Rounding.Nearest));
            run.Expect(buffers.Master!, w, tolerance);
            ExpectCopy(run, buffers.Copy!, buffers.Master!.Values());
        });
    }

    [Test]
    public void Memory_is_read_and_written_once() => KernelRun.Once(run =>
    {
        var data = new Data(started: true);
        var scalars = new StepScalars
        {
            Taken = 1, Step = 2, GradientScale = 1, Beta1 = 0.9f, Beta2 = 0.95f, Epsilon = 1e-8f, FirstCorrection = 2, SecondCorrection = 2,
        };
        var buffers = new Buffers(run, data, scalars, master: true, copy: true);
        TrafficCheck.IsIdeal(run, OptimizerKernels.AdamUpdate(buffers.Table), buffers.AdamArguments((int)Rounding.Stochastic));
        TrafficCheck.IsIdeal(run, OptimizerKernels.SgdUpdate(buffers.Table), buffers.SgdArguments((int)Rounding.Nearest));
        var scales = run.Float("scales", [2, 2, 2, 2, 2, 2]);
        TrafficCheck.IsIdeal(run, OptimizerKernels.ScaleWeights(buffers.Table), buffers.ScaleArguments(scales, (int)Rounding.Nearest));

        // Of the tensors without a unit, two of six, only the factor is read.
        scales = run.Float("scales", [2, 1, 2, 2, 1, 2]);
        var table = new TensorTable(Tensors, [0, -1, 0, 0, -1, 0]);
        TrafficCheck.IsIdeal(run, OptimizerKernels.ScaleWeights(table), buffers.ScaleArguments(scales, (int)Rounding.Nearest));
        var average = run.Float("average", data.Weights, changing: true);
        TrafficCheck.IsIdeal(run, ElementwiseKernels.UpdateAverage(Size), average, buffers.Master, (long)Size, 0.9f);
        TrafficCheck.IsIdeal(run, ElementwiseKernels.CastToBf16(Size), buffers.Copy, buffers.Master, (long)Size, 0, 1u, 1u);
    });

    [Test]
    public void The_table_refuses_what_is_not_aligned() => Assert.Multiple(() =>
    {
        Assert.Throws<ArgumentException>(() => new TensorTable([new(4, 8)], [0]));
        Assert.Throws<ArgumentException>(() => new TensorTable([new(8, 12)], [0]));
        Assert.Throws<ArgumentException>(() => new TensorTable([new(8, 16)], []));
        Assert.That(new TensorTable(Tensors, [0, 0, 0, 0, 0, 0]).Chunks, Is.EqualTo(1 + 1 + 0 + 1 + 2 + 2));
    });

    private static void Adam(int step, bool started, float scale, bool master, bool copy)
    {
        var data = new Data(started);
        if (!master)
            data = data with { Weights = data.Weights.Rounded() };
        var adam = new AdamStep(0.9f, 0.95f, 1e-8f, step, scale);
        var scalars = new StepScalars
        {
            Taken = 1, Step = (uint)step, Seed = 3, GradientScale = scale, Beta1 = adam.Beta1, Beta2 = adam.Beta2, Epsilon = adam.Epsilon,
            FirstCorrection = (float)(1 / (1 - Math.Pow(adam.Beta1, step))), SecondCorrection = (float)(1 / (1 - Math.Pow(adam.Beta2, step))),
        };
        double[] w = data.Weights.Doubles(), m = data.First.Doubles(), v = data.Second.Doubles(), gradients = data.Gradients.Doubles();
        double[] wTolerance = new double[Size], mTolerance = new double[Size], vTolerance = new double[Size];
        for (int t = 0; t < Tensors.Length; t++)
        {
            var f = Factors[t];
            double[] oldW = (double[])w.Clone(), oldM = (double[])m.Clone(), oldV = (double[])v.Clone();
            ReferenceOperations.AdamUpdate(w, gradients, m, v, new(Tensors[t], f.Rate, f.L2, f.Before, f.After), adam);
            foreach (long i in Elements(Tensors[t]))
            {
                // Each product and sum is rounded once; an error of g reaches m and v, theirs reach u, and that reaches w.
                double g = (scale * gradients[i]) + (f.L2 * oldW[i]), gError = 2 * U * (Math.Abs(scale * gradients[i]) + Math.Abs(f.L2 * oldW[i]));
                mTolerance[i] = (0.1 * gError) + (3 * U * (Math.Abs(0.9 * oldM[i]) + Math.Abs(0.1 * g)));
                vTolerance[i] = (0.1 * Math.Abs(g) * gError) + (4 * U * ((0.95 * oldV[i]) + (0.05 * g * g)));
                double root = Math.Sqrt(v[i] * scalars.SecondCorrection) + adam.Epsilon, u = m[i] * scalars.FirstCorrection / root;
                double uError = (mTolerance[i] * scalars.FirstCorrection / root) + (Math.Abs(u) * ((vTolerance[i] / v[i]) + (8 * U)));
                wTolerance[i] = f.After * ((f.Rate * uError) + (4 * U * (Math.Abs(f.Before * oldW[i]) + Math.Abs(f.Rate * u))));
            }
        }

        KernelRun.InAllOrders(run =>
        {
            var buffers = new Buffers(run, data, scalars, master, copy);
            run.Launch(OptimizerKernels.AdamUpdate(buffers.Table, master, copy), buffers.AdamArguments((int)Rounding.Nearest));
            run.Expect(buffers.First, m, mTolerance);
            run.Expect(buffers.Second, v, vTolerance);
            ExpectWeights(run, buffers, data, w, wTolerance);
        });
    }

    private static void ExpectWeights(KernelRun run, Buffers buffers, Data data, double[] w, double[] tolerance)
    {
        double[] kept;
        if (buffers.Master != null)
        {
            run.Expect(buffers.Master, w, tolerance);
            kept = buffers.Master.Values();
            if (buffers.Copy != null)
                ExpectCopy(run, buffers.Copy, kept);
        }
        else
        {
            run.Expect(buffers.Copy!, w, [.. w.Zip(tolerance, (value, error) => error + (UBf16 * (Math.Abs(value) + error)))]);
            kept = buffers.Copy!.Values();
        }

        // The sums are those of the weights that are kept: 32 squares in fp32, the rest in double precision.
        double[] partial = buffers.Partial.Values();
        for (int t = 0, chunk = 0; t < Tensors.Length; t++)
        {
            double[] squares = new double[2], sums = new double[2], errors = new double[2];
            foreach (long i in Elements(Tensors[t]))
            {
                double difference = kept[i] - data.Weights[i];
                squares[0] += kept[i] * kept[i];
                squares[1] += difference * difference;
            }

            for (; chunk < buffers.Table.Chunks && (t + 1 == Tensors.Length || chunk < buffers.Table.Spans[t + 1].FirstChunk); chunk++)
            {
                sums[0] += partial[2 * chunk];
                sums[1] += partial[(2 * chunk) + 1];
            }

            for (int q = 0; q < 2; q++)
                Assert.That(sums[q], Is.EqualTo(squares[q]).Within(((4 * Math.Sqrt(32)) + 2) * U * squares[q]), $"tensor {t}, sum {q}");
        }
    }

    // The copy was the master's value, rounded, before, and is again.
    private static void ExpectCopy(KernelRun run, DeviceBuffer copy, double[] master) =>
        run.Expect(copy, Array.ConvertAll(master, value => (double)Bf16.Value(Bf16.Round((float)value))), new double[master.Length]);

    // The copy of some tensors is the given value rounded at random, and nothing else has changed.
    private static void ExpectRandomCopy(
        KernelRun run, DeviceBuffer copy, float[] before, double[] values, ReadOnlySpan<int> tensors, uint purpose, uint step, uint seed)
    {
        double[] expected = before.Doubles();
        foreach (int t in tensors)
        {
            foreach (long i in Elements(Tensors[t]))
                expected[i] = Philox.Round((float)values[i], i, purpose, step, seed);
        }

        run.Expect(copy, expected, new double[expected.Length]);
    }

    private static IEnumerable<long> Elements(Segment segment)
    {
        for (long i = segment.Offset; i < segment.Offset + segment.Count; i++)
            yield return i;
    }

    private sealed record Data
    {
        public Data(bool started)
        {
            Weights = TestValues.Normal(Size, 1);
            Gradients = TestValues.Normal(Size, 2);
            First = started ? TestValues.Normal(Size, 3, deviation: 0.1) : new float[Size];
            Second = started ? Array.ConvertAll(TestValues.Normal(Size, 4), v => (v * v) + 1e-3f) : new float[Size];
        }

        public float[] Weights { get; init; }

        public float[] Gradients { get; }

        public float[] First { get; }

        public float[] Second { get; }
    }

    private sealed class Buffers
    {
        public Buffers(KernelRun run, Data data, StepScalars scalars, bool master, bool copy, bool changing = true)
        {
            Table = new TensorTable(Tensors, [0, 0, 0, 0, 0, 0]);
            Master = master ? run.Float("master", data.Weights, changing) : null;
            Copy = copy ? run.Bf16("weights", data.Weights, changing) : null;
            First = run.Float("first", data.First, changing);
            Second = run.Float("second", data.Second, changing);
            Gradients = run.Float("gradients", data.Gradients);
            Partial = changing ? run.Output("partial", BufferType.Double, 2 * Table.Chunks) : run.Double("partial", new double[2 * Table.Chunks]);
            Spans = run.Structs("tensors", Table.Spans);
            Factors = run.Structs<TensorFactors>("factors", OptimizerTests.Factors);
            Scalars = run.Structs<StepScalars>("scalars", [scalars]);
        }

        public TensorTable Table { get; }

        public DeviceBuffer? Master { get; }

        public DeviceBuffer? Copy { get; }

        public DeviceBuffer First { get; }

        public DeviceBuffer Second { get; }

        public DeviceBuffer Gradients { get; }

        public DeviceBuffer Partial { get; }

        public DeviceBuffer Spans { get; }

        public DeviceBuffer Factors { get; }

        public DeviceBuffer Scalars { get; }

        public KernelArgument[] AdamArguments(int rounding) =>
            [Master, Copy, First, Second, Gradients, Partial, Spans, Tensors.Length, Factors, Scalars, rounding];

        public KernelArgument[] SgdArguments(int rounding) =>
            [Master, Copy, First, Gradients, Partial, Spans, Tensors.Length, Factors, Scalars, rounding];

        public KernelArgument[] ScaleArguments(DeviceBuffer scales, int rounding) => [Master, Copy, Spans, Tensors.Length, scales, Scalars, rounding];
    }
}
