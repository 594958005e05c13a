using Trainer.Cuda.Kernels;

namespace Trainer.KernelTests;

/// <summary>Casts, fills and averages; and how numbers are rounded to bf16, which the optimizer's pass does alike.</summary>
[Category("Device")]
internal sealed class ElementwiseTests
{
    private const double U = TestValues.UnitRoundoff;

    [Test]
    public void Philox_gives_the_known_answers()
    {
        // The vectors that the authors publish with their implementation.
        Assert.That(Philox.Words([0, 0, 0, 0], 0, 0), Is.EqualTo(new[] { 0x6627e8d5u, 0xe169c58du, 0xbc57ac4cu, 0x9b00dbd8u }));
    }

    [Test]
    public void A_cast_rounds_at_random_by_element_step_and_seed() => KernelRun.InAllOrders(run =>
    {
        float[] values = TestValues.Normal(1028, 12);
        var to = run.Output("to", BufferType.Bf16, values.Length);
        run.Launch(ElementwiseKernels.CastToBf16(values.Length), to, run.Float("from", values), (long)values.Length, (int)Rounding.Stochastic, 3u, 99u);
        run.Expect(to, [.. values.Select((value, i) => (double)Philox.Round(value, i, purpose: 2, 3, 99))], new double[values.Length]);
    });

    [Test]
    public void Stochastic_rounding_is_unbiased_and_repeatable()
    {
        // Every element the same number, a share of the way between two bf16 neighbours: so many of them are rounded up.
        const float value = 1 + (0.3f / 128);
        const int count = 8192;
        var means = new List<double>();
        foreach (uint step in new uint[] { 1, 1, 2 })
        {
            KernelRun.InAllOrders(run =>
            {
                var (to, from) = (run.Output("to", BufferType.Bf16, count), run.Float("from", [.. Enumerable.Repeat(value, count)]));
                run.Launch(ElementwiseKernels.CastToBf16(count), to, from, (long)count, (int)Rounding.Stochastic, step, 5u);
                double[] values = to.Values();
                Assert.That(values, Is.All.EqualTo(1).Or.EqualTo(1 + (1.0 / 128)));
                double share = values.Count(v => v > 1) / (double)count;

                // The share of independent draws has a standard deviation of sqrt(p (1 - p) / n) = 0.005.
                Assert.That(share, Is.EqualTo(0.3).Within(5 * Math.Sqrt(0.3 * 0.7 / count)));
                means.Add(values.Index().Where(entry => entry.Item > 1).Sum(entry => entry.Index));
            });
        }

        Assert.That(means.Distinct().Count(), Is.EqualTo(2), "the same step rounds the same elements up, another step others");
    }

    [TestCase(Rounding.Nearest)]
    [TestCase(Rounding.Stochastic)]
    public void Values_that_are_bf16_already_and_those_that_are_not_finite_keep_their_value(Rounding rounding)
    {
        float[] values = [0, -0f, 1, -3.5f, float.PositiveInfinity, float.NegativeInfinity, 3.3895314e38f, 1.17549435e-38f, 1e-40f, -7, 256, 0.15625f];
        values = values.Rounded();
        KernelRun.InAllOrders(run =>
        {
            var (to, back) = (run.Output("to", BufferType.Bf16, values.Length), run.Output("back", BufferType.Float, values.Length));
            run.Launch(ElementwiseKernels.CastToBf16(values.Length), to, run.Float("from", values), (long)values.Length, (int)rounding, 9u, 1u);
            run.Launch(ElementwiseKernels.CastToFloat(values.Length), back, to, (long)values.Length);
            Assert.That(back.As<float>().ToArray(), Is.EqualTo(values));
        });
    }

    [Test]
    public void Not_a_number_stays_one([Values] Rounding rounding) => KernelRun.InAllOrders(run =>
    {
        // All bits set is what a GPU's arithmetic leaves: whatever is added to it carries into the sign.
        float allBits = BitConverter.Int32BitsToSingle(0x7fffffff);
        var to = run.Output("to", BufferType.Bf16, 4);
        run.Launch(ElementwiseKernels.CastToBf16(4), to, run.Float("from", [float.NaN, 1, allBits, 2]), 4L, (int)rounding, 1u, 1u);
        Assert.That(to.Values().Select(double.IsNaN), Is.EqualTo(new[] { true, false, true, false }));
    });

    [Test]
    public void Launches_that_would_do_nothing_are_refused() => Assert.Multiple(() =>
    {
        Assert.Throws<ArgumentException>(() => ElementwiseKernels.Fill(0));
        Assert.Throws<ArgumentOutOfRangeException>(() => ElementwiseKernels.Fill(-4));
        Assert.Throws<ArgumentException>(() => LayerNormKernels.Forward(0, 64));
        Assert.Throws<ArgumentException>(() => GemmWgmmaKernels.Forward(64, 64, 64, 128, multiprocessors: 0, bias: false));
    });

    [Test]
    public void Gelu_of_what_was_stored([Values] KernelType type)
    {
        // Where the GELU bends, where its derivative is 0 or largest, and where it is 0 or x itself.
        float[] pre = [.. TestValues.Normal(1000, 13, deviation: 2), 0, -0.7518f, 1.4f, 8, -8, 1e4f, -1e4f, 3e38f, -3e38f, 1e-30f, -3.5f, 50];
        pre = pre.RoundedTo(type);
        double[] expected = Array.ConvertAll(pre.Doubles(), ReferenceOperations.Gelu);
        double[] tolerances = [.. pre.Zip(expected, (x, gelu) => GeluTolerances.OfGpu(x) + (type.UnitRoundoff() * Math.Abs(gelu)))];
        KernelRun.InAllOrders(run =>
        {
            var (output, input) = (run.Output("out", type.Buffer(), pre.Length), run.Values(type, "pre", pre));
            run.Launch(ElementwiseKernels.GeluForward(pre.Length, type), output, input, (long)pre.Length);
            run.Expect(output, expected, tolerances);
        });
        KernelRun.Once(run =>
        {
            var (output, input) = (run.Output("out", type.Buffer(), 4096), run.Values(type, "pre", new float[4096]));
            TrafficCheck.IsIdeal(run, ElementwiseKernels.GeluForward(4096, type), output, input, 4096L);
        });
    }

    [Test]
    public void Fills_and_averages()
    {
        const int count = 1028;
        float[] weights = TestValues.Normal(count, 8), average = TestValues.Normal(count, 9);
        KernelRun.InAllOrders(run =>
        {
            var filled = run.Output("filled", BufferType.Float, count);
            run.Launch(ElementwiseKernels.Fill(count), filled, (long)count, 2.5f);
            run.Expect(filled, [.. Enumerable.Repeat(2.5, count)], new double[count]);
            var averages = run.Float("average", average);
            run.Launch(ElementwiseKernels.UpdateAverage(count), averages, run.Float("weights", weights), (long)count, 0.99f);
            run.Expect(averages, [.. average.Zip(weights, (a, w) => (0.99f * (double)a) + ((1 - (double)0.99f) * w))],
                [.. average.Zip(weights, (a, w) => 3 * U * (Math.Abs(a) + Math.Abs(w)))]);
        });
    }
}
