using Trainer.Optimization;

namespace Trainer.Tests.Compute;

internal static partial class OperationCases
{
    /// <summary>The relative error of the exponential besides that of its argument, in units of u.</summary>
    private const double Exponential = 4;

    private const int SegmentedCount = 140_011;

    /// <summary>Of all lengths, with gaps between them.</summary>
    private static Segment[] Segments => [new(0, 1), new(1, 17), new(20, 0), new(21, 32768), new(32800, 100_001), new(140_000, 3)];

    private static IEnumerable<OperationCase> Classifier()
    {
        foreach (var (rows, vocabulary, padded, scale, deviation) in new[]
        {
            (1, 1, 1, 0.5f, 1.0), (1, 5, 8, 0.25f, 1), (7, 37, 48, 0.125f, 3), (8, 64, 64, 1f, 1), (130, 1000, 1008, 1f / 130, 1), (3, 2500, 2560, 0.3f, 5),
            (2, 3, 100, 1f, 1), (5, 1025, 1026, 0.2f, 1e4), (7, 37, 48, 0f, 3), (3, 2500, 2560, 0f, 1), (5, 50, 64, 0f, 1e4),
        })
        {
            float[] logits = TestValues.Normal(rows * padded, 51, deviation);
            int[] targets = TestValues.Tokens(rows, vocabulary, 52);
            yield return new OperationCase($"SoftmaxCrossEntropy R={rows} V={vocabulary} Vp={padded} scale={scale} deviation={deviation}",
                [new("logits", new(rows, padded), logits), new("losses", new(rows)), new("targets", new(rows), targets)],
                (backend, x, _) => backend.SoftmaxCrossEntropy(x[0], x[1], x[2], vocabulary, scale),
                () =>
                {
                    var (losses, dLogits) = ReferenceOperations.SoftmaxCrossEntropy(logits.Doubles(), targets, rows, vocabulary, padded, scale);
                    double sumError = 4 * Math.Sqrt(vocabulary) * U;
                    double[] gradientTolerance = new double[dLogits.Length];
                    double[] maxima = [.. logits.Chunk(padded).Select(row => row.Take(vocabulary).Max())];
                    for (int i = 0; scale != 0 && i < dLogits.Length; i++)
                    {
                        // The argument x - max is rounded once, and errs the more the further x lies below; so does its exponential.
                        double max = maxima[i / padded], probability = (dLogits[i] / scale) + (i % padded == targets[i / padded] ? 1 : 0);
                        double relative = sumError + (U * ((max - logits[i]) + Exponential + 2));
                        gradientTolerance[i] = i % padded < vocabulary ? (scale * probability * Math.Min(relative, 1)) + (2 * U * Math.Abs(dLogits[i])) + 1e-37 : 0;
                    }

                    // The sum's relative error is an absolute one of its logarithm. Terms e⁻ˣ err by x u: together by at most ln V.
                    double[] lossTolerance = losses.Scaled(2 * U);
                    for (int i = 0; i < rows; i++)
                        lossTolerance[i] += sumError + (U * (Exponential + 2 + Math.Log(vocabulary)));
                    Expectation loss = new("losses", losses, lossTolerance);
                    return scale == 0 ? [loss] : [loss, new("logits", dLogits, gradientTolerance)];
                });
        }

        foreach (int count in new[] { 1, 7, 1000, 100_003 })
        {
            foreach (var (accumulate, before) in new[] { (false, double.NaN), (true, 3.25) })
            {
                const double scale = 1.0 / 3;
                float[] values = TestValues.Normal(count, 53, mean: 2);
                yield return new OperationCase($"AddMean {count}{(accumulate ? "" : " overwriting")}", [new("total", new(1), new[] { before }), new("values", new(count), values)],
                    (backend, x, _) => backend.AddMean(x[0], x[1], scale, accumulate),
                    () =>
                    {
                        double mean = scale * values.Doubles().Sum() / count, terms = scale * values.Magnitudes().Sum() / count;
                        return [new("total", [accumulate ? before + mean : mean], [1e-13 * (terms + (accumulate ? before : 0))])];
                    });
            }
        }
    }

    private static IEnumerable<OperationCase> SumsOfSquares()
    {
        float[] values = TestValues.Normal(SegmentedCount, 61);
        Segment[] segments = Segments;
        yield return new OperationCase("SumOfSquares with gaps", [new("values", new(SegmentedCount), values)],
            (backend, x, results) => backend.SumOfSquares(x[0], segments, results),
            () =>
            {
                double[] sums = Array.ConvertAll(segments, segment => ReferenceOperations.SumOfSquares(values.Doubles(), segment));
                return [new(Expectation.Results, sums, sums.Scaled(1e-13))];
            },
            results: segments.Length);
    }

