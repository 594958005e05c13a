using Trainer.Compute;
using Trainer.Cpu;
using Trainer.Tests.Compute;

namespace Trainer.Tests.Cpu;

/// <summary>Matrix products with fewer bits of mantissa.</summary>
public sealed unsafe class MantissaRoundingTests
{
    private static IEnumerable<CpuInstructionSet> Sets => CpuInstructionSets.Supported;

    private static float[] Special =>
    [
        0f, -0f, 1e-45f, -1e-45f, 1e-40f, 1.17549435e-38f, float.MaxValue, float.MinValue, float.PositiveInfinity, float.NegativeInfinity,
        1 + (1f / 512), 1 + (1f / 256), 1 + (1.5f / 128), -1 - (1f / 256), -1 - (3f / 256), 0.1f, -0.1f, 1e30f, 65504,
    ];

    [Test]
    public void Every_width_rounds_as_arithmetic_does([Range(1, 23)] int bits)
    {
        float[] values = [.. Special, .. TestValues.Normal(4000, 91, 1e3)];
        float[] expected = Array.ConvertAll(values, value => Rounded(value, bits));
        foreach (float[] found in EveryWidth(values, bits))
            Assert.That(Bits(found), Is.EqualTo(Bits(expected)));
        if (bits == 7)
            Assert.That(Bits(expected), Is.EqualTo(Bits(values.Rounded())), "7 bits are bf16");
    }

    [Test]
    public void What_is_not_a_number_stays([Values(1, 7, 22)] int bits)
    {
        float[] values = [float.NaN, -float.NaN, BitConverter.UInt32BitsToSingle(0x7fffffff), BitConverter.UInt32BitsToSingle(0xff800001)];
        foreach (float[] found in EveryWidth(values, bits))
            Assert.That(Bits(found), Is.EqualTo(Bits(values)));
    }

    // Whole numbers whose rounded products add up to less than 2^24: every sum is exact, and so is every bit of what follows.
    [TestCase(7, 37, 600)]
    [TestCase(4, 500, 150)]
    [TestCase(1, 400, 60)]
    public void Products_round_factors_and_results(int bits, int k, int largest)
    {
        const int rows = 29, n = 53;
        float[] x = Whole(rows * k, largest, 1), w = Whole(n * k, largest, 2), bias = Whole(n, largest, 3), gradient = Whole(rows * n, largest, 4);
        float[] rx = Round(x, bits), rw = Round(w, bits), rg = Round(gradient, bits), start = Whole(n * k, largest, 5);
        float[] forward = Exact(rows, n, k, (i, j, l) => rx[(i * k) + l] * rw[(j * k) + l]);
        float[] biased = [.. forward.Select((value, i) => value + bias[i % n])];
        float[] dInput = Exact(rows, k, n, (i, j, l) => rg[(i * n) + l] * rw[(l * k) + j]);
        float[] dWeight = Exact(n, k, rows, (i, j, l) => rg[(l * n) + i] * rx[(l * k) + j]);
        Assert.That(Round(biased, bits), Is.Not.EqualTo(biased), "results need rounding");
        foreach (CpuInstructionSet set in Sets)
        {
            using var backend = new CpuBackend(2, set, Precision.Mantissa(bits));
            using var v = new Vectors(backend, x, w, bias, gradient, new float[rows * n], new float[rows * n], new float[rows * k], start, new float[n]);
            Tensor input = v[0].Slice(0, new(rows, k)), weight = v[1].Slice(0, new(n, k)), dOutput = v[3].Slice(0, new(rows, n));
            Tensor output = v[4].Slice(0, new(rows, n)), pre = v[5].Slice(0, new(rows, n)), inputGradient = v[6].Slice(0, new(rows, k));
            backend.LinearForward(output, input, weight, default, default);
            Assert.That(v.Read(4), Is.EqualTo(Round(forward, bits)), $"{set}: without a bias, as the logits");
            backend.LinearForward(output, input, weight, v[2], default);
            Assert.That(v.Read(4), Is.EqualTo(Round(biased, bits)), $"{set}: with a bias");
            backend.LinearForward(output, input, weight, v[2], pre);
            Assert.That(v.Read(5), Is.EqualTo(Round(biased, bits)), $"{set}: before a GELU");
            backend.LinearBackwardInput(inputGradient, dOutput, weight, default);
            Assert.That(v.Read(6), Is.EqualTo(Round(dInput, bits)), $"{set}: gradient of the input");
            backend.LinearBackwardWeight(v[7].Slice(0, new(n, k)), v[8], dOutput, input, accumulate: true);
            Assert.That(v.Read(7), Is.EqualTo(dWeight.Zip(start, (sum, old) => sum + old)), $"{set}: gradients of weights add up in fp32");
        }
    }

