namespace Trainer.Optimization;

/// <summary>Weights that share a norm and a strength: all regularised weights, those of a group, of a tensor or of a row.</summary>
/// <param name="name">The group, tensor or row, for messages.</param>
/// <param name="strength">Its own strength; null for the rule's.</param>
/// <param name="segments">Indices into <see cref="WeightSegments.Segments"/>, ascending.</param>
/// <param name="count">C, the number of weights.</param>
public sealed class WeightUnit(string name, double? strength, int[] segments, long count)
{
    /// <summary>The group, tensor or row.</summary>
    public string Name { get; } = name;

    /// <summary>Its own strength; null for the rule's.</summary>
    public double? Strength { get; } = strength;

    /// <summary>C, the number of weights.</summary>
    public long Count { get; } = count;

    /// <summary>Whether these are no weights: a row that pads the vocabulary, which begins with zeros and has no norm to hold.</summary>
    public bool IsPadding { get; init; }

    /// <summary>‖θ₀‖, what ratios refer to.</summary>
    public double InitialNorm { get; set; }

    /// <summary>Indices into <see cref="WeightSegments.Segments"/>, ascending.</summary>
    public ReadOnlySpan<int> Segments => segments;

    /// <summary>‖θ‖, for the sums of squares of all segments.</summary>
    public double Norm(ReadOnlySpan<double> sumsOfSquares)
    {
        double sum = 0;
        foreach (int segment in segments)
            sum += sumsOfSquares[segment];
        return Math.Sqrt(sum);
    }
}
