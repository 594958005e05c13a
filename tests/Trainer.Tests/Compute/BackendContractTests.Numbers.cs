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
            float[] values = new float[40_008];
            values[at] = bad;
            using var x = new Vectors(Backend, values);
            var sums = new double[2];
            int split = at / 8 * 8;
            Backend.SumOfSquares(x[0], [new(0, split), new(split, values.Length - split)], sums);
            Assert.That(sums[0], Is.Zero);
            Assert.That(double.IsFinite(sums[1]), Is.False);
        }
    }

    /// <summary>Half-way numbers go to the even neighbour, beyond the largest lies infinity, below the smallest normal number there is more, and NaN stays.</summary>
    [Test]
    public void A_conversion_to_bf16_rounds_to_the_nearest()
    {
        (float Value, int Expected)[] cases =
        [
            (1, 0x3f80), (1 + (1f / 256), 0x3f80), (1 + (3f / 256), 0x3f82), (1 + (1.0001f / 256), 0x3f81), (-1 - (1f / 256), 0xbf80), (-1 - (3f / 256), 0xbf82),
            (float.MaxValue, 0x7f80), (float.MinValue, 0xff80), (3.3895314e38f, 0x7f7f), (float.PositiveInfinity, 0x7f80), (float.NegativeInfinity, 0xff80),
            (0, 0), (-0f, 0x8000), (1e-40f, 1), (BitConverter.Int32BitsToSingle(0x8000), 0), (BitConverter.Int32BitsToSingle(0x8001), 1),
        ];
        float[] notNumbers = [float.NaN, -float.NaN, .. new[] { 0x7f800001, 0x7fffffff, unchecked((int)0xff800001), -1 }.Select(BitConverter.Int32BitsToSingle), 0, 0];
        float[] values = [.. cases.Select(entry => entry.Value), .. notNumbers];
        var (source, destination) = (Backend.Allocate(ElementType.Float32, new Shape(values.Length)), Backend.Allocate(ElementType.BFloat16, new Shape(values.Length)));
        var (back, found) = (new float[values.Length], new ushort[values.Length]);
        Backend.Upload<float>(values, source);
        Backend.Convert(destination, source);
        Backend.Download(destination, found.AsSpan());
        Backend.Convert(source, destination);
        Backend.Download(source, back.AsSpan());
        Backend.Free(source);
        Backend.Free(destination);
        for (int i = 0; i < cases.Length; i++)
            Assert.That((int)found[i], Is.EqualTo(cases[i].Expected), $"{cases[i].Value:R}");
        Assert.That(back.Select(float.IsNaN), Is.EqualTo(values.Select(float.IsNaN)));
        Assert.That(back.Take(cases.Length).Select(BitConverter.SingleToInt32Bits), Is.EqualTo(cases.Select(entry => entry.Expected << 16)), "exact on the way back");
    }

    [Test]
    public void A_conversion_to_the_same_type_copies_all_bits()
    {
        int[] bits = [0, int.MinValue, 1, 0x7f800001, -1, 0x7f800000, 0x12345678, 0x3f800000];
        using var x = new Vectors(Backend, Array.ConvertAll(bits, BitConverter.Int32BitsToSingle), new float[8]);
        Backend.Convert(x[1], x[0]);
        Assert.That(x.Bits(1), Is.EqualTo(bits));
    }

    [Test]
    public void Only_numbers_are_converted()
    {
        var (integers, floats) = (Backend.Allocate(ElementType.Int32, new Shape(8)), Backend.Allocate(ElementType.Float32, new Shape(8)));
        Assert.That(() => Backend.Convert(floats, integers), Throws.ArgumentException.With.Property("ParamName").EqualTo("source"));
        Assert.That(() => Backend.Convert(integers, floats), Throws.ArgumentException.With.Property("ParamName").EqualTo("destination"));
        Backend.Free(integers);
        Backend.Free(floats);
    }

    [Test]
    public void Means_of_micro_batches_add_up_in_double_precision()
    {
        float[] values = [3, 1, 4, 1, 5, 9, 2, 6];
        using var x = new Vectors(Backend, values);
        Tensor total = Backend.Allocate(ElementType.Float64, new Shape(1));
        double[] found = [double.NaN];
        for (int i = 0; i < 3; i++)
            Backend.AddMean(total, x[0], scale: 1.0 / 3, accumulate: i > 0);
        Backend.Download(total, found.AsSpan());
        Backend.Free(total);
        Assert.That(found[0], Is.EqualTo(31.0 / 8).Within(1e-15));
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
            using var x = new Vectors(Backend, Working(logits), Floats(1));
            var targets = Backend.Allocate(ElementType.Int32, new Shape(1));
            Backend.SoftmaxCrossEntropy(x[0].Reshape(new Shape(1, 40)), x[1], targets, 37, 0);
            Backend.Free(targets);
            Assert.That(x.Read(1)[0], Is.NaN);
        }
    }

    /// <summary>The exponentials of 0 are 1 and their sum is 37, exactly: what errs is the logarithm and the quotient, by some units, and how it is stored.</summary>
    [Test]
    public void A_loss_of_equal_huge_logits_is_the_logarithm_of_the_vocabulary()
    {
        foreach (float level in new[] { 1e4f, -1e4f, 1e30f, -3e38f })
        {
            float[] logits = new float[40];
            Array.Fill(logits, level);
            using var x = new Vectors(Backend, Working(logits), Floats(1));
            var targets = Backend.Allocate(ElementType.Int32, new Shape(1));
            Backend.SoftmaxCrossEntropy(x[0].Reshape(new Shape(1, 40)), x[1], targets, 37, 1);
            Backend.Free(targets);
            double stored = Arithmetic.IsHalf ? Bf16.UnitRoundoff / 37 : 0;
            Assert.That(x.Read(1)[0], Is.EqualTo(Math.Log(37)).Within(1e-6));
            Assert.That(x.Read(0).Skip(1).Take(36), Is.All.EqualTo(1 / 37f).Within(1e-8 + stored));
            Assert.That(x.Read(0).Skip(37), Is.All.Zero);
        }
    }

    [TestCase(2, 16)]
    [TestCase(2, 32)]
    [TestCase(1, 64)]
    [TestCase(1, 128)]
    public void Attention_does_not_see_the_future(int heads, int headSize)
    {
        const int t = 130;
        int c = heads * headSize;
        float[] qkv = TestValues.Normal(t * 3 * c, 76), later = TestValues.Normal(t * 3 * c, 77, deviation: 9);
        foreach (int present in new[] { 1, 7, 48, 65, 129 })
        {
            float[] changed = [.. qkv[..(present * 3 * c)], .. later[(present * 3 * c)..]];
            using var x = new Vectors(Backend, Working(qkv), Working(changed), Working(new float[t * c]), Working(new float[t * c]), Floats(heads * t));
            for (int i = 0; i < 2; i++)
                Backend.AttentionForward(x[2 + i].Reshape(new Shape(1, t, c)), x[4].Reshape(new Shape(1, heads, t)), x[i].Reshape(new Shape(1, t, 3 * c)));
            Assert.That(x.Bits(3).Take(present * c), Is.EqualTo(x.Bits(2).Take(present * c)));
        }
    }

    [TestCase(16)]
    [TestCase(64)]
    public void Attention_over_large_scores_stays_finite(int c)
    {
        const int t = 50;
        using var x = new Vectors(Backend, Working(TestValues.Normal(t * 3 * c, 78, deviation: 50)), Working(new float[t * c]), Floats(t),
            Working(new float[t * 3 * c]), Working(TestValues.Normal(t * c, 79)));
        var (qkv, output, logSumExp) = (x[0].Reshape(new Shape(1, t, 3 * c)), x[1].Reshape(new Shape(1, t, c)), x[2].Reshape(new Shape(1, 1, t)));
        Backend.AttentionForward(output, logSumExp, qkv);
        Backend.AttentionBackward(x[3].Reshape(qkv.Shape), x[4].Reshape(output.Shape), output, logSumExp, qkv);
        Assert.That(x.Read(1), Is.All.Matches<float>(float.IsFinite));
        Assert.That(x.Read(3), Is.All.Matches<float>(float.IsFinite));
    }

    /// <summary>The mean of 64 halves is exact whichever way it is divided.</summary>
    [Test]
    public void Layer_normalisation_of_equal_inputs_gives_the_bias() => ExpectBias(64);

    /// <summary>Normalises equal numbers: what is left is the bias, to the bit.</summary>
    protected void ExpectBias(int channels)
    {
        float[] input = new float[channels], bias = Arithmetic.Given(TestValues.Normal(channels, 80));
        Array.Fill(input, 0.5f);
        using var x = new Vectors(Backend, Working(new float[channels]), Floats(1), Floats(1), Working(input), Working(TestValues.Normal(channels, 81)), Working(bias));
        Backend.LayerNormForward(x[0].Reshape(new Shape(1, channels)), x[1], x[2], x[3].Reshape(new Shape(1, channels)), x[4], x[5]);
        Assert.That(x.Read(0), Is.EqualTo(bias));
        Assert.That(x.Read(2)[0], Is.EqualTo(1 / Math.Sqrt(1e-5)).Within(1e-4));
    }

    private static (ElementType Type, float[] Values) Floats(int count) => (ElementType.Float32, new float[count]);

    private (ElementType Type, float[] Values) Working(float[] values) => (Backend.Precision.Working, values);
}
