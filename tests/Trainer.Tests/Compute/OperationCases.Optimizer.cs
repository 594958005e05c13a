using Trainer.Optimization;

namespace Trainer.Tests.Compute;

internal static partial class OperationCases
{
    private const int SegmentedCount = 140_011;

    /// <summary>Of all lengths, with gaps between them.</summary>
    private static Segment[] Segments => [new(0, 1), new(1, 17), new(20, 0), new(21, 32768), new(32800, 100_001), new(140_000, 3)];

    private static IEnumerable<OperationCase> SumsOfSquares()
    {
        yield return SumOfSquares("with gaps", SegmentedCount, Segments);

        // For a GPU: segments of whole groups of eight, beside the chunks of 8192 that a block takes.
        yield return SumOfSquares("of aligned segments", 30_000, [new(8, 8), new(16, 768), new(800, 0), new(800, 8192), new(9000, 8200), new(17_200, 12_000)]);
    }

    private static OperationCase SumOfSquares(string name, int count, Segment[] segments)
    {
        float[] values = TestValues.Normal(count, 61);
        int[] extents = [.. segments.SelectMany(segment => new[] { (int)segment.Offset, (int)segment.Count })];
        return new OperationCase($"SumOfSquares {name}", extents, a => new([Operand.Float("values", new(count), values)],
            (backend, x, results) => backend.SumOfSquares(x[0], segments, results),
            () =>
            {
                double[] sums = Array.ConvertAll(segments, segment => ReferenceOperations.SumOfSquares(values.Doubles(), segment));
                return [new(Expectation.Results, sums, sums.Scaled(a.SquareSum))];
            },
            results: segments.Length));
    }

    private static IEnumerable<OperationCase> Averages()
    {
        foreach (int count in new[] { 1, 17, 64, 33_000, 70_016 })
        {
            foreach (double coefficient in new[] { 0.5, 0.9, 0.999 })
            {
                float[] average = TestValues.Normal(count, 66), weights = TestValues.Normal(count, 67);
                yield return new OperationCase($"UpdateAverage {count} c={coefficient}", [count],
                    _ => new([Operand.Float("average", new(count), average), Operand.Float("weights", new(count), weights)],
                    (backend, x, _) => backend.UpdateAverage(x[0], x[1], coefficient),
                    () =>
                    {
                        // c is rounded to fp32, 1 - c is exact then; two products and a sum are rounded, each by no more than U of the magnitudes.
                        double c = (float)coefficient;
                        double[] expected = new double[count], tolerances = new double[count];
                        for (int i = 0; i < count; i++)
                        {
                            expected[i] = (c * average[i]) + ((1 - c) * weights[i]);
                            tolerances[i] = 2 * U * ((c * Math.Abs(average[i])) + ((1 - c) * Math.Abs(weights[i])));
                        }

                        return [new("average", expected, tolerances)];
                    }));
            }
        }
    }

    private static IEnumerable<OperationCase> Updates()
    {
        float[] values = TestValues.Normal(SegmentedCount, 61);
        Segment[] segments = Segments;
        float[] factors = [2, 1, 3, 0.3f, 0.99f, 0];
        yield return new OperationCase("Scale with gaps", [], _ => new([Operand.Float("values", new(SegmentedCount), values)],
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
            }));

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
        return new OperationCase($"AdamUpdate {name}", [], _ => new(
            [
                Operand.Float("weights", new(count), w), Operand.Float("gradients", new(count), g), Operand.Float("firstMoment", new(count), m),
                Operand.Float("secondMoment", new(count), v),
            ],
            (backend, x, results) => ((IWeightPasses)backend).AdamUpdate(
                x[0], x[1], x[2], x[3], updates, step, results.AsSpan(0, updates.Length), results.AsSpan(updates.Length)),
            () =>
            {
                double[] newW = w.Doubles(), newM = m.Doubles(), newV = v.Doubles();
                double[] wTolerance = new double[count], mTolerance = new double[count], vTolerance = new double[count];
                // Sums of squares of the new weights, then of their changes.
                double[] sums = new double[2 * updates.Length], sumTolerances = new double[2 * updates.Length];
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
                        double change = Math.Abs(newW[i] - w[i]), error = wTolerance[i] + (U * change);
                        sums[updates.Length + s] += change * change;
                        sumTolerances[updates.Length + s] += (2 * change * error) + (error * error);
                    }

                    sums[s] = ReferenceOperations.SumOfSquares(newW, update.Segment);
                }

                return
                [
                    new("weights", newW, wTolerance), new("firstMoment", newM, mTolerance), new("secondMoment", newV, vTolerance),
                    new(Expectation.Results, sums, sumTolerances),
                ];
            },
            results: 2 * updates.Length));
    }
}