    [Test]
    public void All_bits_are_fp32_to_the_bit()
    {
        foreach (CpuInstructionSet set in Sets)
            Assert.That(Gradients(set, Precision.Mantissa(23)), Is.EqualTo(Gradients(set, Precision.Float32)));
        Assert.That(Gradients(CpuInstructionSets.Best, Precision.Mantissa(22)), Is.Not.EqualTo(Gradients(CpuInstructionSets.Best, Precision.Float32)));
    }

    [Test]
    public void Attention_rounds_probabilities_and_results()
    {
        const int bits = 7, b = 2, t = 37, heads = 3, size = 16, c = heads * size;
        float[] qkv = Round(TestValues.Normal(b * t * 3 * c, 92), bits), dOutput = Round(TestValues.Normal(b * t * c, 93), bits);
        foreach (CpuInstructionSet set in Sets)
        {
            using var backend = new CpuBackend(2, set, Precision.Mantissa(bits));
            using var v = new Vectors(backend, qkv, new float[b * t * c], new float[b * heads * t], dOutput, new float[b * t * 3 * c]);
            Tensor input = v[0].Slice(0, new(b, t, 3 * c)), output = v[1].Slice(0, new(b, t, c)), logSumExp = v[2].Slice(0, new(b, heads, t));
            backend.AttentionForward(output, logSumExp, input);
            backend.AttentionBackward(v[4].Slice(0, new(b, t, 3 * c)), v[3].Slice(0, new(b, t, c)), output, logSumExp, input);
            float[] found = v.Read(1), gradients = v.Read(4);
            Assert.That(Bits(gradients), Is.EqualTo(Bits(Round(gradients, bits))), $"{set}: gradients are rounded");
            (int decided, int all) = (0, 0);
            for (int sequence = 0; sequence < b; sequence++)
            {
                for (int head = 0; head < heads; head++)
                    Check(sequence, head, found, gradients, ref decided, ref all);
            }

            // An element is left out where an error of 1e-5, ten times that of the fp32 arithmetic before it, could round otherwise: each of up to
            // 38 numbers is that near to a middle, of which there is one in each 2^-8 to 2^-7, with a probability below 2 · 1e-5 · 2^8 = 0.5 %.
            Assert.That((double)decided / all, Is.GreaterThan(0.8));
        }

        void Check(int sequence, int head, float[] found, float[] gradients, ref int decided, ref int all)
        {
            double At(int row, int part, int i) => qkv[(((sequence * t) + row) * 3 * c) + (part * c) + (head * size) + i];
            var p = new double[t, t];
            for (int i = 0; i < t; i++)
            {
                for (int j = 0; j <= i; j++)
                    p[i, j] = Math.Exp(Enumerable.Range(0, size).Sum(l => At(i, 0, l) * At(j, 1, l)) / Math.Sqrt(size));
                double sum = Enumerable.Range(0, i + 1).Sum(j => p[i, j]);
                for (int j = 0; j <= i; j++)
                    p[i, j] /= sum;
            }

            for (int row = 0; row < t; row++)
            {
                for (int l = 0; l < size; l++)
                {
                    Compare(Enumerable.Range(0, row + 1).Select(j => (p[row, j], At(j, 2, l))), found[(((sequence * t) + row) * c) + (head * size) + l],
                        ref decided, ref all);
                    Compare(Enumerable.Range(row, t - row).Select(i => (p[i, row], (double)dOutput[(((sequence * t) + i) * c) + (head * size) + l])),
                        gradients[(((sequence * t) + row) * 3 * c) + (2 * c) + (head * size) + l], ref decided, ref all);
                }
            }
        }

        static void Compare(IEnumerable<(double P, double Value)> terms, float found, ref int decided, ref int all)
        {
            const double error = 1e-5;
            var list = terms.ToArray();
            all++;
            if (!Array.TrueForAll(list, term => Rounded(term.P * (1 - error), bits) == Rounded(term.P * (1 + error), bits)))
                return;
            double sum = list.Sum(term => Rounded(term.P, bits) * term.Value), slack = error * list.Sum(term => Math.Abs(term.P * term.Value));
            if (Rounded(sum - slack, bits) != Rounded(sum + slack, bits))
                return;
            decided++;
            Assert.That(found, Is.EqualTo(Rounded(sum, bits)));
        }
    }

