namespace Trainer.Optimization;

/// <summary>The scalars of a step that a regulariser sees.</summary>
/// <param name="Step">t, counted from 1.</param>
/// <param name="PeakLearningRate">α.</param>
/// <param name="Multiplier">η_t; the learning rate of the step is α η_t.</param>
public readonly record struct RegularizerStep(long Step, double PeakLearningRate, double Multiplier);

/// <summary>
/// Turns the step and the norms of the weights into factors for each tensor: before the fused pass the two factors of its
/// <see cref="SegmentUpdate"/>, after it those that depend on the norms which the pass found. Factors are computed in double
/// precision and rounded once.
/// </summary>
/// <param name="groups">The regularised set.</param>
public abstract class Regularizer(ParameterGroups groups)
{
    /// <summary>The regularised set.</summary>
    public ParameterGroups Groups { get; } = groups;

    /// <summary>Takes note of the weights that training began with.</summary>
    /// <param name="initialSumsOfSquares">Σ w² of every tensor at initialisation.</param>
    public virtual void Start(ReadOnlySpan<double> initialSumsOfSquares)
    {
    }

    /// <summary>Sets the factors of the fused pass.</summary>
    /// <param name="step">The step.</param>
    /// <param name="sumsOfSquares">Σ w² of every tensor as the step begins.</param>
    /// <param name="updates">One for each tensor, with factors of 1.</param>
    public abstract void BeforeStep(in RegularizerStep step, ReadOnlySpan<double> sumsOfSquares, Span<SegmentUpdate> updates);

    /// <summary>Gives the factors that are known only after the gradient step.</summary>
    /// <param name="step">The step.</param>
    /// <param name="sumsOfSquares">Σ w² of every tensor after the gradient step.</param>
    /// <param name="factors">One for each tensor, each 1.</param>
    /// <returns>Whether any factor is not 1.</returns>
    public virtual bool AfterStep(in RegularizerStep step, ReadOnlySpan<double> sumsOfSquares, Span<float> factors) => false;
}

/// <summary>Leaves the weights to the gradient; the regularised set is only watched.</summary>
/// <param name="groups">The set whose norm is reported.</param>
public sealed class NoRegularizer(ParameterGroups groups) : Regularizer(groups)
{
    /// <inheritdoc/>
    public override void BeforeStep(in RegularizerStep step, ReadOnlySpan<double> sumsOfSquares, Span<SegmentUpdate> updates)
    {
    }
}
