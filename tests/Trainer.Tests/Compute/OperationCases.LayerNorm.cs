namespace Trainer.Tests.Compute;

internal static partial class OperationCases
{
    private static IEnumerable<OperationCase> LayerNorm()
    {
        foreach (var (rows, c) in new[]
        {
            (1, 1), (1, 3), (7, 20), (8, 48), (65, 64), (130, 100), (9, 769), (200, 16), (1, 8), (9, 264), (5, 768), (1, 4096),
        })
        {
            string size = $"R={rows} C={c}";
            float[] someInput = TestValues.Normal(rows * c, 11, deviation: 2, mean: 3), someBranch = TestValues.Normal(rows * c, 12);
            float[] someWeight = TestValues.Normal(c, 13, mean: 1), someBias = TestValues.Normal(c, 14);
            yield return new OperationCase($"LayerNormForward {size}", [c], a => new(
            [
                a.Working("output", new(rows, c)), Operand.Float("mean", new(rows)), Operand.Float("rstd", new(rows)), a.Working("input", new(rows, c), someInput),
                a.Working("weight", new(c), someWeight), a.Working("bias", new(c), someBias),
            ],
            (backend, x, _) => backend.LayerNormForward(x[0], x[1], x[2], x[3], x[4], x[5]),
            () => LayerNormExpectations(a, a.Given(someInput).Doubles(), a.Given(someWeight), a.Given(someBias), rows, c)));

            yield return new OperationCase($"ResidualLayerNormForward {size}", [c], a => new(
            [
                a.Working("sum", new(rows, c)), a.Working("output", new(rows, c)), Operand.Float("mean", new(rows)), Operand.Float("rstd", new(rows)),
                a.Working("residual", new(rows, c), someInput), a.Working("branch", new(rows, c), someBranch), a.Working("weight", new(c), someWeight),
                a.Working("bias", new(c), someBias),
            ],
            (backend, x, _) => backend.ResidualLayerNormForward(x[0], x[1], x[2], x[3], x[4], x[5], x[6], x[7]),
            () => ResidualLayerNormExpectations(a, a.Given(someInput), a.Given(someBranch), a.Given(someWeight), a.Given(someBias), rows, c)));

            float[] someDInput = TestValues.Normal(rows * c, 15), someGradient = TestValues.Normal(rows * c, 16);
            float[] dWeight = TestValues.Normal(c, 17), dBias = TestValues.Normal(c, 18);
            yield return new OperationCase($"LayerNormBackward {size}", [c], a =>
            {
                float[] input = a.Given(someInput), weight = a.Given(someWeight);
                var (_, means, rstds) = ReferenceOperations.LayerNormForward(input.Doubles(), weight.Doubles(), someBias.Doubles(), rows, c);
                float[] mean = means.Floats(), rstd = rstds.Floats();
                return new(
                [
                    a.Working("dInput", new(rows, c), someDInput), Operand.Float("dWeight", new(c), dWeight), Operand.Float("dBias", new(c), dBias),
                    a.Working("dOutput", new(rows, c), someGradient), a.Working("input", new(rows, c), someInput), a.Working("weight", new(c), someWeight),
                    Operand.Float("mean", new(rows), mean), Operand.Float("rstd", new(rows), rstd),
                ],
                (backend, x, _) => backend.LayerNormBackward(x[0], x[1], x[2], x[3], x[4], x[5], x[6], x[7]),
                () => LayerNormBackwardExpectations(a, a.Given(someDInput), dWeight, dBias, a.Given(someGradient), input, weight, mean, rstd, rows, c));
            });
        }
    }

    /// <remarks>A sum in bf16 is one of fp32 that is rounded; what is normalised is what is stored. Both roundings are known, so that it has to be exact.</remarks>
    private static Expectation[] ResidualLayerNormExpectations(Arithmetic a, float[] residual, float[] branch, float[] weight, float[] bias, int rows, int c)
    {
        double[] sum = [.. residual.Zip(branch, (x, y) => (double)x + y)];
        if (a.IsHalf)
            sum = sum.Floats().Rounded().Doubles();
        return [new("sum", sum, a.IsHalf ? new double[sum.Length] : sum.Scaled(U).Absolute()), .. LayerNormExpectations(a, sum, weight, bias, rows, c)];
    }

    /// <remarks>
    /// A mean of C terms errs by e = 4 √C u max|x|, and so does each deviation; relative to a deviation's typical size, 1 / rstd, that
    /// is e · rstd, which the variance passes on to rstd. A GPU's root and quotient err by 4 u more.
    /// </remarks>
    private static Expectation[] LayerNormExpectations(Arithmetic a, double[] input, float[] weight, float[] bias, int rows, int c)
    {
        var (output, mean, rstd) = ReferenceOperations.LayerNormForward(input, weight.Doubles(), bias.Doubles(), rows, c);
        double[] outputTolerance = new double[rows * c], meanTolerance = new double[rows], rstdTolerance = new double[rows];
        for (int row = 0; row < rows; row++)
        {
            double max = input.AsSpan(row * c, c).ToArray().Max(Math.Abs), sumError = 4 * Math.Sqrt(c) * U;
            meanTolerance[row] = sumError * max;
            double relative = (sumError * max * rstd[row]) + sumError + (a.IsGpu ? 4 * U : 0);
            rstdTolerance[row] = rstd[row] * relative;
            for (int i = row * c; i < (row + 1) * c; i++)
            {
                double normalized = Math.Abs(input[i] - mean[row]) * rstd[row];
                outputTolerance[i] = (Math.Abs(weight[i % c]) * ((sumError * max * rstd[row]) + (normalized * (relative + (4 * U)))))
                    + (2 * U * (Math.Abs(bias[i % c]) + Math.Abs(output[i])));
            }
        }

        return [new("output", output, a.Stored(output, outputTolerance)), new("mean", mean, meanTolerance), new("rstd", rstd, rstdTolerance)];
    }

    private static Expectation[] LayerNormBackwardExpectations(Arithmetic a,
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
            new("dInput", dX, a.Stored(dX, dXTolerance)), new("dWeight", dW, [.. dWTolerance.Zip(normalizedErrors, (terms, error) => (factor * terms) + error)]),
            new("dBias", dB, dBTolerance.Scaled(factor)),
        ];
    }
}
