namespace Trainer.Tests.Compute;

/// <summary>
/// The operations at the sizes where implementations go wrong: below, at and above the width of vectors and tiles, one row, blocks
/// that are crossed by a little.
/// </summary>
/// <remarks>
/// Tolerances are rounding errors: u is the unit roundoff 2⁻²⁴, and a sum of n terms in any order errs by about √n · u · Σ|terms|
/// (Higham and Mary 2019), which the constant 4 makes certain enough.
/// </remarks>
internal static partial class OperationCases
{
    private const double U = TestValues.UnitRoundoff;

    /// <summary>All operations of <see cref="Trainer.Compute.IBackend"/>.</summary>
    public static IReadOnlyList<OperationCase> All { get; } =
        [.. Embedding(), .. LayerNorm(), .. Linear(), .. Attention(), .. Classifier(), .. SumsOfSquares()];

    /// <summary>All operations of <see cref="Trainer.Optimization.IWeightPasses"/>.</summary>
    public static IReadOnlyList<OperationCase> WeightPasses { get; } = [.. Updates()];

    /// <summary>One small case of each operation.</summary>
    public static IEnumerable<OperationCase> OneOfEach(IEnumerable<OperationCase> cases) =>
        cases.GroupBy(operation => operation.ToString().Split(' ')[0]).Select(group => group.ElementAt(Math.Min(1, group.Count() - 1)));

    private static IEnumerable<OperationCase> Embedding()
    {
        foreach (var (b, t, c, vocabulary, maxT) in new[]
        {
            (1, 1, 1, 5, 1), (1, 1, 3, 1, 4), (2, 7, 3, 11, 9), (3, 8, 20, 17, 8), (2, 49, 100, 13, 64), (1, 130, 48, 7, 130), (2, 47, 64, 300, 48),
            (1, 65, 200, 50, 65),
        })
        {
            string size = $"B={b} T={t} C={c} Vp={vocabulary} maxT={maxT}";
            int[] tokens = TestValues.Tokens(b * t, vocabulary, 1);
            float[] tokenTable = TestValues.Normal(vocabulary * c, 2), positionTable = TestValues.Normal(maxT * c, 3);
            yield return new OperationCase($"EmbeddingForward {size}",
            [
                new("output", new(b, t, c)), new("tokens", new(b, t), tokens), new("tokenTable", new(vocabulary, c), tokenTable),
                new("positionTable", new(maxT, c), positionTable),
            ],
            (backend, x, _) => backend.EmbeddingForward(x[0], x[1], x[2], x[3]),
            () =>
            {
                var output = ReferenceOperations.EmbeddingForward(tokens, tokenTable.Doubles(), positionTable.Doubles(), b, t, c);
                return [new("output", output, output.Scaled(U).Absolute())];
            });

            float[] dTokenTable = TestValues.Normal(vocabulary * c, 4), dPositionTable = TestValues.Normal(maxT * c, 5), dOutput = TestValues.Normal(b * t * c, 6);
            yield return new OperationCase($"EmbeddingBackward {size}",
            [
                new("dTokenTable", new(vocabulary, c), dTokenTable), new("dPositionTable", new(maxT, c), dPositionTable),
                new("dOutput", new(b, t, c), dOutput), new("tokens", new(b, t), tokens),
            ],
            (backend, x, _) => backend.EmbeddingBackward(x[0], x[1], x[2], x[3]),
            () =>
            {
                double[] token = dTokenTable.Doubles(), position = dPositionTable.Doubles();
                ReferenceOperations.EmbeddingBackward(token, position, dOutput.Doubles(), tokens, b, t, c);
                double[] tokenTerms = dTokenTable.Magnitudes(), positionTerms = dPositionTable.Magnitudes();
                ReferenceOperations.EmbeddingBackward(tokenTerms, positionTerms, dOutput.Magnitudes(), tokens, b, t, c);
                double factor = 4 * U * Math.Sqrt(b * t);
                return [new("dTokenTable", token, tokenTerms.Scaled(factor)), new("dPositionTable", position, positionTerms.Scaled(factor))];
            });
        }
    }

