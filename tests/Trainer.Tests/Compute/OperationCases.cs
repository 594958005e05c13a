using Trainer.Compute;

namespace Trainer.Tests.Compute;

/// <summary>
/// The operations at the sizes where implementations go wrong: below, at and above the width of vectors and tiles, one row, blocks
/// that are crossed by a little.
/// </summary>
/// <remarks>Tolerances are rounding errors; where they depend on the device, <see cref="Arithmetic"/> says how.</remarks>
internal static partial class OperationCases
{
    private const double U = TestValues.UnitRoundoff;

    /// <summary>All operations of <see cref="Trainer.Compute.IBackend"/>.</summary>
    public static IReadOnlyList<OperationCase> All { get; } =
        [.. Conversions(), .. Embedding(), .. LayerNorm(), .. Linear(), .. Gelu(), .. Attention(), .. Classifier(), .. SumsOfSquares(), .. Averages()];

    /// <summary>All operations of <see cref="Trainer.Optimization.IWeightPasses"/>.</summary>
    public static IReadOnlyList<OperationCase> WeightPasses { get; } = [.. Updates()];

    /// <summary>One small case of each operation.</summary>
    public static IEnumerable<OperationCase> OneOfEach(IEnumerable<OperationCase> cases) =>
        cases.GroupBy(operation => operation.Name).Select(group => group.ElementAt(Math.Min(1, group.Count() - 1)));

    private static IEnumerable<OperationCase> Conversions()
    {
        foreach (int count in new[] { 1, 7, 1000, 70_001, 70_008 })
        {
            float[] values = TestValues.Normal(count, 91), rounded = values.Rounded();
            ushort[] halves = Array.ConvertAll(values, Bf16.Round);
            yield return Conversion("to bf16", ElementType.BFloat16, ElementType.Float32, values, rounded);
            yield return Conversion("to fp32", ElementType.Float32, ElementType.BFloat16, halves, rounded);
            yield return Conversion("of fp32", ElementType.Float32, ElementType.Float32, values, values);
            yield return Conversion("of bf16", ElementType.BFloat16, ElementType.BFloat16, halves, rounded);

            OperationCase Conversion(string name, ElementType to, ElementType from, Array source, float[] expected) => new($"Convert {count} {name}", [count],
                _ => new([new("destination", new(count), to), new("source", new(count), from, source)], (backend, x, _) => backend.Convert(x[0], x[1]),
                    () => [new("destination", expected.Doubles(), new double[count])]));
        }
    }

    private static IEnumerable<OperationCase> Embedding()
    {
        foreach (var (b, t, c, vocabulary, maxT) in new[]
        {
            (1, 1, 1, 5, 1), (1, 1, 3, 1, 4), (2, 7, 3, 11, 9), (3, 8, 20, 17, 8), (2, 49, 100, 13, 64), (1, 130, 48, 7, 130), (2, 47, 64, 300, 48),
            (1, 65, 200, 50, 65), (1, 1, 8, 5, 3), (4, 65, 32, 16, 70),
        })
        {
            string size = $"B={b} T={t} C={c} Vp={vocabulary} maxT={maxT}";
            int[] tokens = TestValues.Tokens(b * t, vocabulary, 1);
            float[] someTokens = TestValues.Normal(vocabulary * c, 2), somePositions = TestValues.Normal(maxT * c, 3);
            float[] someGradient = TestValues.Normal(b * t * c, 6);
            yield return new OperationCase($"EmbeddingForward {size}", [c], a => new(
            [
                a.Working("output", new(b, t, c)), Operand.Tokens("tokens", new(b, t), tokens), a.Working("tokenTable", new(vocabulary, c), someTokens),
                a.Working("positionTable", new(maxT, c), somePositions),
            ],
            (backend, x, _) => backend.EmbeddingForward(x[0], x[1], x[2], x[3]),
            () =>
            {
                var output = ReferenceOperations.EmbeddingForward(tokens, a.Given(someTokens).Doubles(), a.Given(somePositions).Doubles(), b, t, c);
                return [new("output", output, a.Stored(output, output.Scaled(U).Absolute()))];
            }));

            float[] dTokenTable = TestValues.Normal(vocabulary * c, 4), dPositionTable = TestValues.Normal(maxT * c, 5);
            yield return new OperationCase($"EmbeddingBackward {size}", [c], a => new(
            [
                Operand.Float("dTokenTable", new(vocabulary, c), dTokenTable), Operand.Float("dPositionTable", new(maxT, c), dPositionTable),
                a.Working("dOutput", new(b, t, c), someGradient), Operand.Tokens("tokens", new(b, t), tokens),
            ],
            (backend, x, _) => backend.EmbeddingBackward(x[0], x[1], x[2], x[3]),
            () =>
            {
                float[] dOutput = a.Given(someGradient);
                double[] token = dTokenTable.Doubles(), position = dPositionTable.Doubles();
                ReferenceOperations.EmbeddingBackward(token, position, dOutput.Doubles(), tokens, b, t, c);
                double[] tokenTerms = dTokenTable.Magnitudes(), positionTerms = dPositionTable.Magnitudes();
                ReferenceOperations.EmbeddingBackward(tokenTerms, positionTerms, dOutput.Magnitudes(), tokens, b, t, c);
                double factor = 4 * U * Math.Sqrt(b * t);
                return [new("dTokenTable", token, tokenTerms.Scaled(factor)), new("dPositionTable", position, positionTerms.Scaled(factor))];
            }));
        }
    }

    private static double[] Absolute(this double[] values) => Array.ConvertAll(values, Math.Abs);
}