    [Test]
    public void Bits_are_between_1_and_23([Values(0, 24, -1)] int bits) =>
        Assert.That(() => Precision.Mantissa(bits), Throws.TypeOf<RequestException>().With.Message.Contains("1 to 23"));

    // To `bits` bits after the first one: numbers below the smallest normal one have its spacing.
    private static float Rounded(double value, int bits)
    {
        if (value == 0 || !double.IsFinite(value))
            return (float)value;
        int exponent = Math.Max(Math.ILogB(value), -126) - bits;
        return (float)Math.ScaleB(Math.Round(Math.ScaleB(value, -exponent), MidpointRounding.ToEven), exponent);
    }

    private static float[] Round(float[] values, int bits) => Array.ConvertAll(values, value => Rounded(value, bits));

    private static float[] Whole(int count, int largest, ulong stream)
    {
        var random = new CounterRandom(5, stream);
        return [.. Enumerable.Range(0, count).Select(i => (float)(int)random.Below((ulong)i, (ulong)(2 * largest) + 1) - largest)];
    }

    private static float[] Exact(int rows, int columns, int depth, Func<int, int, int, float> product)
    {
        var sums = new float[rows * columns];
        for (int i = 0; i < sums.Length; i++)
        {
            double sum = 0;
            for (int l = 0; l < depth; l++)
                sum += product(i / columns, i % columns, l);
            sums[i] = (float)sum;
        }

        return sums;
    }

    private static int[] Bits(float[] values) => Array.ConvertAll(values, BitConverter.SingleToInt32Bits);

    private static IEnumerable<float[]> EveryWidth(float[] values, int bits) =>
        [Each<Float1>(values, bits), Each<Float4>(values, bits), Each<Float8>(values, bits), Each<Float16>(values, bits)];

    private static float[] Each<T>(float[] values, int bits)
        where T : struct, IVector<T>
    {
        float[] padded = new float[values.Length + T.Width];
        values.CopyTo(padded, 0);
        fixed (float* at = padded)
        {
            for (int i = 0; i < values.Length; i += T.Width)
                T.Store(bits == 23 ? T.Load(at + i) : new MantissaRounding(bits).Apply(T.Load(at + i)), at + i);
        }

        return padded[..values.Length];
    }

    // The bits of the gradient of a linear layer with GELU and of attention.
    private static int[] Gradients(CpuInstructionSet set, Precision precision)
    {
        const int rows = 20, k = 48, n = 144;
        using var backend = new CpuBackend(2, set, precision);
        using var v = new Vectors(backend, TestValues.Normal(rows * k, 94), TestValues.Normal(n * k, 95, 0.1), TestValues.Normal(n, 96), new float[rows * n],
            new float[rows * n], new float[rows * k], new float[n * k], new float[n], new float[rows * k], new float[3 * rows]);
        Tensor input = v[0].Slice(0, new(rows, k)), weight = v[1].Slice(0, new(n, k)), output = v[3].Slice(0, new(rows, n)), pre = v[4].Slice(0, new(rows, n));
        Tensor attended = v[8].Slice(0, new(1, rows, k)), logSumExp = v[9].Slice(0, new(1, 3, rows)), qkv = v[3].Slice(0, new(1, rows, n));
        backend.LinearForward(output, input, weight, v[2], pre);
        backend.AttentionForward(attended, logSumExp, qkv);
        backend.AttentionBackward(v[4].Slice(0, new(1, rows, n)), attended, attended, logSumExp, qkv);
        backend.LinearBackwardInput(v[5].Slice(0, new(rows, k)), pre, weight, v[0].Slice(0, new(rows, k)));
        backend.LinearBackwardWeight(v[6].Slice(0, new(n, k)), v[7], pre, input, accumulate: true);
        return [.. v.Bits(3), .. v.Bits(4), .. v.Bits(5), .. v.Bits(6), .. v.Bits(7), .. v.Bits(8)];
    }
}
