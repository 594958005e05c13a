using Trainer.Compute;

namespace Trainer.Tests.Compute;

/// <content>Values that can be told by hand, and inputs at the ends of the range.</content>
public abstract partial class BackendContractTests
{
    [TestCase(float.NaN)]
    [TestCase(float.PositiveInfinity)]
    [TestCase(float.NegativeInfinity)]
    public void A_sum_of_squares_shows_what_is_not_finite(float bad)
    {
        foreach (int at in new[] { 0, 15, 40_000, 40_002 })
        {
            float[] values = new float[40_003];
            values[at] = bad;
            using var x = new Vectors(Backend, values);
            var sums = new double[2];
            Backend.SumOfSquares(x[0], [new(0, at), new(at, values.Length - at)], sums);
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
        using var x = new Vectors(Backend, huge, tiny);
        var sums = new double[1];
        Backend.SumOfSquares(x[0], [new(0, 1000)], sums);
        Assert.That(sums[0], Is.EqualTo(1000.0 * 1e30f * 1e30f).Within(1e-12).Percent);
        Backend.SumOfSquares(x[1], [new(0, 1000)], sums);
        Assert.That(sums[0], Is.EqualTo(1000.0 * 1e-30f * 1e-30f).Within(1e-12).Percent);
    }

    [Test]
    public void A_mean_keeps_the_digits_of_a_long_vector()
    {
        // In single precision the sum would stand still above 2²⁴.
        float[] values = new float[100_000];
        Array.Fill(values, 1f);
        values[0] = 1 << 25;
        using var x = new Vectors(Backend, values);
        Tensor total = Backend.Allocate(ElementType.Float64, new Shape(1));
        double[] mean = [double.NaN];
        Backend.AddMean(total, x[0], scale: 1, accumulate: false);
        Backend.Download(total, mean.AsSpan());
        Backend.Free(total);
        Assert.That(mean[0], Is.EqualTo(((1 << 25) + 99_999) / 100_000.0));
    }

    [Test]
    public void A_loss_shows_logits_that_are_not_numbers()
    {
        foreach (int at in new[] { 0, 20, 36 })
        {
            float[] logits = TestValues.Normal(40, 75);
            logits[at] = float.NaN;
            using var x = new Vectors(Backend, logits, [0f]);
            var targets = Backend.Allocate(ElementType.Int32, new Shape(1));
            Backend.SoftmaxCrossEntropy(x[0].Reshape(new Shape(1, 40)), x[1], targets, 37, 0);
            Backend.Free(targets);
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
            using var x = new Vectors(Backend, logits, [0f]);
            var targets = Backend.Allocate(ElementType.Int32, new Shape(1));
            Backend.SoftmaxCrossEntropy(x[0].Reshape(new Shape(1, 40)), x[1], targets, 37, 1);
            Backend.Free(targets);
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
            using var x = new Vectors(Backend, qkv, changed, new float[t * c], new float[t * c], new float[heads * t]);
            for (int i = 0; i < 2; i++)
                Backend.AttentionForward(x[2 + i].Reshape(new Shape(1, t, c)), x[4].Reshape(new Shape(1, heads, t)), x[i].Reshape(new Shape(1, t, 3 * c)));
            Assert.That(x.Bits(3).Take(present * c), Is.EqualTo(x.Bits(2).Take(present * c)));
        }
    }

    [Test]
    public void Attention_over_large_scores_stays_finite()
    {
        const int t = 50, c = 16;
        using var x = new Vectors(Backend, TestValues.Normal(t * 3 * c, 78, deviation: 50), new float[t * c], new float[t], new float[t * 3 * c], TestValues.Normal(t * c, 79));
        var (qkv, output, logSumExp) = (x[0].Reshape(new Shape(1, t, 3 * c)), x[1].Reshape(new Shape(1, t, c)), x[2].Reshape(new Shape(1, 1, t)));
        Backend.AttentionForward(output, logSumExp, qkv);
        Backend.AttentionBackward(x[3].Reshape(qkv.Shape), x[4].Reshape(output.Shape), output, logSumExp, qkv);
        Assert.That(x.Read(1), Is.All.Matches<float>(float.IsFinite));
        Assert.That(x.Read(3), Is.All.Matches<float>(float.IsFinite));
    }

    [Test]
    public void Layer_normalisation_of_equal_inputs_gives_the_bias()
    {
        float[] input = new float[50], bias = TestValues.Normal(50, 80);
        Array.Fill(input, 0.5f);
        using var x = new Vectors(Backend, new float[50], [0f], [0f], input, TestValues.Normal(50, 81), bias);
        Backend.LayerNormForward(x[0].Reshape(new Shape(1, 50)), x[1], x[2], x[3].Reshape(new Shape(1, 50)), x[4], x[5]);
        Assert.That(x.Read(0), Is.EqualTo(bias));
        Assert.That(x.Read(2)[0], Is.EqualTo(1 / Math.Sqrt(1e-5)).Within(1e-4));
    }
}
