using Trainer.Compute;

namespace Trainer.Optimization;

/// <summary>The passes over all parameters that a <see cref="HostOptimizer"/> asks for one by one, each done when the call returns.</summary>
public interface IWeightPasses
{
    /// <inheritdoc cref="IBackend.SumOfSquares"/>
    void SumOfSquares(Tensor values, ReadOnlySpan<Segment> segments, Span<double> sums);

    /// <summary>
    /// One Adam step (Kingma and Ba 2015) over every parameter in one pass over memory, with two factors per segment that express
    /// every rule of weight decay and weight norm control:
    /// <code>
    /// g = gradientScale · gradients + L2 · w
    /// m = β₁ m + (1 - β₁) g;   v = β₂ v + (1 - β₂) g²
    /// u = (m / (1 - β₁ᵗ)) / (√(v / (1 - β₂ᵗ)) + ε)
    /// w = (ShrinkBefore · w - learningRate · u) · ShrinkAfter
    /// </code>
    /// The pass also gives the sum of squares of the new weights of each segment, so that no norm needs a pass of its own.
    /// </summary>
    /// <param name="weights">All parameters, updated in place.</param>
    /// <param name="gradients">Their gradients, as long.</param>
    /// <param name="firstMoment">m, updated in place.</param>
    /// <param name="secondMoment">v, updated in place.</param>
    /// <param name="updates">The segments, in ascending order without overlap, with their factors.</param>
    /// <param name="step">The scalars of this step.</param>
    /// <param name="sumsOfSquares">Σ w² of each segment's new weights, overwritten.</param>
    void AdamUpdate(Tensor weights, Tensor gradients, Tensor firstMoment, Tensor secondMoment,
        ReadOnlySpan<SegmentUpdate> updates, in AdamStep step, Span<double> sumsOfSquares);

    /// <summary>Multiplies each segment by its factor; a factor of exactly 1 costs nothing.</summary>
    void Scale(Tensor values, ReadOnlySpan<Segment> segments, ReadOnlySpan<float> factors);

    /// <summary>Copies device values to the host and waits for them.</summary>
    void Download<T>(Tensor source, Span<T> destination)
        where T : unmanaged;
}
