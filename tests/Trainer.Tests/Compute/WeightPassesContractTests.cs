using Trainer.Compute;
using Trainer.Optimization;

namespace Trainer.Tests.Compute;

/// <summary>What a backend whose steps are ended by a <see cref="HostOptimizer"/> owes to the documentation of <see cref="IWeightPasses"/>.</summary>
public abstract class WeightPassesContractTests : OperationContractTests
{
    internal static new IEnumerable<TestCaseData> Cases => Named(OperationCases.WeightPasses);

    internal static new IEnumerable<TestCaseData> OneOfEach => Named(OperationCases.OneOfEach(OperationCases.WeightPasses));

    private IWeightPasses Passes => (IWeightPasses)Backend;

    [Test]
    public void Adam_takes_the_step_computed_by_hand()
    {
        // m̂ = g and v̂ = g² at t = 1, so u = 1 / (1 + ε/|g|) = 1 to 1e-7, and w = (1 - 1e-4) · 1 - 1e-3 · 1.
        using var x = new Vectors(Backend, [1], [0.1f], [0], [0]);
        var sums = new double[1];
        Passes.AdamUpdate(x[0], x[1], x[2], x[3], [new(new(0, 1), 1e-3f, 0, 1 - 1e-4f, 1)], new AdamStep(0.9f, 0.95f, 1e-8f, 1, 1), sums, new double[1]);
        Assert.That(x.Read(0)[0], Is.EqualTo(0.9989f).Within(2e-7));
        Assert.That(x.Read(2)[0], Is.EqualTo(0.01f).Within(1e-8));
        Assert.That(x.Read(3)[0], Is.EqualTo(0.0005f).Within(1e-9));
        Assert.That(sums[0], Is.EqualTo(0.9989 * 0.9989).Within(4e-7));
    }

    [Test]
    public void Adam_with_shrink_after_scales_the_updated_weight()
    {
        using var x = new Vectors(Backend, [1], [0.1f], [0], [0]);
        var sums = new double[1];
        Passes.AdamUpdate(x[0], x[1], x[2], x[3], [new(new(0, 1), 1e-3f, 0, 1, 0.5f)], new AdamStep(0.9f, 0.95f, 1e-8f, 1, 1), sums, new double[1]);
        Assert.That(x.Read(0)[0], Is.EqualTo(0.4995f).Within(1e-7));
    }

    [Test]
    public void Adam_without_a_learning_rate_leaves_the_bits_of_weights()
    {
        float[] w = [.. TestValues.Normal(99, 71), 1e-40f, float.MaxValue];
        using var x = new Vectors(Backend, w, TestValues.Normal(w.Length, 72), new float[w.Length], new float[w.Length]);
        Passes.AdamUpdate(x[0], x[1], x[2], x[3], [new(new(0, w.Length), 0, 0, 1, 1)], new AdamStep(0.9f, 0.95f, 1e-8f, 1, 1), new double[1], new double[1]);
        Assert.That(x.Bits(0), Is.EqualTo(Array.ConvertAll(w, BitConverter.SingleToInt32Bits)));
    }

    [Test]
    public void Adam_shows_a_gradient_that_is_not_a_number()
    {
        foreach (int at in new[] { 0, 17, 36 })
        {
            float[] g = TestValues.Normal(37, 73);
            g[at] = float.NaN;
            using var x = new Vectors(Backend, TestValues.Normal(37, 74), g, new float[37], new float[37]);
            var sums = new double[1];
            Passes.AdamUpdate(x[0], x[1], x[2], x[3], [new(new(0, 37), 1e-3f, 0, 1, 1)], new AdamStep(0.9f, 0.95f, 1e-8f, 1, 1), sums, new double[1]);
            Assert.That(sums[0], Is.NaN);
            Assert.That(x.Read(0).Index().Where(entry => float.IsNaN(entry.Item)).Select(entry => entry.Index), Is.EqualTo(new[] { at }));
        }
    }

    [Test]
    public void Sgd_takes_the_steps_computed_by_hand()
    {
        // Torch: m = 0.9 · 0.5 + (0.1 · 2 + 0.3 · 1) = 0.95, w = 1 - 0.1 · 0.95. Inside the buffer: m = 0.9 · 0.5 + 0.1 · 0.5 = 0.5, w = 0.5.
        foreach ((bool inside, float buffer, float weight) in new[] { (false, 0.95f, 0.905f), (true, 0.5f, 0.5f) })
        {
            using var x = new Vectors(Backend, [1], [0.1f], [0.5f]);
            double[] sums = new double[1], changes = new double[1];
            Passes.SgdUpdate(x[0], x[1], x[2], [new(new(0, 1), 0.1f, 0.3f, 1, 1)], new SgdStep(0.9f, 1, inside, 2), sums, changes);
            Assert.That(x.Read(2)[0], Is.EqualTo(buffer).Within(2e-7));
            Assert.That(x.Read(0)[0], Is.EqualTo(weight).Within(2e-7));
            Assert.That(sums[0], Is.EqualTo((double)weight * weight).Within(4e-7));
            Assert.That(changes[0], Is.EqualTo(Math.Pow(1 - weight, 2)).Within(4e-7));
        }
    }

