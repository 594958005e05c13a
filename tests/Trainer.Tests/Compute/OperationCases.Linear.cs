namespace Trainer.Tests.Compute;

internal static partial class OperationCases
{
    /// <summary>The slope of the tanh GELU is nowhere larger: what it makes of an error.</summary>
    private const double LargestGeluSlope = 1.13;

    private const double SmallestSigmoid = 4.3e-39;

    private static (int Rows, int N, int K)[] SmallProducts =>
        [(1, 1, 1), (2, 3, 2), (1, 3, 20), (2, 48, 3), (7, 100, 64), (8, 47, 48), (49, 65, 130), (13, 1, 31), (65, 20, 1)];

    /// <summary>Around the blocks of 192, 384 and 3072 that a product may be divided into, in each of its three directions.</summary>
    private static (int Rows, int N, int K)[] LargeProducts =>
        [(13, 3, 385), (5, 100, 800), (193, 40, 100), (6, 3100, 20), (3, 20, 3100), (385, 33, 17), (193, 100, 800), (100, 193, 385), (5, 3100, 385)];

    /// <summary>
    /// The error of x σ(2u), the tanh GELU: a few roundings; those of 2u, which the exponential makes relative; the smallest σ that is
    /// told from 0; and what the reference's own 1 + tanh u loses.
    /// </summary>
    public static double GeluTolerance(double x) =>
        (U * (8 + (4 * Math.Abs(TwiceU(x)) * Sigmoid(-TwiceU(x)))) * Math.Abs(x) * Sigmoid(TwiceU(x))) + (Math.Abs(x) * SmallestSigmoid) + 1e-15;

    /// <summary>The same for its derivative, σ + x σ (1 - σ) 2u'.</summary>
    public static double GeluDerivativeTolerance(double x)
    {
        double sigmoid = Sigmoid(TwiceU(x)), complement = Sigmoid(-TwiceU(x)), twiceSlope = 2 * Math.Sqrt(2 / Math.PI) * (1 + (3 * 0.044715 * x * x));
        return (U * sigmoid * (8 + (4 * Math.Abs(TwiceU(x)) * complement)))
            + (U * (8 + (4 * Math.Abs(TwiceU(x)))) * Math.Abs(x) * sigmoid * complement * twiceSlope) + 1e-15;
    }

    private static double Sigmoid(double x) => 1 / (1 + Math.Exp(-x));

    private static double TwiceU(double x) => 2 * Math.Sqrt(2 / Math.PI) * (x + (0.044715 * x * x * x));

    private static IEnumerable<OperationCase> Linear()
    {
        foreach (var (rows, n, k) in SmallProducts)
        {
            foreach (bool withBias in new[] { true, false })
            {
                yield return LinearForward(rows, n, k, withBias, withGelu: false);
                yield return LinearForward(rows, n, k, withBias, withGelu: true);
                yield return LinearBackwardInput(rows, n, k, withGelu: withBias);
                yield return LinearBackwardWeight(rows, n, k, withBias);
                yield return LinearBackwardWeight(rows, n, k, withBias, accumulate: false);
            }
        }

        foreach (var (rows, n, k) in LargeProducts)
        {
            yield return LinearForward(rows, n, k, withBias: true, withGelu: true);
            yield return LinearForward(rows, n, k, withBias: true, withGelu: false);
            yield return LinearBackwardInput(rows, n, k, withGelu: true);
            yield return LinearBackwardWeight(rows, n, k, withBias: true);
        }

        yield return LinearForward(193, 3100, 385, withBias: false, withGelu: false);
        yield return LinearBackwardInput(193, 385, 3100, withGelu: false);
        yield return LinearBackwardWeight(385, 193, 3100, withBias: true);
    }

    private static IEnumerable<OperationCase> Gelu()
    {
        foreach (var (rows, n) in new[] { (1, 1), (3, 7), (5, 64), (1, 33_000), (127, 513) })
        {
            // Both ends of the range are among them, where the exponential is 0 or infinite.
            float[] preActivation = TestValues.Normal(rows * n, 31, deviation: 3), special = [0, -0f, 20, -20, 1e4f, -1e4f, 1e30f, -1e30f];
            special.AsSpan(0, Math.Min(special.Length, preActivation.Length / 2)).CopyTo(preActivation);
            yield return new OperationCase($"GeluForward R={rows} N={n}", [new("output", new(rows, n)), new("preActivation", new(rows, n), preActivation)],
                (backend, x, _) => backend.GeluForward(x[0], x[1]),
                () => [new("output", Array.ConvertAll(preActivation.Doubles(), ReferenceOperations.Gelu), Array.ConvertAll(preActivation.Doubles(), GeluTolerance))]);
        }
    }

