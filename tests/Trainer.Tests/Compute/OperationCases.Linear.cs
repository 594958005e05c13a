namespace Trainer.Tests.Compute;

internal static partial class OperationCases
{
    private static (int Rows, int N, int K)[] SmallProducts =>
    [
        (1, 1, 1), (2, 3, 2), (1, 3, 20), (2, 48, 3), (7, 100, 64), (8, 47, 48), (49, 65, 130), (13, 1, 31), (65, 20, 1),

        // For a GPU: the least there is, and beside its tiles of 128 to 256 by 128 and their depths of 32 and 64.
        (1, 8, 8), (31, 8, 136), (129, 136, 72), (65, 200, 184),
    ];

    /// <summary>Around the blocks of 192, 384 and 3072 that a product may be divided into, in each of its three directions.</summary>
    private static (int Rows, int N, int K)[] LargeProducts =>
        [(13, 3, 385), (5, 100, 800), (193, 40, 100), (6, 3100, 20), (3, 20, 3100), (385, 33, 17), (193, 100, 800), (100, 193, 385), (5, 3100, 385), (260, 264, 136)];

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
            float[] values = TestValues.Normal(rows * n, 31, deviation: 3), special = [0, -0f, 20, -20, 1e4f, -1e4f, 1e30f, -1e30f];
            special.AsSpan(0, Math.Min(special.Length, values.Length / 2)).CopyTo(values);
            yield return new OperationCase($"GeluForward R={rows} N={n}", [n], a => new(
                [a.Working("output", new(rows, n)), a.Working("preActivation", new(rows, n), values)],
                (backend, x, _) => backend.GeluForward(x[0], x[1]),
                () =>
                {
                    double[] preActivation = a.Given(values).Doubles(), output = Array.ConvertAll(preActivation, ReferenceOperations.Gelu);
                    return [new("output", output, a.Stored(output, Array.ConvertAll(preActivation, x => GeluTolerance(a, x))))];
                }));
        }
    }

    private static double GeluTolerance(Arithmetic a, double x) => a.IsGpu ? GeluTolerances.OfGpu(x) : GeluTolerances.OfCpu(x);

    private static double GeluDerivativeTolerance(Arithmetic a, double x) => a.IsGpu ? GeluTolerances.OfDerivativeOnGpu(x) : GeluTolerances.OfDerivativeOnCpu(x);

    /// <summary>A forward product at one size.</summary>
    public static OperationCase LinearForward(int rows, int n, int k, bool withBias, bool withGelu)
    {
        float[] someInput = TestValues.Normal(rows * k, 21), someWeight = TestValues.Normal(n * k, 22, 1 / Math.Sqrt(k)), someBias = TestValues.Normal(n, 23);
        string name = $"LinearForward R={rows} N={n} K={k} {(withBias ? "bias" : "plain")}{(withGelu ? " GELU" : "")}";
        return new OperationCase(name, [n, k], a =>
        {
            Operand[] operands =
            [
                a.Working("output", new(rows, n)), a.Working("input", new(rows, k), someInput), a.Working("weight", new(n, k), someWeight),
                a.Working("bias", new(n), someBias, optional: true), a.Working("preActivation", new(rows, n), optional: true),
            ];
            return new([.. operands[..3], .. withBias ? operands[3..4] : [], .. withGelu ? operands[4..] : []],
                (backend, x, _) => backend.LinearForward(x[0], x[1], x[2], withBias ? x[3] : default, withGelu ? x[^1] : default),
                () => LinearForwardExpectations(a, a.Given(someInput), a.Given(someWeight), withBias ? a.Given(someBias) : null, withGelu, rows, n, k));
        });
    }

    /// <remarks>GELU is of the sum, or of the sum as it is stored: then that rounding goes through its slope.</remarks>
    private static Expectation[] LinearForwardExpectations(Arithmetic a, float[] input, float[] weight, float[]? bias, bool withGelu, int rows, int n, int k)
    {
        double[] sums = ReferenceOperations.LinearForward(input.Doubles(), weight.Doubles(), bias?.Doubles(), rows, n, k);
        double[] errors = a.ProductErrors(k,
            () =>
            {
                double[] inputNorms = input.RowNorms(k), weightNorms = weight.RowNorms(k);
                return [.. Enumerable.Range(0, rows * n).Select(i => inputNorms[i / n] * weightNorms[i % n])];
            },
            () => ReferenceOperations.LinearForward(input.Magnitudes(), weight.Magnitudes(), null, rows, n, k));
        for (int i = 0; i < errors.Length; i++)
            errors[i] += 2 * U * (Math.Abs(sums[i]) + Math.Abs(bias?[i % n] ?? 0));
        double[] stored = a.Stored(sums, errors);
        if (!withGelu)
            return [new("output", sums, stored)];
        double[] outputs = Array.ConvertAll(sums, ReferenceOperations.Gelu);
        double[] outputErrors = [.. sums.Zip(stored, (sum, error) => (GeluTolerances.LargestSlope * error) + GeluTolerance(a, sum))];
        return [new("output", outputs, a.Stored(outputs, outputErrors)), new("preActivation", sums, stored)];
    }

    /// <summary>The gradient of an input at one size.</summary>
    public static OperationCase LinearBackwardInput(int rows, int n, int k, bool withGelu)
    {
        float[] someGradient = TestValues.Normal(rows * n, 24), someWeight = TestValues.Normal(n * k, 25, 1 / Math.Sqrt(n));
        float[] somePreActivation = TestValues.Normal(rows * k, 26, 2);
        return new OperationCase($"LinearBackwardInput R={rows} N={n} K={k} {(withGelu ? "GELU" : "plain")}", [n, k], a =>
        {
            Operand[] operands =
            [
                a.Working("dInput", new(rows, k)), a.Working("dOutput", new(rows, n), someGradient), a.Working("weight", new(n, k), someWeight),
                a.Working("preActivation", new(rows, k), somePreActivation, optional: true),
            ];
            return new(withGelu ? operands : operands[..3],
                (backend, x, _) => backend.LinearBackwardInput(x[0], x[1], x[2], withGelu ? x[3] : default),
                () => LinearBackwardInputExpectations(a, a.Given(someGradient), a.Given(someWeight), withGelu ? a.Given(somePreActivation) : null, rows, n, k));
        });
    }

    /// <remarks>The derivative multiplies the sum, or the sum as it is stored: then the result is rounded twice.</remarks>
    private static Expectation[] LinearBackwardInputExpectations(Arithmetic a, float[] dOutput, float[] weight, float[]? preActivation, int rows, int n, int k)
    {
        double[] dInput = ReferenceOperations.LinearBackwardInput(dOutput.Doubles(), weight.Doubles(), preActivation?.Doubles(), rows, n, k);
        double[] gradientNorms = dOutput.RowNorms(n), weightNorms = weight.ColumnNorms(k);
        double[] sums = [.. Enumerable.Range(0, rows * k).Select(i => gradientNorms[i / k] * weightNorms[i % k])];
        double[] errors = a.ProductErrors(n, () => sums,
            () => ReferenceOperations.LinearBackwardInput(dOutput.Magnitudes(), weight.Magnitudes(), null, rows, n, k));
        for (int i = 0; preActivation is not null && i < errors.Length; i++)
            errors[i] = (GeluTolerances.LargestSlope * errors[i]) + ((GeluDerivativeTolerance(a, preActivation[i]) + (a.IsGpu ? 2 * U : 0)) * sums[i]);
        return [new("dInput", dInput, a.Stored(dInput, errors, roundings: preActivation is null ? 1 : 2))];
    }

    /// <summary>The gradient of a weight, and of a bias, at one size.</summary>
    public static OperationCase LinearBackwardWeight(int rows, int n, int k, bool withBias, bool accumulate = true)
    {
        float[] dWeight = TestValues.Normal(n * k, 27), dBias = TestValues.Normal(n, 28);
        float[] someGradient = TestValues.Normal(rows * n, 29), someInput = TestValues.Normal(rows * k, 30);
        if (!accumulate)
            (dWeight, dBias) = (new float[n * k], new float[n]);
        string name = $"LinearBackwardWeight R={rows} N={n} K={k} {(withBias ? "bias" : "plain")}{(accumulate ? "" : " overwriting")}";
        return new OperationCase(name, [n, k], a =>
        {
            Operand[] operands =
            [
                Operand.Float("dWeight", new(n, k), accumulate ? dWeight : null), Operand.Float("dBias", new(n), accumulate ? dBias : null, optional: true),
                a.Working("dOutput", new(rows, n), someGradient), a.Working("input", new(rows, k), someInput),
            ];
            return new(withBias ? operands : [operands[0], .. operands[2..]],
                (backend, x, _) => backend.LinearBackwardWeight(x[0], withBias ? x[1] : default, x[^2], x[^1], accumulate),
                () => LinearBackwardWeightExpectations(a, dWeight, withBias ? dBias : null, a.Given(someGradient), a.Given(someInput), rows, n, k));
        });
    }

    private static Expectation[] LinearBackwardWeightExpectations(
        Arithmetic a, float[] dWeight, float[]? dBias, float[] dOutput, float[] input, int rows, int n, int k)
    {
        double[] expected = dWeight.Doubles();
        double[]? expectedBias = dBias?.Doubles();
        ReferenceOperations.LinearBackwardWeight(expected, expectedBias, dOutput.Doubles(), input.Doubles(), rows, n, k);
        double[] errors = a.ProductErrors(rows,
            () =>
            {
                double[] gradientNorms = dOutput.ColumnNorms(n), inputNorms = input.ColumnNorms(k);
                return [.. Enumerable.Range(0, n * k).Select(i => gradientNorms[i / k] * inputNorms[i % k])];
            },
            () =>
            {
                var terms = new double[n * k];
                ReferenceOperations.LinearBackwardWeight(terms, null, dOutput.Magnitudes(), input.Magnitudes(), rows, n, k);
                return terms;
            });
        for (int i = 0; i < errors.Length; i++)
            errors[i] += 2 * U * (Math.Abs(dWeight[i]) + Math.Abs(expected[i]));
        Expectation weights = new("dWeight", expected, errors);
        if (dBias is null)
            return [weights];

        double[] biasTerms = dBias.Magnitudes();
        for (int i = 0; i < dOutput.Length; i++)
            biasTerms[i % n] += Math.Abs(dOutput[i]);
        return [weights, new("dBias", expectedBias!, biasTerms.Scaled(BiasError(a, rows)))];
    }

    /// <remarks>A GPU may sum the columns in whichever way its product goes: at worst one by one.</remarks>
    private static double BiasError(Arithmetic a, int rows) => a.IsGpu ? 2 * U * (rows + 1) : 4 * U * Math.Sqrt(rows);
}
