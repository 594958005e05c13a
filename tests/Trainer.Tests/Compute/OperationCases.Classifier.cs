using Trainer.Compute;

namespace Trainer.Tests.Compute;

internal static partial class OperationCases
{
    /// <summary>The relative error of the exponential besides that of its argument, in units of u; on a GPU two units in the last place.</summary>
    private const double Exponential = 4;

    private static IEnumerable<OperationCase> Classifier()
    {
        foreach (var (rows, vocabulary, padded, scale, deviation) in new[]
        {
            (1, 1, 1, 0.5f, 1.0), (1, 5, 8, 0.25f, 1), (7, 37, 48, 0.125f, 3), (8, 64, 64, 1f, 1), (130, 1000, 1008, 1f / 130, 1), (3, 2500, 2560, 0.3f, 5),
            (2, 3, 100, 1f, 1), (5, 1025, 1026, 0.2f, 1e4), (7, 37, 48, 0f, 3), (3, 2500, 2560, 0f, 1), (5, 50, 64, 0f, 1e4), (4, 1000, 1008, 0.5f, 1e4),
            (2, 4097, 4104, 1f, 1),
        })
        {
            float[] someLogits = TestValues.Normal(rows * padded, 51, deviation);
            int[] targets = TestValues.Tokens(rows, vocabulary, 52);
            yield return new OperationCase($"SoftmaxCrossEntropy R={rows} V={vocabulary} Vp={padded} scale={scale} deviation={deviation}", [padded], a => new(
                [a.Working("logits", new(rows, padded), someLogits), Operand.Float("losses", new(rows)), Operand.Tokens("targets", new(rows), targets)],
                (backend, x, _) => backend.SoftmaxCrossEntropy(x[0], x[1], x[2], vocabulary, scale),
                () => ClassifierExpectations(a, a.Given(someLogits), targets, rows, vocabulary, padded, scale)));
        }

        foreach (int count in new[] { 1, 7, 1000, 100_003 })
        {
            foreach (var (accumulate, before) in new[] { (false, double.NaN), (true, 3.25) })
            {
                const double scale = 1.0 / 3;
                float[] values = TestValues.Normal(count, 53, mean: 2);
                yield return new OperationCase($"AddMean {count}{(accumulate ? "" : " overwriting")}", [], _ => new(
                    [new("total", new(1), ElementType.Float64, new[] { before }), Operand.Float("values", new(count), values)],
                    (backend, x, _) => backend.AddMean(x[0], x[1], scale, accumulate),
                    () =>
                    {
                        double mean = scale * values.Doubles().Sum() / count, terms = scale * values.Magnitudes().Sum() / count;
                        return [new("total", [accumulate ? before + mean : mean], [1e-13 * (terms + (accumulate ? before : 0))])];
                    }));
            }
        }
    }

    /// <remarks>
    /// The argument x - max is rounded once, and errs the more the further x lies below; so does its exponential. On a GPU it is multiplied by log₂ e as well.
    /// The sum's relative error is an absolute one of its logarithm. Terms e⁻ˣ err by x u: together by at most ln V. A GPU's logarithm is one of base 2.
    /// </remarks>
    private static Expectation[] ClassifierExpectations(Arithmetic a, float[] logits, int[] targets, int rows, int vocabulary, int padded, float scale)
    {
        var (losses, dLogits) = ReferenceOperations.SoftmaxCrossEntropy(logits.Doubles(), targets, rows, vocabulary, padded, scale);
        double sumError = 4 * Math.Sqrt(vocabulary) * U, underflow = a.IsGpu ? scale * 4 * Bf16.Tiny : 1e-37;
        var gradientErrors = new double[dLogits.Length];
        double[] maxima = [.. logits.Chunk(padded).Select(row => row.Take(vocabulary).Max())];
        for (int i = 0; scale != 0 && i < dLogits.Length; i++)
        {
            double below = maxima[i / padded] - logits[i], probability = (dLogits[i] / scale) + (i % padded == targets[i / padded] ? 1 : 0);
            double relative = sumError + (U * ((a.IsGpu ? 3 * Math.Min(below, 1e3) : below) + Exponential + (a.IsGpu ? 3 : 2)));
            gradientErrors[i] = i % padded < vocabulary ? (scale * probability * Math.Min(relative, 1)) + (2 * U * Math.Abs(dLogits[i])) + underflow : 0;
        }

        double logarithm = Math.Log(vocabulary);
        double[] lossErrors = losses.Scaled((a.IsGpu ? 3 : 2) * U);
        for (int i = 0; i < rows; i++)
            lossErrors[i] += sumError + (U * (Exponential + 2 + (a.IsGpu ? 4 : 1) * logarithm));
        Expectation loss = new("losses", losses, lossErrors);
        if (scale == 0)
            return [loss];
        double[] stored = a.Stored(dLogits, gradientErrors);
        for (int i = 0; i < stored.Length; i++)
        {
            if (i % padded >= vocabulary)
                stored[i] = 0;
        }

        return [loss, new("logits", dLogits, stored)];
    }
}
