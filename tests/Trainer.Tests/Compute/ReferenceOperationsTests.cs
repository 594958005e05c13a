namespace Trainer.Tests.Compute;

/// <summary>
/// The reference's gradients against central differences of its forward pass. A difference over h = 1e-5 errs by h² and by the rounding
/// of a loss near 1 divided by h, both about 1e-10 times the derivatives' size.
/// </summary>
public sealed class ReferenceOperationsTests
{
    private const double Step = 1e-5;

    [Test]
    public void Embedding()
    {
        const int b = 2, t = 3, c = 4, vocabulary = 5, maxT = 4;
        int[] tokens = [1, 4, 1, 0, 2, 4];
        double[] tokenTable = Random(vocabulary * c, 1), positionTable = Random(maxT * c, 2), dOutput = Random(b * t * c, 3);
        double Loss() => Inner(dOutput, ReferenceOperations.EmbeddingForward(tokens, tokenTable, positionTable, b, t, c));
        double[] dTokenTable = new double[tokenTable.Length], dPositionTable = new double[positionTable.Length];
        ReferenceOperations.EmbeddingBackward(dTokenTable, dPositionTable, dOutput, tokens, b, t, c);
        Check(Loss, tokenTable, dTokenTable);
        Check(Loss, positionTable, dPositionTable);
    }

    [TestCase(1)]
    [TestCase(7)]
    public void LayerNorm(int c)
    {
        const int rows = 3;
        double[] input = Random(rows * c, 4), weight = Random(c, 5), bias = Random(c, 6), dOutput = Random(rows * c, 7);
        double Loss() => Inner(dOutput, ReferenceOperations.LayerNormForward(input, weight, bias, rows, c).Output);
        double[] dInput = new double[input.Length], dWeight = new double[c], dBias = new double[c];
        var (_, mean, rstd) = ReferenceOperations.LayerNormForward(input, weight, bias, rows, c);
        ReferenceOperations.LayerNormBackward(dInput, dWeight, dBias, dOutput, input, weight, mean, rstd, rows, c);
        Check(Loss, input, dInput);
        Check(Loss, weight, dWeight);
        Check(Loss, bias, dBias);
    }

    [Test]
    public void Gelu()
    {
        double[] x = [-6, -3, -1, -0.75, -0.1, 0, 0.1, 1, 3, 6], dOutput = Random(x.Length, 8);
        double[] dX = [.. x.Zip(dOutput, (at, gradient) => gradient * ReferenceOperations.GeluDerivative(at))];
        Check(() => Inner(dOutput, Array.ConvertAll(x, ReferenceOperations.Gelu)), x, dX);
    }

    [Test]
    public void Linear_with_bias()
    {
        const int rows = 3, n = 4, k = 5;
        double[] input = Random(rows * k, 9), weight = Random(n * k, 10), bias = Random(n, 11), dOutput = Random(rows * n, 12);
        double Loss() => Inner(dOutput, ReferenceOperations.LinearForward(input, weight, bias, rows, n, k));
        double[] dWeight = new double[n * k], dBias = new double[n];
        ReferenceOperations.LinearBackwardWeight(dWeight, dBias, dOutput, input, rows, n, k);
        Check(Loss, weight, dWeight);
        Check(Loss, bias, dBias);
        Check(Loss, input, ReferenceOperations.LinearBackwardInput(dOutput, weight, null, rows, n, k));
    }

    [Test]
    public void Linear_after_gelu()
    {
        const int rows = 3, n = 4, k = 5;
        double[] preActivation = Random(rows * k, 13), weight = Random(n * k, 14), dOutput = Random(rows * n, 15);
        double Loss() => Inner(dOutput, ReferenceOperations.LinearForward(Array.ConvertAll(preActivation, ReferenceOperations.Gelu), weight, null, rows, n, k));
        Check(Loss, preActivation, ReferenceOperations.LinearBackwardInput(dOutput, weight, preActivation, rows, n, k));
    }

    [TestCase(1, 1, 3)]
    [TestCase(2, 3, 4)]
    [TestCase(5, 2, 3)]
    public void Attention(int t, int heads, int headSize)
    {
        const int b = 2;
        int c = heads * headSize;
        double[] qkv = Random(b * t * 3 * c, 16), dOutput = Random(b * t * c, 17);
        double Loss() => Inner(dOutput, ReferenceOperations.AttentionForward(qkv, b, t, c, heads).Output);
        var probabilities = ReferenceOperations.AttentionForward(qkv, b, t, c, heads).Probabilities;
        Check(Loss, qkv, ReferenceOperations.AttentionBackward(dOutput, qkv, probabilities, b, t, c, heads));
    }

    [Test]
    public void SoftmaxCrossEntropy()
    {
        const int rows = 3, vocabulary = 5, padded = 8;
        double[] logits = Random(rows * padded, 18);
        int[] targets = [0, 4, 2];
        double Loss() => 0.25 * ReferenceOperations.SoftmaxCrossEntropy(logits, targets, rows, vocabulary, padded, 0.25).Losses.Sum();
        Check(Loss, logits, ReferenceOperations.SoftmaxCrossEntropy(logits, targets, rows, vocabulary, padded, 0.25).DLogits);
    }

    [Test]
    public void Attention_weights_and_log_sum_exp_are_a_softmax()
    {
        const int t = 4, c = 3;
        double[] qkv = Random(t * 3 * c, 19);
        var (_, logSumExp, p) = ReferenceOperations.AttentionForward(qkv, 1, t, c, 1);
        for (int i = 0; i < t; i++)
        {
            Assert.That(p.AsSpan(i * t, t).ToArray().Sum(), Is.EqualTo(1).Within(1e-14));
            double score = Enumerable.Range(0, c).Sum(d => qkv[(i * 3 * c) + d] * qkv[c + d]) / Math.Sqrt(c);
            Assert.That(p[i * t], Is.EqualTo(Math.Exp(score - logSumExp[i])).Within(1e-14));
            Assert.That(p.AsSpan((i * t) + i + 1, t - i - 1).ToArray(), Is.All.Zero);
        }
    }

    private static double[] Random(int count, ulong stream) => TestValues.Normal(count, 100 + stream).Doubles();

    private static double Inner(double[] a, double[] b) => a.Zip(b, (x, y) => x * y).Sum();

    private static void Check(Func<double> loss, double[] variables, double[] gradient)
    {
        Assert.That(gradient, Has.Length.EqualTo(variables.Length));
        for (int i = 0; i < variables.Length; i++)
        {
            double kept = variables[i];
            variables[i] = kept + Step;
            double above = loss();
            variables[i] = kept - Step;
            double below = loss();
            variables[i] = kept;
            Assert.That(gradient[i], Is.EqualTo((above - below) / (2 * Step)).Within(1e-7 * (1 + Math.Abs(gradient[i]))), $"element {i}");
        }
    }
}
