using Trainer.Compute;
using Trainer.Optimization;

namespace Trainer.Tests.Compute;

/// <content>Values that can be told by hand, and inputs at the ends of the range.</content>
public abstract partial class BackendContractTests
{
    [Test]
    public void Adam_takes_the_step_computed_by_hand()
    {
        // m̂ = g and v̂ = g² at t = 1, so u = 1 / (1 + ε/|g|) = 1 to 1e-7, and w = (1 - 1e-4) · 1 - 1e-3 · 1.
        using var x = new Vectors(_backend, [1], [0.1f], [0], [0]);
        var sums = new double[1];
        _backend.AdamUpdate(x[0], x[1], x[2], x[3], [new(new(0, 1), 1e-3f, 0, 1 - 1e-4f, 1)], new AdamStep(0.9f, 0.95f, 1e-8f, 1, 1), sums);
        Assert.That(x.Read(0)[0], Is.EqualTo(0.9989f).Within(2e-7));
        Assert.That(x.Read(2)[0], Is.EqualTo(0.01f).Within(1e-8));
        Assert.That(x.Read(3)[0], Is.EqualTo(0.0005f).Within(1e-9));
        Assert.That(sums[0], Is.EqualTo(0.9989 * 0.9989).Within(4e-7));
    }

    [Test]
    public void Adam_with_shrink_after_scales_the_updated_weight()
    {
        using var x = new Vectors(_backend, [1], [0.1f], [0], [0]);
        var sums = new double[1];
        _backend.AdamUpdate(x[0], x[1], x[2], x[3], [new(new(0, 1), 1e-3f, 0, 1, 0.5f)], new AdamStep(0.9f, 0.95f, 1e-8f, 1, 1), sums);
        Assert.That(x.Read(0)[0], Is.EqualTo(0.4995f).Within(1e-7));
    }

    [Test]
    public void Adam_without_a_learning_rate_leaves_the_bits_of_weights()
    {
        float[] w = [.. TestValues.Normal(99, 71), 1e-40f, float.MaxValue];
        using var x = new Vectors(_backend, w, TestValues.Normal(w.Length, 72), new float[w.Length], new float[w.Length]);
        _backend.AdamUpdate(x[0], x[1], x[2], x[3], [new(new(0, w.Length), 0, 0, 1, 1)], new AdamStep(0.9f, 0.95f, 1e-8f, 1, 1), new double[1]);
        Assert.That(x.Bits(0), Is.EqualTo(Array.ConvertAll(w, BitConverter.SingleToInt32Bits)));
    }

    [Test]
    public void Adam_shows_a_gradient_that_is_not_a_number()
    {
        foreach (int at in new[] { 0, 17, 36 })
        {
            float[] g = TestValues.Normal(37, 73);
            g[at] = float.NaN;
            using var x = new Vectors(_backend, TestValues.Normal(37, 74), g, new float[37], new float[37]);
            var sums = new double[1];
            _backend.AdamUpdate(x[0], x[1], x[2], x[3], [new(new(0, 37), 1e-3f, 0, 1, 1)], new AdamStep(0.9f, 0.95f, 1e-8f, 1, 1), sums);
            Assert.That(sums[0], Is.NaN);
            Assert.That(x.Read(0).Index().Where(entry => float.IsNaN(entry.Item)).Select(entry => entry.Index), Is.EqualTo(new[] { at }));
        }
    }

    [Test]
    public void A_factor_of_one_leaves_all_bits()
    {
        float[] values = [float.NaN, BitConverter.Int32BitsToSingle(unchecked((int)0xFFA12345)), float.PositiveInfinity, 1e-42f, -0f, 3];
        using var x = new Vectors(_backend, values);
        _backend.Scale(x[0], [new(0, 6)], [1f]);
        Assert.That(x.Bits(0), Is.EqualTo(Array.ConvertAll(values, BitConverter.SingleToInt32Bits)));
    }

    [TestCase(float.NaN)]
    [TestCase(float.PositiveInfinity)]
    [TestCase(float.NegativeInfinity)]
    public void A_sum_of_squares_shows_what_is_not_finite(float bad)
    {
        foreach (int at in new[] { 0, 15, 40_000, 40_002 })
        {
            float[] values = new float[40_003];
            values[at] = bad;
            using var x = new Vectors(_backend, values);
            var sums = new double[2];
            _backend.SumOfSquares(x[0], [new(0, at), new(at, values.Length - at)], sums);
            Assert.That(sums[0], Is.Zero);
            Assert.That(double.IsFinite(sums[1]), Is.False);
        }
    }

    [Test]
    public void A_sum_of_squares_of_huge_and_of_tiny_numbers_keeps_its_range()
    {
        float[] huge = new float[1000], tiny = new float[1000];
        Array.Fill(huge, 1e30f);
        Array.Fill(tiny, 1e-30f);
        using var x = new Vectors(_backend, huge, tiny);
        var sums = new double[1];
        _backend.SumOfSquares(x[0], [new(0, 1000)], sums);
        Assert.That(sums[0], Is.EqualTo(1000.0 * 1e30f * 1e30f).Within(1e-12).Percent);
        _backend.SumOfSquares(x[1], [new(0, 1000)], sums);
        Assert.That(sums[0], Is.EqualTo(1000.0 * 1e-30f * 1e-30f).Within(1e-12).Percent);
    }