    private static IEnumerable<OperationCase> Updates()
    {
        float[] values = TestValues.Normal(SegmentedCount, 61);
        Segment[] segments = Segments;
        float[] factors = [2, 1, 3, 0.3f, 0.99f, 0];
        yield return new OperationCase("Scale with gaps", [new("values", new(SegmentedCount), values)],
            (backend, x, _) => ((IWeightPasses)backend).Scale(x[0], segments, factors),
            () =>
            {
                double[] scaled = values.Doubles(), tolerances = new double[SegmentedCount];
                for (int s = 0; s < segments.Length; s++)
                {
                    for (long i = segments[s].Offset; i < segments[s].Offset + segments[s].Count; i++)
                        (scaled[i], tolerances[i]) = (factors[s] * scaled[i], factors[s] == 1 ? 0 : U * Math.Abs(factors[s] * scaled[i]));
                }

                return [new("values", scaled, tolerances)];
            });

        var plain = new SegmentUpdate(default, 1e-3f, 0, 1, 1);
        yield return Adam("plain", segments, [plain, plain, plain, plain, plain, plain], new(0.9f, 0.95f, 1e-8f, 1, 1), started: false);
        yield return Adam("regularised", segments,
            [
                plain, plain with { L2 = 0.1f }, plain with { ShrinkBefore = 0.5f }, plain with { ShrinkBefore = 0.9999f }, plain with { ShrinkAfter = 1.01f },
                new(default, 0.02f, 0.3f, 0.97f, 0.9f),
            ],
            new(0.9f, 0.999f, 1e-8f, 1000, 0.25f), started: true);
        yield return Adam("one segment", [new(3, 50)], [new(default, 0, 1e-4f, 1, 1)], new(0, 0, 1e-3f, 3, 2), started: true);
    }

    private static OperationCase Adam(string name, Segment[] segments, SegmentUpdate[] factors, AdamStep step, bool started)
    {
        SegmentUpdate[] updates = [.. factors.Zip(segments, (factor, segment) => factor with { Segment = segment })];
        int count = (int)segments.Max(segment => segment.Offset + segment.Count) + 8;
        float[] w = TestValues.Normal(count, 62), g = TestValues.Normal(count, 63);
        float[] m = TestValues.Normal(count, 64, started ? 0.1 : 0), v = [.. TestValues.Normal(count, 65, started ? 0.1 : 0).Select(x => x * x)];
        return new OperationCase($"AdamUpdate {name}",
            [new("weights", new(count), w), new("gradients", new(count), g), new("firstMoment", new(count), m), new("secondMoment", new(count), v)],
            (backend, x, results) => ((IWeightPasses)backend).AdamUpdate(x[0], x[1], x[2], x[3], updates, step, results),
            () =>
            {
                double[] newW = w.Doubles(), newM = m.Doubles(), newV = v.Doubles();
                double[] wTolerance = new double[count], mTolerance = new double[count], vTolerance = new double[count];
                double[] sums = new double[updates.Length], sumTolerances = new double[updates.Length];
                for (int s = 0; s < updates.Length; s++)
                {
                    var update = updates[s];
                    ReferenceOperations.AdamUpdate(newW, g.Doubles(), newM, newV, update, step);
                    for (long i = update.Segment.Offset; i < update.Segment.Offset + update.Segment.Count; i++)
                    {
                        double terms = Math.Abs((double)step.GradientScale * g[i]) + Math.Abs((double)update.L2 * w[i]);
                        mTolerance[i] = 4 * U * (Math.Abs(step.Beta1 * m[i]) + ((1 - step.Beta1) * terms));
                        vTolerance[i] = 8 * U * ((step.Beta2 * v[i]) + ((1 - step.Beta2) * terms * terms));

                        // √ halves the relative error of v; m / (√v + ε) takes on both, the bias corrections and a few roundings.
                        double m1 = 1 - Math.Pow(step.Beta1, step.Step), v1 = 1 - Math.Pow(step.Beta2, step.Step);
                        double denominator = Math.Sqrt(newV[i] / v1) + step.Epsilon, u = Math.Abs(newM[i] / m1) / denominator;
                        double uError = (mTolerance[i] / m1 / denominator) + (u * ((0.5 * vTolerance[i] / Math.Max(newV[i], 1e-30)) + (8 * U)));
                        wTolerance[i] = update.ShrinkAfter * ((update.LearningRate * uError) + (4 * U * ((update.ShrinkBefore * Math.Abs(w[i])) + (update.LearningRate * u))));
                        sumTolerances[s] += (2 * Math.Abs(newW[i]) * wTolerance[i]) + (1e-13 * newW[i] * newW[i]);
                    }

                    sums[s] = ReferenceOperations.SumOfSquares(newW, update.Segment);
                }

                return
                [
                    new("weights", newW, wTolerance), new("firstMoment", newM, mTolerance), new("secondMoment", newV, vTolerance),
                    new(Expectation.Results, sums, sumTolerances),
                ];
            },
            results: updates.Length);
    }
}