    [Test]
    public void Sgd_takes_gain_and_factors_at_every_place_of_a_vector()
    {
        const int count = 133;
        float[] w = TestValues.Normal(count, 81), g = TestValues.Normal(count, 82), m = TestValues.Normal(count, 83);
        using var x = new Vectors(Backend, w, g, m);
        Passes.SgdUpdate(x[0], x[1], x[2], [new(new(1, 131), 0.1f, 0.01f, 0.9f, 0.8f)], new SgdStep(0.5f, 0.75f, false, 0.5f), new double[1], new double[1]);
        float[] found = x.Read(0);
        Assert.That((found[0], found[^1]), Is.EqualTo((w[0], w[^1])), "outside the segment");
        for (int i = 1; i < count - 1; i++)
        {
            // Of terms of order 1: a dozen roundings of 2^-24 each.
            double buffer = (0.5 * m[i]) + (0.75 * ((0.5 * g[i]) + (0.01 * w[i])));
            Assert.That(found[i], Is.EqualTo(((0.9 * w[i]) - (0.1 * buffer)) * 0.8).Within(1e-6), $"weight {i}");
            Assert.That(x.Read(2)[i], Is.EqualTo(buffer).Within(1e-6), $"buffer {i}");
        }
    }

    [Test]
    public void A_scaled_tensor_is_added_inside_its_segments_alone()
    {
        float[] a = TestValues.Normal(80, 84), b = TestValues.Normal(80, 85);
        using var x = new Vectors(Backend, a, b);
        Passes.AddScaled(x[0], x[1], [new(3, 37), new(40, 20), new(60, 20)], [0.5f, 0, -2]);
        for (int i = 0; i < 80; i++)
        {
            double factor = i is >= 3 and < 40 ? 0.5 : i >= 60 ? -2 : 0;
            Assert.That(x.Read(0)[i], Is.EqualTo(a[i] + (factor * b[i])).Within(1e-6), $"element {i}");
        }
    }

    [Test]
    public void A_factor_of_one_leaves_all_bits()
    {
        float[] values = [float.NaN, BitConverter.Int32BitsToSingle(unchecked((int)0xFFA12345)), float.PositiveInfinity, 1e-42f, -0f, 3];
        using var x = new Vectors(Backend, values);
        Passes.Scale(x[0], [new(0, 6)], [1f]);
        Assert.That(x.Bits(0), Is.EqualTo(Array.ConvertAll(values, BitConverter.SingleToInt32Bits)));
    }

    [Test]
    public void Segments_must_lie_inside_and_updates_must_ascend()
    {
        var x = Backend.Allocate(ElementType.Float32, new Shape(16));
        foreach (var segment in BackendContractTests.OutsideOfSixteen)
        {
            Assert.That(() => Passes.Scale(x, [segment], [2f]), Throws.ArgumentException.With.Property("ParamName").EqualTo("segments"), $"{segment}");
            Assert.That(() => Adam(x, new SegmentUpdate(segment, 1, 0, 1, 1)),
                Throws.ArgumentException.With.Property("ParamName").EqualTo("updates"), $"{segment}");
        }

        Assert.Throws<ArgumentException>(() => Adam(x, new SegmentUpdate(new(0, 5), 1, 0, 1, 1), new SegmentUpdate(new(4, 2), 1, 0, 1, 1)));
        Assert.Throws<ArgumentException>(() => Adam(x, new SegmentUpdate(new(5, 5), 1, 0, 1, 1), new SegmentUpdate(new(0, 2), 1, 0, 1, 1)));
        Assert.Throws<ArgumentException>(() => Passes.Scale(x, [new(0, 5)], []));
        Backend.Free(x);

        void Adam(Tensor all, params SegmentUpdate[] updates) =>
            Passes.AdamUpdate(all, all, all, all, updates, new AdamStep(0.9f, 0.95f, 1e-8f, 1, 1), new double[updates.Length], new double[updates.Length]);
    }
}
