namespace Trainer.Optimization;

/// <summary>What a step finds of every segment on its way, so that norms and angles need no pass of their own.</summary>
/// <param name="segments">The number of segments.</param>
public sealed class StepSums(int segments)
{
    private readonly double[] _weights = new double[segments];
    private readonly double[] _gradients = new double[segments];
    private readonly double[] _updates = new double[segments];
    private readonly float[] _factors = new float[segments];
    private readonly double[] _lost = [.. Enumerable.Repeat(double.NaN, segments)];
    private readonly double[] _moved = [.. Enumerable.Repeat(double.NaN, segments)];

    /// <summary>Σ w² after the step.</summary>
    public Span<double> Weights => _weights;

    /// <summary>Σ g², before clipping.</summary>
    public Span<double> Gradients => _gradients;

    /// <summary>Σ (w' - w)², where w' are the weights that the fused pass leaves, before <see cref="Factors"/>.</summary>
    public Span<double> Updates => _updates;

    /// <summary>What a rule that follows the pass multiplied each segment by; 1 for none.</summary>
    public Span<float> Factors => _factors;

    /// <summary>
    /// The elements that the step would have changed and that rounding left as they were before it (<see cref="WeightRounding"/>); not a number where
    /// nothing counted them.
    /// </summary>
    public Span<double> Lost => _lost;

    /// <summary>The elements that the step would have changed; not a number where nothing counted them.</summary>
    public Span<double> Moved => _moved;

    /// <summary>
    /// Whether <see cref="Updates"/> are those of the whole step, <see cref="Factors"/> included: where weights are rounded after the factor too, no
    /// formula gives their change, and it was measured.
    /// </summary>
    public bool UpdatesIncludeFactors { get; set; }

    /// <summary>Σ (Δw)² of a segment over the whole step, the factor that follows the pass included.</summary>
    /// <param name="segment">The segment.</param>
    /// <param name="before">Σ w² as the step began.</param>
    /// <remarks>
    /// With f the factor, W₀ the sum before, W = f² W' the one after, U that of the pass:
    /// Σ (f w' - w₀)² = f² W' + W₀ - 2 f Σ w' w₀ and 2 Σ w' w₀ = W' + W₀ - U, so it is (1 - f) (W₀ - f W') + f U, without cancellation.
    /// </remarks>
    public double Change(int segment, double before)
    {
        double f = _factors[segment];
        if (f == 1 || UpdatesIncludeFactors)
            return _updates[segment];
        return f == 0 ? before : ((1 - f) * (before - (_weights[segment] / f))) + (f * _updates[segment]);
    }

    /// <summary>Copies everything from another step.</summary>
    public void CopyFrom(StepSums other)
    {
        ArgumentNullException.ThrowIfNull(other);
        other._weights.CopyTo(_weights, 0);
        other._gradients.CopyTo(_gradients, 0);
        other._updates.CopyTo(_updates, 0);
        other._factors.CopyTo(_factors, 0);
        other._lost.CopyTo(_lost, 0);
        other._moved.CopyTo(_moved, 0);
        UpdatesIncludeFactors = other.UpdatesIncludeFactors;
    }
}
