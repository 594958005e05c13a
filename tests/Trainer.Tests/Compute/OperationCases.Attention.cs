namespace Trainer.Tests.Compute;

internal static partial class OperationCases
{
    private static IEnumerable<OperationCase> Attention()
    {
        foreach (var (b, t, heads, headSize) in new[]
        {
            (1, 1, 1, 3), (2, 2, 2, 16), (1, 7, 3, 20), (2, 8, 1, 64), (1, 47, 2, 80), (1, 48, 3, 3), (2, 49, 2, 16), (1, 65, 2, 64), (3, 130, 3, 20),
            (1, 130, 1, 80), (1, 65, 4, 1), (1, 64, 2, 48), (1, 200, 1, 7),

            // For a GPU: heads of each of its kernels, and tokens beside its tiles of 32, 64 and 128.
            (2, 1, 3, 32), (1, 33, 3, 32), (2, 129, 1, 32), (1, 127, 2, 64), (1, 1, 1, 128), (2, 70, 1, 128), (1, 130, 1, 128),
        })
        {
            int c = heads * headSize;
            string size = $"B={b} T={t} NH={heads} HS={headSize}";
            float[] someQkv = TestValues.Normal(b * t * 3 * c, 41), someGradient = TestValues.Normal(b * t * c, 42);
            yield return new OperationCase($"AttentionForward {size}", [headSize], a =>
            {
                float[] qkv = a.Given(someQkv), dOutput = a.Given(someGradient);
                return new([a.Working("output", new(b, t, c)), Operand.Float("logSumExp", new(b, heads, t)), a.Working("qkv", new(b, t, 3 * c), someQkv)],
                    (backend, x, _) => backend.AttentionForward(x[0], x[1], x[2]),
                    () =>
                    {
                        if (a.IsGpu)
                        {
                            var reference = new AttentionReference(RoundingsOfGpu(a, headSize), b, t, heads, headSize, qkv, dOutput);
                            return
                            [
                                new("output", reference.Output, reference.OutputTolerances),
                                new("logSumExp", reference.LogSumExp, reference.LogSumExpTolerances),
                            ];
                        }

                        var (output, logSumExp, probabilities) = ReferenceOperations.AttentionForward(qkv.Doubles(), b, t, c, heads);
                        var bounds = new AttentionBounds(qkv, dOutput, probabilities, logSumExp, t, c, headSize);
                        return
                        [
                            new("output", output, Constant(output.Length, (bounds.Probability + (4 * U * Math.Sqrt(t))) * bounds.Value)),
                            new("logSumExp", logSumExp, Constant(logSumExp.Length, bounds.Probability + (4 * U * Math.Sqrt(t)))),
                        ];
                    });
            });

            yield return new OperationCase($"AttentionBackward {size}", [headSize], a =>
            {
                float[] qkv = a.Given(someQkv), dOutput = a.Given(someGradient);
                var (output, logSumExp, probabilities) = ReferenceOperations.AttentionForward(qkv.Doubles(), b, t, c, heads);
                return new(
                [
                    a.Working("dQkv", new(b, t, 3 * c)), a.Working("dOutput", new(b, t, c), someGradient), a.Working("output", new(b, t, c), output.Floats()),
                    Operand.Float("logSumExp", new(b, heads, t), logSumExp.Floats()), a.Working("qkv", new(b, t, 3 * c), someQkv),
                ],
                (backend, x, _) => backend.AttentionBackward(x[0], x[1], x[2], x[3], x[4]),
                () =>
                {
                    if (a.IsGpu)
                    {
                        var reference = new AttentionReference(RoundingsOfGpu(a, headSize), b, t, heads, headSize, qkv, dOutput);
                        return [new("dQkv", reference.DQkv, reference.DQkvTolerances)];
                    }

                    var dQkv = ReferenceOperations.AttentionBackward(dOutput.Doubles(), qkv.Doubles(), probabilities, b, t, c, heads);
                    var bounds = new AttentionBounds(qkv, dOutput, probabilities, logSumExp, t, c, headSize);
                    var tolerances = new double[dQkv.Length];
                    for (int i = 0; i < tolerances.Length; i++)
                        tolerances[i] = (i / c % 3) switch { 0 => bounds.DQuery, 1 => bounds.DKey, _ => bounds.DValue };
                    return [new("dQkv", dQkv, tolerances)];
                });
            });
        }
    }

    /// <summary>
    /// In bf16 whatever its kernels for some heads may round: P and dS for products of tensor cores. Of the orders of a sum over channels the longest, one by
    /// one. TF32 is for linear layers: here it is fp32.
    /// </summary>
    private static AttentionRoundings RoundingsOfGpu(Arithmetic a, int headSize)
    {
        double unit = a.IsHalf ? Bf16.UnitRoundoff : U;
        return new(unit, unit, Math.Max(headSize + 1, 16 + (headSize / 16.0)));
    }

    private static double[] Constant(int count, double value)
    {
        var values = new double[count];
        Array.Fill(values, value);
        return values;
    }

    /// <summary>
    /// What rounding does to attention. A score q·k / √HS errs by 4 √HS u ‖q‖‖k‖ / √HS, and that, with the rounding of the log-sum-exp
    /// it is subtracted from, is the relative error of a probability. Sums over keys have weights that add up to 1; sums over queries
    /// have weights that add up to the column sums of the probabilities.
    /// </summary>
    private readonly struct AttentionBounds
    {
        public AttentionBounds(float[] qkv, float[] dOutput, double[] probabilities, double[] logSumExp, int t, int c, int headSize)
        {
            // (B, T, 3C) seen as rows of one head: query, key or value by the row's place in its token.
            int heads = c / headSize;
            double[] norms = qkv.RowNorms(headSize);
            double Norm(int which) => norms.Where((_, row) => row / heads % 3 == which).Max();
            double Largest(int which) => qkv.Where((_, i) => i / c % 3 == which).Max(value => Math.Abs((double)value));
            var columnSums = new double[probabilities.Length / t];
            for (int i = 0; i < probabilities.Length; i++)
                columnSums[(i / (t * t) * t) + (i % t)] += probabilities[i];
            double scale = 1 / Math.Sqrt(headSize), largestColumn = columnSums.Max(), largestGradient = dOutput.Max(value => Math.Abs((double)value));
            Probability = (4 * U * Math.Sqrt(headSize) * Norm(0) * Norm(1) * scale) + (2 * U * (logSumExp.Max(Math.Abs) + 4));
            Value = Largest(2);
            DValue = (Probability + (4 * U * Math.Sqrt(t))) * largestColumn * largestGradient;

            // dS = scale P (dP - D), both at most ‖dO‖‖v‖ and with the error of a sum over the head.
            double dScore = scale * (Probability + (4 * U * Math.Sqrt(headSize)) + (4 * U * Math.Sqrt(t))) * 2 * dOutput.RowNorms(headSize).Max() * Norm(2);
            DQuery = dScore * Largest(1);
            DKey = dScore * largestColumn * Largest(0);
        }

        /// <summary>The relative error of a probability, and the absolute one of a score.</summary>
        public double Probability { get; }

        /// <summary>The largest value.</summary>
        public double Value { get; }

        public double DQuery { get; }

        public double DKey { get; }

        public double DValue { get; }
    }
}
