using Trainer.Cpu;
using Trainer.Optimization;
using Trainer.Tests.Compute;

namespace Trainer.Tests.Cpu;

/// <summary>Weights that are bf16 numbers, against the scalar definition that the CUDA kernels are tested against too.</summary>
[TestFixtureSource(nameof(Sets))]
public sealed class WeightRoundingTests(CpuInstructionSet set)
{
    // SGD without momentum at a rate of 1: the new weight is old - gradient, rounded once to fp32 whatever the machine fuses.
    private static readonly SgdStep Plain = new(0, 1, false, 1);

    // Of all lengths and offsets, over more than one block of the pass.
    private static readonly Segment[] Segments = [new(0, 1), new(1, 17), new(21, 32_768), new(32_800, 37_001), new(69_803, 197)];

    private const int Count = 70_000;

    public static IEnumerable<CpuInstructionSet> Sets => CpuInstructionSets.Supported;

    [Test]
    public void The_update_rounds_as_the_definition_says([Values] bool stochastic)
    {
        using var trial = new Trial(set, new WeightRounding(stochastic, 0x12345678) { Step = 7 }, keepsWeights: true);
        trial.Update();
        float[] exact = [.. trial.Old.Zip(trial.Gradients, (w, g) => w - g)];
        trial.Check(trial.Old, exact, purpose: 0, Enumerable.Range(0, Segments.Length));
        foreach (int i in Segments.SelectMany(Elements))
            Assert.That(trial.Rounding.Before[i], Is.EqualTo(trial.Old[i]));
    }

    [Test]
    public void Scaling_rounds_again_with_other_random_numbers_and_counts_the_whole_step([Values] bool stochastic)
    {
        using var trial = new Trial(set, new WeightRounding(stochastic, 0x12345678) { Step = 7 }, keepsWeights: true);
        trial.Update();
        float[] middle = trial.Weights();
        float[] factors = [0.5f, 1, 0.9999f, 1.003f, 1 - 1e-6f];
        trial.Scale(factors);
        var exact = (float[])middle.Clone();
        for (int s = 0; s < Segments.Length; s++)
        {
            foreach (int i in Elements(Segments[s]))
                exact[i] = middle[i] * factors[s];
        }

        trial.Check(trial.Old, exact, purpose: 1, [0, 2, 3, 4]);

        // A factor of 1 leaves what the update found.
        using var alone = new Trial(set, new WeightRounding(stochastic, 0x12345678) { Step = 7 }, keepsWeights: true);
        alone.Update();
        Assert.That((trial.Sums[1], trial.Changes[1], trial.Rounding.Moved[1], trial.Rounding.Lost[1]),
            Is.EqualTo((alone.Sums[1], alone.Changes[1], alone.Rounding.Moved[1], alone.Rounding.Lost[1])));
    }

    [Test]
    public void Small_changes_are_lost_to_the_nearest_and_not_at_random()
    {
        // 1 - 2^-10 is a quarter of the way to the bf16 below 1, which is 1 - 2^-8. Each is rounded down with that probability, exactly, since 16
        // random bits are compared with 16 bits: five standard deviations of the share are 5 √(1/4 · 3/4 / n).
        foreach (bool stochastic in new[] { false, true })
        {
            using var trial = new Trial(set, new WeightRounding(stochastic, 3) { Step = 1 }, keepsWeights: false, _ => 1, _ => 1f / 1024);
            trial.Update();
            double elements = Segments.Sum(segment => segment.Count), lost = Total(trial.Rounding.Lost) / elements;
            Assert.That(Total(trial.Rounding.Moved), Is.EqualTo(elements));
            Assert.That(lost, Is.EqualTo(stochastic ? 0.75 : 1).Within(stochastic ? 5 * Math.Sqrt(3.0 / 16 / elements) : 0));
            float[] weights = trial.Weights();
            Assert.That(Segments.SelectMany(Elements).Select(i => weights[i]).Distinct().Order(), Is.EqualTo(stochastic ? new[] { 1 - (1f / 256), 1f } : [1f]));
        }
    }

    [TestCase(0.1f)]
    [TestCase(-3.14159f)]
    [TestCase(1e-20f)]
    public void The_mean_of_random_rounding_is_the_number(float value)
    {
        // The share of the way up, p, is a multiple of 2^-16; the mean of n roundings has a standard deviation of spacing √(p (1 - p) / n).
        using var trial = new Trial(set, new WeightRounding(true, 11) { Step = 5 }, keepsWeights: false, _ => 0, _ => -value);
        trial.Update();
        float[] weights = trial.Weights();
        uint bits = BitConverter.SingleToUInt32Bits(value);
        double p = (bits & 0xffff) / 65536.0, spacing = Math.Abs(Bf16.Value((ushort)((bits >> 16) + 1)) - (double)Bf16.Value((ushort)(bits >> 16)));
        double[] rounded = [.. Segments.SelectMany(Elements).Select(i => (double)weights[i])];
        Assert.That(rounded.Distinct().Count(), Is.EqualTo(2));
        Assert.That(rounded.Average(), Is.EqualTo((double)value).Within(5 * spacing * Math.Sqrt(p * (1 - p) / rounded.Length)));
    }