    private static IEnumerable<OperationCase> LayerNorm()
    {
        foreach (var (rows, c) in new[] { (1, 1), (1, 3), (7, 20), (8, 48), (65, 64), (130, 100), (9, 769), (200, 16) })
        {
            string size = $"R={rows} C={c}";
            float[] input = TestValues.Normal(rows * c, 11, deviation: 2, mean: 3), branch = TestValues.Normal(rows * c, 12);
            float[] weight = TestValues.Normal(c, 13, mean: 1), bias = TestValues.Normal(c, 14);
            yield return new OperationCase($"LayerNormForward {size}",
            [
                new("output", new(rows, c)), new("mean", new(rows)), new("rstd", new(rows)), new("input", new(rows, c), input),
                new("weight", new(c), weight), new("bias", new(c), bias),
            ],
            (backend, x, _) => backend.LayerNormForward(x[0], x[1], x[2], x[3], x[4], x[5]),
            () => LayerNormExpectations(input.Doubles(), weight, bias, rows, c));

            yield return new OperationCase($"ResidualLayerNormForward {size}",
            [
                new("sum", new(rows, c)), new("output", new(rows, c)), new("mean", new(rows)), new("rstd", new(rows)),
                new("residual", new(rows, c), input), new("branch", new(rows, c), branch), new("weight", new(c), weight), new("bias", new(c), bias),
            ],
            (backend, x, _) => backend.ResidualLayerNormForward(x[0], x[1], x[2], x[3], x[4], x[5], x[6], x[7]),
            () =>
            {
                double[] sum = [.. input.Zip(branch, (a, b) => (double)a + b)];
                return [new("sum", sum, sum.Scaled(U).Absolute()), .. LayerNormExpectations(sum, weight, bias, rows, c)];
            });

            var (_, mean, rstd) = ReferenceOperations.LayerNormForward(input.Doubles(), weight.Doubles(), bias.Doubles(), rows, c);
            float[] dInput = TestValues.Normal(rows * c, 15), dOutput = TestValues.Normal(rows * c, 16);
            float[] dWeight = TestValues.Normal(c, 17), dBias = TestValues.Normal(c, 18);
            yield return new OperationCase($"LayerNormBackward {size}",
            [
                new("dInput", new(rows, c), dInput), new("dWeight", new(c), dWeight), new("dBias", new(c), dBias), new("dOutput", new(rows, c), dOutput),
                new("input", new(rows, c), input), new("weight", new(c), weight), new("mean", new(rows), mean.Floats()), new("rstd", new(rows), rstd.Floats()),
            ],
            (backend, x, _) => backend.LayerNormBackward(x[0], x[1], x[2], x[3], x[4], x[5], x[6], x[7]),
            () => LayerNormBackwardExpectations(dInput, dWeight, dBias, dOutput, input, weight, mean.Floats(), rstd.Floats(), rows, c));
        }
    }

    /// <remarks>
    /// A mean of C terms errs by e = 4 √C u max|x|, and so does each deviation; relative to a deviation's typical size, 1 / rstd, that
    /// is e · rstd, which the variance passes on to rstd.
    /// </remarks>
    private static Expectation[] LayerNormExpectations(double[] input, float[] weight, float[] bias, int rows, int c)
    {
        var (output, mean, rstd) = ReferenceOperations.LayerNormForward(input, weight.Doubles(), bias.Doubles(), rows, c);
        double[] outputTolerance = new double[rows * c], meanTolerance = new double[rows], rstdTolerance = new double[rows];
        for (int row = 0; row < rows; row++)
        {
            double max = input.AsSpan(row * c, c).ToArray().Max(Math.Abs), sumError = 4 * Math.Sqrt(c) * U;
            meanTolerance[row] = sumError * max;
            double relative = (sumError * max * rstd[row]) + sumError;
            rstdTolerance[row] = rstd[row] * relative;
            for (int i = row * c; i < (row + 1) * c; i++)
            {
                double normalized = Math.Abs(input[i] - mean[row]) * rstd[row];
                outputTolerance[i] = (Math.Abs(weight[i % c]) * ((sumError * max * rstd[row]) + (normalized * (relative + (4 * U)))))
                    + (2 * U * (Math.Abs(bias[i % c]) + Math.Abs(output[i])));
            }
        }

        return [new("output", output, outputTolerance), new("mean", mean, meanTolerance), new("rstd", rstd, rstdTolerance)];
    }

    private static Expectation[] LayerNormBackwardExpectations(
        float[] dInput, float[] dWeight, float[] dBias, float[] dOutput, float[] input, float[] weight, float[] mean, float[] rstd, int rows, int c)
    {
        double[] dX = dInput.Doubles(), dW = dWeight.Doubles(), dB = dBias.Doubles();
        ReferenceOperations.LayerNormBackward(dX, dW, dB, dOutput.Doubles(), input.Doubles(), weight.Doubles(), mean.Doubles(), rstd.Doubles(), rows, c);
        double[] dXTolerance = new double[rows * c], dWTolerance = dWeight.Magnitudes(), dBTolerance = dBias.Magnitudes();
        var normalizedErrors = new double[c];
        for (int row = 0; row < rows; row++)
        {
            // n = (x - mean) rstd errs by the rounding of the difference and of the product.
            double Normalized(int i) => Math.Abs(((double)input[(row * c) + i] - mean[row]) * rstd[row]);
            double D(int i) => Math.Abs((double)dOutput[(row * c) + i] * weight[i]);
            double NormalizedError(int i) => 4 * U * Normalized(i);
            double meanD = Enumerable.Range(0, c).Average(D), meanProduct = Enumerable.Range(0, c).Average(i => D(i) * Normalized(i));
            for (int i = 0; i < c; i++)
            {
                double terms = D(i) + meanD + (Normalized(i) * meanProduct);
                dXTolerance[(row * c) + i] = (rstd[row] * 4 * U * Math.Sqrt(c) * terms) + (2 * U * (Math.Abs(dX[(row * c) + i]) + Math.Abs(dInput[(row * c) + i])));
                dWTolerance[i] += Math.Abs(dOutput[(row * c) + i]) * Normalized(i);
                dBTolerance[i] += Math.Abs(dOutput[(row * c) + i]);
                normalizedErrors[i] += Math.Abs(dOutput[(row * c) + i]) * NormalizedError(i);
            }
        }

        double factor = 4 * U * Math.Sqrt(rows);
        return
        [
            new("dInput", dX, dXTolerance), new("dWeight", dW, [.. dWTolerance.Zip(normalizedErrors, (terms, error) => (factor * terms) + error)]),
            new("dBias", dB, dBTolerance.Scaled(factor)),
        ];
    }

    private static double[] Absolute(this double[] values) => Array.ConvertAll(values, Math.Abs);
}
