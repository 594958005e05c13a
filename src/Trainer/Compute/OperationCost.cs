using Trainer.Optimization;

namespace Trainer.Compute;

/// <summary>
/// What an operation costs at least, whatever computes it. This is the one place where the costs of <see cref="IBackend"/>'s operations are stated; a
/// kernel of a GPU, which may do only part of an operation, has costs of its own.
/// </summary>
/// <remarks>
/// Bytes are the different bytes that the operation reads and writes, each once: what it would move with perfect caches. Of an embedding table the rows
/// of different tokens are read, taken to be as many as there are rows in the batch or the table. FLOPs are floating-point operations, two for a
/// multiply-add; a root, an exponential or a hyperbolic tangent counts as one. Epilogues of matrix products (bias, GELU) are not counted. Letters are
/// those of <see cref="IBackend"/>; e are the bytes of an element of <see cref="Precision.Working"/>.
/// </remarks>
/// <param name="Operation">The name of the operation.</param>
/// <param name="Sizes">Its sizes: (R, N, K) of a linear layer, (B, T, NH, C) of attention, (R, C) of rows; none of a pass over all weights.</param>
/// <param name="Bytes">The bytes.</param>
/// <param name="Flops">The floating-point operations.</param>
public readonly record struct OperationCost(string Operation, Shape Sizes, long Bytes, long Flops)
{
    // The weight is read and written, likewise both moments, and the gradient read, all fp32; the multiplications, additions, roots and divisions
    // of the formula.
    private const int AdamBytes = 28, AdamFlops = 19;

    // Score and weighted value; of the backward pass the score again, and the gradients of the value, the probability, the query and the key.
    private const int AttentionForwardProducts = 2, AttentionBackwardProducts = 5;

    /// <summary>Copying to the device.</summary>
    internal static OperationCost Upload(Tensor destination) => new(nameof(IBackend.Upload), destination.Shape, BytesOf(destination), 0);

    /// <summary>Copying to the host.</summary>
    internal static OperationCost Download(Tensor source) => new(nameof(IBackend.Download), source.Shape, BytesOf(source), 0);

    /// <summary>Setting to zero.</summary>
    internal static OperationCost Zero(Tensor tensor) => new(nameof(IBackend.Zero), tensor.Shape, BytesOf(tensor), 0);

    /// <summary>Copying and rounding.</summary>
    internal static OperationCost Convert(Tensor destination, Tensor source) =>
        new(nameof(IBackend.Convert), source.Shape, BytesOf(destination) + BytesOf(source), 0);

    /// <summary>4 R for the tokens, e C (2 R + T) for sums and both tables; one addition for each element.</summary>
    internal static OperationCost EmbeddingForward(long e, long b, long t, long c, long vocabulary)
    {
        long rows = b * t;
        return new(nameof(IBackend.EmbeddingForward), Extents(b, t, c), (4 * rows) + (e * c * (rows + Math.Min(rows, vocabulary) + t)), rows * c);
    }

    /// <summary>4 R for the tokens, e R C for the gradient, 8 C for each row of either table that is added to; two additions for each element.</summary>
    internal static OperationCost EmbeddingBackward(long e, long b, long t, long c, long vocabulary)
    {
        long rows = b * t;
        return new(nameof(IBackend.EmbeddingBackward), Extents(b, t, c),
            (4 * rows) + (e * rows * c) + (8 * c * (Math.Min(rows, vocabulary) + t)), 2 * rows * c);
    }

    /// <summary>2 e R C for input and output, 2 e C for weight and bias, 8 R for mean and rstd; 8 operations for each element.</summary>
    internal static OperationCost LayerNormForward(long e, long rows, long c) =>
        new(nameof(IBackend.LayerNormForward), Extents(rows, c), (2 * e * (rows + 1) * c) + (8 * rows), 8 * rows * c);

    /// <summary>4 e R C for both summands, sum and output, and the rest as without the addition; 9 operations for each element.</summary>
    internal static OperationCost ResidualLayerNormForward(long e, long rows, long c) =>
        new(nameof(IBackend.ResidualLayerNormForward), Extents(rows, c), (e * ((4 * rows) + 2) * c) + (8 * rows), 9 * rows * c);

    /// <summary>4 e R C for dInput, which is added to, dOutput and input, e C for the weight, 16 C for its gradients, 8 R; 14 operations for each element.</summary>
    internal static OperationCost LayerNormBackward(long e, long rows, long c) =>
        new(nameof(IBackend.LayerNormBackward), Extents(rows, c), (e * ((4 * rows) + 1) * c) + (16 * c) + (8 * rows), 14 * rows * c);

    /// <summary>e (R K + N K + R N) for input, weight and output, e N for a bias, e R N for what is kept; 2 R N K operations.</summary>
    internal static OperationCost LinearForward(long e, long rows, long n, long k, bool bias, bool preActivation) =>
        new(nameof(IBackend.LinearForward), Extents(rows, n, k),
            e * ((rows * k) + (n * k) + (rows * n * (preActivation ? 2 : 1)) + (bias ? n : 0)), 2 * rows * n * k);

    /// <summary>2 e for each element; 8 operations, as x · sigmoid(2 √(2/π) (x + 0.044715 x³)).</summary>
    internal static OperationCost GeluForward(long e, Tensor output) => new(nameof(IBackend.GeluForward), output.Shape, 2 * e * output.Count, 8 * output.Count);

    /// <summary>e (R N + N K + R K) for dOutput, weight and dInput, e R K for what was kept; 2 R N K operations.</summary>
    internal static OperationCost LinearBackwardInput(long e, long rows, long n, long k, bool preActivation) =>
        new(nameof(IBackend.LinearBackwardInput), Extents(rows, n, k), e * ((rows * n) + (n * k) + (rows * k * (preActivation ? 2 : 1))), 2 * rows * n * k);

    /// <summary>e (R N + R K) for dOutput and input, 4 (N K + N) for the gradients, twice where they are added to; 2 R N K operations.</summary>
    internal static OperationCost LinearBackwardWeight(long e, long rows, long n, long k, bool bias, bool accumulate) =>
        new(nameof(IBackend.LinearBackwardWeight), Extents(rows, n, k),
            (e * rows * (n + k)) + (4 * ((n * k) + (bias ? n : 0)) * (accumulate ? 2 : 1)), 2 * rows * n * k);

    /// <summary>4 e R C for queries, keys, values and output, 4 R NH for the log-sum-exp; 2 products over the pairs that the mask leaves.</summary>
    internal static OperationCost AttentionForward(long e, long b, long t, long c, long heads) =>
        new(nameof(IBackend.AttentionForward), Extents(b, t, heads, c),
            (4 * e * b * t * c) + (4 * b * t * heads), AttentionFlops(AttentionForwardProducts, b, t, c));

    /// <summary>8 e R C for queries, keys, values, their gradients, output and its gradient, 4 R NH; 5 products, one of them again.</summary>
    internal static OperationCost AttentionBackward(long e, long b, long t, long c, long heads) =>
        new(nameof(IBackend.AttentionBackward), Extents(b, t, heads, c),
            (8 * e * b * t * c) + (4 * b * t * heads), AttentionFlops(AttentionBackwardProducts, b, t, c));

    /// <summary>
    /// e R V for the logits, 8 R for targets and losses, and 4 operations for each logit: maximum, difference, exponential, sum. With the gradient e R Vp and
    /// 5 operations more.
    /// </summary>
    internal static OperationCost SoftmaxCrossEntropy(long e, long rows, long vocabulary, long padded, bool gradient) =>
        new(nameof(IBackend.SoftmaxCrossEntropy), Extents(rows, padded),
            rows * ((e * (vocabulary + (gradient ? padded : 0))) + 8), rows * vocabulary * (gradient ? 9 : 4));

    /// <summary>4 for each value and 8 for the total; one addition for each value.</summary>
    internal static OperationCost AddMean(Tensor values) => new(nameof(IBackend.AddMean), values.Shape, (4 * values.Count) + 8, values.Count);

    /// <summary>4 for each value; two operations.</summary>
    internal static OperationCost SumOfSquares(ReadOnlySpan<Segment> segments)
    {
        long count = 0;
        foreach (Segment segment in segments)
            count += segment.Count;
        return new(nameof(IBackend.SumOfSquares), default, 4 * count, 2 * count);
    }

    /// <summary>12 for each weight; 3 operations.</summary>
    internal static OperationCost UpdateAverage(Tensor average) => new(nameof(IBackend.UpdateAverage), default, 12 * average.Count, 3 * average.Count);

    /// <summary>28 for each weight; 19 operations.</summary>
    internal static OperationCost AdamUpdate(ReadOnlySpan<SegmentUpdate> updates)
    {
        long count = 0;
        foreach (SegmentUpdate update in updates)
            count += update.Segment.Count;
        return new(nameof(IWeightPasses.AdamUpdate), default, AdamBytes * count, AdamFlops * count);
    }

    /// <summary>20 for each weight; 11 operations.</summary>
    internal static OperationCost SgdUpdate(ReadOnlySpan<SegmentUpdate> updates)
    {
        long count = 0;
        foreach (SegmentUpdate update in updates)
            count += update.Segment.Count;
        return new(nameof(IWeightPasses.SgdUpdate), default, 20 * count, 11 * count);
    }

    /// <summary>12 for each element whose factor is not 0; two operations.</summary>
    internal static OperationCost AddScaled(ReadOnlySpan<Segment> segments, ReadOnlySpan<float> factors)
    {
        long count = 0;
        for (int i = 0; i < segments.Length; i++)
            count += factors[i] == 0 ? 0 : segments[i].Count;
        return new(nameof(IWeightPasses.AddScaled), default, 12 * count, 2 * count);
    }

    /// <summary>8 for each element whose factor is not 1; one operation.</summary>
    internal static OperationCost Scale(ReadOnlySpan<Segment> segments, ReadOnlySpan<float> factors)
    {
        long count = 0;
        for (int i = 0; i < segments.Length; i++)
            count += factors[i] == 1 ? 0 : segments[i].Count;
        return new(nameof(IWeightPasses.Scale), default, 8 * count, count);
    }

    // Over T (T + 1) / 2 pairs of each head, of HS = C / NH multiply-adds.
    private static long AttentionFlops(int products, long b, long t, long c) => 2 * products * b * c * (t * (t + 1) / 2);

    // The formulas are of 64-bit numbers, which they need long before an extent does.
    private static Shape Extents(long a, long b) => new((int)a, (int)b);

    private static Shape Extents(long a, long b, long c) => new((int)a, (int)b, (int)c);

    private static Shape Extents(long a, long b, long c, long d) => new((int)a, (int)b, (int)c, (int)d);

    private static long BytesOf(Tensor tensor) => tensor.Count * Tensor.SizeOf(tensor.Type);
}