    private static OperationCase LinearForward(int rows, int n, int k, bool withBias, bool withGelu)
    {
        float[] input = TestValues.Normal(rows * k, 21), weight = TestValues.Normal(n * k, 22, 1 / Math.Sqrt(k)), bias = TestValues.Normal(n, 23);
        Operand[] operands =
        [
            new("output", new(rows, n)), new("input", new(rows, k), input), new("weight", new(n, k), weight), new("bias", new(n), bias, Optional: true),
            new("preActivation", new(rows, n), Optional: true),
        ];
        return new OperationCase(
            $"LinearForward R={rows} N={n} K={k} {(withBias ? "bias" : "plain")}{(withGelu ? " GELU" : "")}",
            [.. operands[..3], .. withBias ? operands[3..4] : [], .. withGelu ? operands[4..] : []],
            (backend, x, _) => backend.LinearForward(x[0], x[1], x[2], withBias ? x[3] : default, withGelu ? x[^1] : default),
            () =>
            {
                var sums = ReferenceOperations.LinearForward(input.Doubles(), weight.Doubles(), withBias ? bias.Doubles() : null, rows, n, k);
                double[] inputNorms = input.RowNorms(k), weightNorms = weight.RowNorms(k), tolerances = new double[rows * n];
                for (int i = 0; i < tolerances.Length; i++)
                    tolerances[i] = (4 * U * Math.Sqrt(k) * inputNorms[i / n] * weightNorms[i % n]) + (2 * U * (Math.Abs(sums[i]) + Math.Abs(bias[i % n])));
                if (!withGelu)
                    return [new("output", sums, tolerances)];
                return
                [
                    new("output", Array.ConvertAll(sums, ReferenceOperations.Gelu),
                        [.. sums.Zip(tolerances, (sum, tolerance) => (LargestGeluSlope * tolerance) + GeluTolerance(sum))]),
                    new("preActivation", sums, tolerances),
                ];
            });
    }

    private static OperationCase LinearBackwardInput(int rows, int n, int k, bool withGelu)
    {
        float[] dOutput = TestValues.Normal(rows * n, 24), weight = TestValues.Normal(n * k, 25, 1 / Math.Sqrt(n)), preActivation = TestValues.Normal(rows * k, 26, 2);
        Operand[] operands =
        [
            new("dInput", new(rows, k)), new("dOutput", new(rows, n), dOutput), new("weight", new(n, k), weight),
            new("preActivation", new(rows, k), preActivation, Optional: true),
        ];
        return new OperationCase(
            $"LinearBackwardInput R={rows} N={n} K={k} {(withGelu ? "GELU" : "plain")}",
            withGelu ? operands : operands[..3],
            (backend, x, _) => backend.LinearBackwardInput(x[0], x[1], x[2], withGelu ? x[3] : default),
            () =>
            {
                var dInput = ReferenceOperations.LinearBackwardInput(dOutput.Doubles(), weight.Doubles(), withGelu ? preActivation.Doubles() : null, rows, n, k);
                double[] gradientNorms = dOutput.RowNorms(n), weightNorms = weight.ColumnNorms(k), tolerances = new double[rows * k];
                for (int i = 0; i < tolerances.Length; i++)
                {
                    double sum = gradientNorms[i / k] * weightNorms[i % k], x = preActivation[i];
                    tolerances[i] = ((withGelu ? LargestGeluSlope : 1) * 4 * U * Math.Sqrt(n) * sum) + (withGelu ? GeluDerivativeTolerance(x) * sum : 0);
                }

                return [new("dInput", dInput, tolerances)];
            });
    }

    private static OperationCase LinearBackwardWeight(int rows, int n, int k, bool withBias, bool accumulate = true)
    {
        float[] dWeight = TestValues.Normal(n * k, 27), dBias = TestValues.Normal(n, 28), dOutput = TestValues.Normal(rows * n, 29), input = TestValues.Normal(rows * k, 30);
        if (!accumulate)
            (dWeight, dBias) = (new float[n * k], new float[n]);
        Operand[] operands = [new("dWeight", new(n, k), accumulate ? dWeight : null), new("dBias", new(n), accumulate ? dBias : null, Optional: true), new("dOutput", new(rows, n), dOutput), new("input", new(rows, k), input)];
        return new OperationCase(
            $"LinearBackwardWeight R={rows} N={n} K={k} {(withBias ? "bias" : "plain")}{(accumulate ? "" : " overwriting")}",
            withBias ? operands : [operands[0], .. operands[2..]],
            (backend, x, _) => backend.LinearBackwardWeight(x[0], withBias ? x[1] : default, x[^2], x[^1], accumulate),
            () =>
            {
                double[] expected = dWeight.Doubles(), expectedBias = dBias.Doubles(), biasTerms = dBias.Magnitudes();
                ReferenceOperations.LinearBackwardWeight(expected, withBias ? expectedBias : null, dOutput.Doubles(), input.Doubles(), rows, n, k);
                for (int i = 0; i < dOutput.Length; i++)
                    biasTerms[i % n] += Math.Abs(dOutput[i]);
                double[] gradientNorms = dOutput.ColumnNorms(n), inputNorms = input.ColumnNorms(k), tolerances = new double[n * k];
                double factor = 4 * U * Math.Sqrt(rows);
                for (int i = 0; i < tolerances.Length; i++)
                    tolerances[i] = (factor * gradientNorms[i / k] * inputNorms[i % k]) + (2 * U * (Math.Abs(dWeight[i]) + Math.Abs(expected[i])));
                Expectation weights = new("dWeight", expected, tolerances);
                return withBias ? [weights, new("dBias", expectedBias, biasTerms.Scaled(factor))] : [weights];
            });
    }
}
