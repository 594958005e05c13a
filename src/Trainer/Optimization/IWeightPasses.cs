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
    /// The pass also gives the sums of squares of the new weights and of their change, so that no norm and no angle needs a pass of its own.
    /// </summary>
    /// <param name="weights">All parameters, updated in place.</param>
    /// <param name="gradients">Their gradients, as long.</param>
    /// <param name="firstMoment">m, updated in place.</param>
    /// <param name="secondMoment">v, updated in place.</param>
    /// <param name="updates">The segments, in ascending order without overlap, with their factors.</param>
    /// <param name="step">The scalars of this step.</param>
    /// <param name="sumsOfSquares">Σ w² of each segment's new weights, overwritten.</param>
    /// <param name="changes">Σ (Δw)² of each segment, overwritten.</param>
    /// <param name="rounding">How new weights are rounded, before any sum is taken, and what was lost by it; none leaves them as they are.</param>
    void AdamUpdate(Tensor weights, Tensor gradients, Tensor firstMoment, Tensor secondMoment,
        ReadOnlySpan<SegmentUpdate> updates, in AdamStep step, Span<double> sumsOfSquares, Span<double> changes,
        WeightRounding? rounding = null);

    /// <summary>
    /// One step of stochastic gradient descent with momentum over every parameter, in one pass over memory:
    /// <code>
    /// g = gradientScale · gradients + L2 · w
    /// m = momentum · m + gain · g           u = learningRate · m      the learning rate outside, as in torch.optim.SGD
    /// m = momentum · m + learningRate · g   u = m                     inside, as in Loshchilov and Hutter (2019), algorithm 1
    /// w = (ShrinkBefore · w - u) · ShrinkAfter
    /// </code>
    /// </summary>
    /// <param name="weights">All parameters, updated in place.</param>
    /// <param name="gradients">Their gradients, as long.</param>
    /// <param name="momentum">m, updated in place.</param>
    /// <param name="updates">The segments, in ascending order without overlap, with their factors.</param>
    /// <param name="step">The scalars of this step.</param>
    /// <param name="sumsOfSquares">Σ w² of each segment's new weights, overwritten.</param>
    /// <param name="changes">Σ (Δw)² of each segment, overwritten.</param>
    /// <param name="rounding">How new weights are rounded, before any sum is taken, and what was lost by it; none leaves them as they are.</param>
    void SgdUpdate(Tensor weights, Tensor gradients, Tensor momentum,
        ReadOnlySpan<SegmentUpdate> updates, in SgdStep step, Span<double> sumsOfSquares, Span<double> changes,
        WeightRounding? rounding = null);

    /// <summary>Adds a multiple of one tensor to another: <c>values += factor · addend</c> in each segment; a factor of exactly 0 costs nothing.</summary>
    void AddScaled(Tensor values, Tensor addend, ReadOnlySpan<Segment> segments, ReadOnlySpan<float> factors);

    /// <summary>Multiplies each segment by its factor; a factor of exactly 1 costs nothing.</summary>
    void Scale(Tensor values, ReadOnlySpan<Segment> segments, ReadOnlySpan<float> factors);

    /// <summary>Multiplies each segment of the weights by its factor and rounds again; a factor of exactly 1 costs nothing and leaves the segment's sums and counts.</summary>
    /// <param name="weights">All parameters, updated in place.</param>
    /// <param name="segments">The segments, in ascending order without overlap.</param>
    /// <param name="factors">One for each segment.</param>
    /// <param name="rounding">How they are rounded, with <see cref="WeightRounding.Before"/>; its counts are those of the whole step afterwards.</param>
    /// <param name="sumsOfSquares">Σ w² of each segment's new weights, overwritten.</param>
    /// <param name="changes">Σ (Δw)² of each segment over the whole step, overwritten.</param>
    void ScaleRounded(Tensor weights, ReadOnlySpan<Segment> segments, ReadOnlySpan<float> factors,
        WeightRounding rounding, Span<double> sumsOfSquares, Span<double> changes);

    /// <summary>Copies device values to the host and waits for them.</summary>
    void Download<T>(Tensor source, Span<T> destination)
        where T : unmanaged;
}