    [Test]
    public void Step_seed_and_pass_give_other_numbers()
    {
        float[] Of(uint seed, long step)
        {
            using var trial = new Trial(set, new WeightRounding(true, seed) { Step = step }, keepsWeights: false);
            trial.Update();
            return trial.Weights();
        }

        float[] first = Of(1, 1), again = Of(1, 1);
        Assert.That(again, Is.EqualTo(first));
        Assert.That(Of(1, 2), Is.Not.EqualTo(first));
        Assert.That(Of(2, 1), Is.Not.EqualTo(first));
    }

    [Test]
    public void What_is_not_finite_stays([Values] bool stochastic)
    {
        float[] bad = [float.NaN, float.PositiveInfinity, float.NegativeInfinity];
        using var trial = new Trial(set, new WeightRounding(stochastic, 1) { Step = 1 }, keepsWeights: false, _ => 0, i => -bad[i % 3]);
        trial.Update();
        float[] weights = trial.Weights();
        Assert.That(Segments.SelectMany(Elements).Select(i => weights[i]), Is.EqualTo(Segments.SelectMany(Elements).Select(i => bad[i % 3])));
    }

    [Test]
    public void Adam_rounds_too()
    {
        using var backend = new CpuBackend(2, set);
        float[] w = TestValues.Normal(1000, 97).Rounded();
        using var x = new Vectors(backend, w, TestValues.Normal(1000, 98), new float[1000], new float[1000]);
        using var exact = new Vectors(backend, w, TestValues.Normal(1000, 98), new float[1000], new float[1000]);
        var rounding = new WeightRounding(false, 1);
        rounding.Prepare(1, 0);
        var step = new AdamStep(0.9f, 0.95f, 1e-8f, 1, 1);
        backend.AdamUpdate(x[0], x[1], x[2], x[3], [new(new(0, 1000), 1e-2f, 0, 1, 1)], step, new double[1], new double[1], rounding);
        backend.AdamUpdate(exact[0], exact[1], exact[2], exact[3], [new(new(0, 1000), 1e-2f, 0, 1, 1)], step, new double[1], new double[1]);
        Assert.That(x.Read(0), Is.EqualTo(exact.Read(0).Rounded()));
        Assert.That((x.Read(2), x.Read(3)), Is.EqualTo((exact.Read(2), exact.Read(3))), "moments stay fp32");
    }

    private static IEnumerable<int> Elements(Segment segment) => Enumerable.Range((int)segment.Offset, (int)segment.Count);

    private static double Total(ReadOnlySpan<double> values)
    {
        double total = 0;
        foreach (double value in values)
            total += value;
        return total;
    }

    private sealed class Trial : IDisposable
    {
        private readonly CpuBackend _backend;
        private readonly Vectors _vectors;

        public Trial(CpuInstructionSet set, WeightRounding rounding, bool keepsWeights, Func<int, float>? weight = null, Func<int, float>? gradient = null)
        {
            float[] normal = TestValues.Normal(Count, 95).Rounded(), small = TestValues.Normal(Count, 96, 0.004);
            Old = [.. Enumerable.Range(0, Count).Select(weight ?? (i => normal[i]))];
            Gradients = [.. Enumerable.Range(0, Count).Select(gradient ?? (i => i % 5 == 0 ? 0 : small[i]))];
            _backend = new CpuBackend(2, set);
            _vectors = new Vectors(_backend, Old, Gradients, new float[Count]);
            Rounding = rounding;
            rounding.Prepare(Segments.Length, keepsWeights ? Count : 0);
        }

        public float[] Old { get; }

        public float[] Gradients { get; }

        public WeightRounding Rounding { get; }

        public double[] Sums { get; } = new double[Segments.Length];

        public double[] Changes { get; } = new double[Segments.Length];

        public float[] Weights() => _vectors.Read(0);

        public void Update() => _backend.SgdUpdate(_vectors[0], _vectors[1], _vectors[2],
            [.. Segments.Select(segment => new SegmentUpdate(segment, 1, 0, 1, 1))], Plain, Sums, Changes, Rounding);

        public void Scale(float[] factors) => _backend.ScaleRounded(_vectors[0], Segments, factors, Rounding, Sums, Changes);

        public void Check(float[] old, float[] exact, uint purpose, IEnumerable<int> segments)
        {
            float[] found = Weights();
            foreach (int s in segments)
            {
                double sum = 0, change = 0;
                (int moved, int lost) = (0, 0);
                foreach (int i in Elements(Segments[s]))
                {
                    float expected = Rounding.IsStochastic ? Compute.Philox.Round(exact[i], i, purpose, (uint)Rounding.Step, Rounding.Seed) : Bf16.Value(Bf16.Round(exact[i]));
                    Assert.That(found[i], Is.EqualTo(expected), $"element {i}: {exact[i]:r}");
                    moved += exact[i] != old[i] ? 1 : 0;
                    lost += exact[i] != old[i] && expected == old[i] ? 1 : 0;
                    sum += (double)expected * expected;
                    change += Math.Pow((double)expected - old[i], 2);
                }

                // Sums of doubles in another order: n roundings of 2^-53 each.
                double error = Segments[s].Count * Math.Pow(2, -53);
                Assert.That((Rounding.Moved[s], Rounding.Lost[s]), Is.EqualTo(((double)moved, (double)lost)));
                Assert.That(Sums[s], Is.EqualTo(sum).Within(error * sum));
                Assert.That(Changes[s], Is.EqualTo(change).Within(error * change));
            }
        }

        public void Dispose()
        {
            _vectors.Dispose();
            _backend.Dispose();
        }
    }
}
