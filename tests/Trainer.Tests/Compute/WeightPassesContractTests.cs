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
        Passes.AdamUpdate(x[0], x[1], x[2], x[3], [new(new(0, 1), 1e-3f, 0, 1 - 1e-4f, 1)], new AdamStep(0.9f, 0.95f, 1e-8f, 1, 1), sums);
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
        Passes.AdamUpdate(x[0], x[1], x[2], x[3], [new(new(0, 1), 1e-3f, 0, 1, 0.5f)], new AdamStep(0.9f, 0.95f, 1e-8f, 1, 1), sums);
        Assert.That(x.Read(0)[0], Is.EqualTo(0.4995f).Within(1e-7));
    }

    [Test]
    public void Adam_without_a_learning_rate_leaves_the_bits_of_weights()
    {
        float[] w = [.. TestValues.Normal(99, 71), 1e-40f, float.MaxValue];
        using var x = new Vectors(Backend, w, TestValues.Normal(w.Length, 72), new float[w.Length], new float[w.Length]);
        Passes.AdamUpdate(x[0], x[1], x[2], x[3], [new(new(0, w.Length), 0, 0, 1, 1)], new AdamStep(0.9f, 0.95f, 1e-8f, 1, 1), new double[1]);
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
            Passes.AdamUpdate(x[0], x[1], x[2], x[3], [new(new(0, 37), 1e-3f, 0, 1, 1)], new AdamStep(0.9f, 0.95f, 1e-8f, 1, 1), sums);
            Assert.That(sums[0], Is.NaN);
            Assert.That(x.Read(0).Index().Where(entry => float.IsNaN(entry.Item)).Select(entry => entry.Index), Is.EqualTo(new[] { at }));
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
            Passes.AdamUpdate(all, all, all, all, updates, new AdamStep(0.9f, 0.95f, 1e-8f, 1, 1), new double[updates.Length]);
    }
}