    [Test]
    public void A_mean_keeps_the_digits_of_a_long_vector()
    {
        // In single precision the sum would stand still above 2²⁴.
        float[] values = new float[100_000];
        Array.Fill(values, 1f);
        values[0] = 1 << 25;
        using var x = new Vectors(_backend, values);
        Assert.That(_backend.Mean(x[0]), Is.EqualTo(((1 << 25) + 99_999) / 100_000.0));
    }

    [Test]
    public void A_loss_shows_logits_that_are_not_numbers()
    {
        foreach (int at in new[] { 0, 20, 36 })
        {
            float[] logits = TestValues.Normal(40, 75);
            logits[at] = float.NaN;
            using var x = new Vectors(_backend, logits, [0f]);
            var targets = _backend.Allocate(ElementType.Int32, new Shape(1));
            _backend.SoftmaxCrossEntropy(x[0].Reshape(new Shape(1, 40)), x[1], targets, 37, 0);
            _backend.Free(targets);
            Assert.That(x.Read(1)[0], Is.NaN);
        }
    }

    [Test]
    public void A_loss_of_equal_huge_logits_is_the_logarithm_of_the_vocabulary()
    {
        foreach (float level in new[] { 1e4f, -1e4f, 1e30f, -3e38f })
        {
            float[] logits = new float[40];
            Array.Fill(logits, level);
            using var x = new Vectors(_backend, logits, [0f]);
            var targets = _backend.Allocate(ElementType.Int32, new Shape(1));
            _backend.SoftmaxCrossEntropy(x[0].Reshape(new Shape(1, 40)), x[1], targets, 37, 1);
            _backend.Free(targets);
            Assert.That(x.Read(1)[0], Is.EqualTo(Math.Log(37)).Within(1e-6));
            Assert.That(x.Read(0).Skip(1).Take(36), Is.All.EqualTo(1 / 37f).Within(1e-8));
            Assert.That(x.Read(0).Skip(37), Is.All.Zero);
        }
    }

    [Test]
    public void Attention_does_not_see_the_future()
    {
        const int t = 130, c = 24, heads = 2;
        float[] qkv = TestValues.Normal(t * 3 * c, 76), later = TestValues.Normal(t * 3 * c, 77, deviation: 9);
        foreach (int present in new[] { 1, 7, 48, 65, 129 })
        {
            float[] changed = [.. qkv[..(present * 3 * c)], .. later[(present * 3 * c)..]];
            using var x = new Vectors(_backend, qkv, changed, new float[t * c], new float[t * c], new float[heads * t]);
            for (int i = 0; i < 2; i++)
                _backend.AttentionForward(x[2 + i].Reshape(new Shape(1, t, c)), x[4].Reshape(new Shape(1, heads, t)), x[i].Reshape(new Shape(1, t, 3 * c)));
            Assert.That(x.Bits(3).Take(present * c), Is.EqualTo(x.Bits(2).Take(present * c)));
        }
    }

    [Test]
    public void Attention_over_large_scores_stays_finite()
    {
        const int t = 50, c = 16;
        using var x = new Vectors(_backend, TestValues.Normal(t * 3 * c, 78, deviation: 50), new float[t * c], new float[t], new float[t * 3 * c], TestValues.Normal(t * c, 79));
        var (qkv, output, logSumExp) = (x[0].Reshape(new Shape(1, t, 3 * c)), x[1].Reshape(new Shape(1, t, c)), x[2].Reshape(new Shape(1, 1, t)));
        _backend.AttentionForward(output, logSumExp, qkv);
        _backend.AttentionBackward(x[3].Reshape(qkv.Shape), x[4].Reshape(output.Shape), output, logSumExp, qkv);
        Assert.That(x.Read(1), Is.All.Matches<float>(float.IsFinite));
        Assert.That(x.Read(3), Is.All.Matches<float>(float.IsFinite));
    }

    [Test]
    public void Layer_normalisation_of_equal_inputs_gives_the_bias()
    {
        float[] input = new float[50], bias = TestValues.Normal(50, 80);
        Array.Fill(input, 0.5f);
        using var x = new Vectors(_backend, new float[50], [0f], [0f], input, TestValues.Normal(50, 81), bias);
        _backend.LayerNormForward(x[0].Reshape(new Shape(1, 50)), x[1], x[2], x[3].Reshape(new Shape(1, 50)), x[4], x[5]);
        Assert.That(x.Read(0), Is.EqualTo(bias));
        Assert.That(x.Read(2)[0], Is.EqualTo(1 / Math.Sqrt(1e-5)).Within(1e-4));
    }

    /// <summary>Float vectors on a device.</summary>
    private sealed class Vectors : IDisposable
    {
        private readonly IBackend _backend;
        private readonly Tensor[] _tensors;

        public Vectors(IBackend backend, params float[][] values)
        {
            _backend = backend;
            _tensors = Array.ConvertAll(values, vector => backend.Allocate(ElementType.Float32, new Shape(vector.Length)));
            for (int i = 0; i < values.Length; i++)
                backend.Upload<float>(values[i], _tensors[i]);
        }

        public Tensor this[int index] => _tensors[index];

        public float[] Read(int index)
        {
            var values = new float[_tensors[index].Count];
            _backend.Download<float>(_tensors[index], values);
            return values;
        }

        public int[] Bits(int index) => Array.ConvertAll(Read(index), BitConverter.SingleToInt32Bits);

        public void Dispose()
        {
            foreach (var tensor in _tensors)
                _backend.Free(tensor);
        }
    }
}
