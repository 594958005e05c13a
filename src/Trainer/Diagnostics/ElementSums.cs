using Trainer.Compute;

namespace Trainer.Diagnostics;

/// <summary>What one element of a segment went through in a step, the same for all of them.</summary>
/// <param name="IsAdam">Whether the direction is Adam's, or the buffer of SGD.</param>
/// <param name="Rate">What the direction is multiplied by.</param>
/// <param name="Factor">s, the regulariser's factor.</param>
/// <param name="FactorAfter">The part of s that also multiplies the gradient step.</param>
/// <param name="Correction1">1 - β₁ᵗ.</param>
/// <param name="Correction2">1 - β₂ᵗ.</param>
/// <param name="Epsilon">ε of Adam.</param>
/// <param name="IsStoredInBFloat16">Whether there are no other weights than those of bf16.</param>
public readonly record struct ElementRule(
    bool IsAdam, double Rate, double Factor, double FactorAfter, double Correction1, double Correction2, double Epsilon, bool IsStoredInBFloat16);

/// <summary>Sums over the elements of some parameters, in double precision; those of disjoint sets add up.</summary>
public sealed class ElementSums
{
    private double _gradientDotWeight, _gradientSquares, _directionDotWeight, _directionSquares, _before, _after, _rates, _roots, _rounding, _gap;
    private long _count, _changed, _lost, _shrunk, _shrunkInVain;

    /// <summary>max |θ| after the step.</summary>
    public double LargestMagnitude { get; private set; }

    /// <summary>⟨g, θ⟩ / (‖g‖ ‖θ‖) as the step began: 0 where the loss does not depend on the scale of θ.</summary>
    public double GradientCosine => _gradientDotWeight / Math.Sqrt(_gradientSquares * _before);

    /// <summary>⟨u, θ⟩ / (‖u‖ ‖θ‖): how radial the step's direction u is; a step subtracts it, so that below 0 the norm grows.</summary>
    public double DirectionCosine => _directionDotWeight / Math.Sqrt(_directionSquares * _before);

    /// <summary>The mean of lr / (√v + ε), v without bias correction.</summary>
    public double MeanAdamRate => _rates / _count;

    /// <summary>The mean of √v̂, bias corrected.</summary>
    public double MeanRootSecondMoment => _roots / _count;

    /// <summary>The share of changes Δθ ≠ 0 that are lost when θ is rounded to the nearest bf16 after it; as if, where weights are not kept in bf16.</summary>
    public double LostUpdates => (double)_lost / _changed;

    /// <summary>The same of the decay (s - 1) θ alone.</summary>
    public double LostDecay => (double)_shrunkInVain / _shrunk;

    /// <summary>‖bf16(θ) - θ‖ / ‖θ‖.</summary>
    public double RoundingError => Math.Sqrt(_rounding / _after);

    /// <summary>‖θ as passes read it - θ‖ / ‖θ‖.</summary>
    public double MasterGap => Math.Sqrt(_gap / _after);

    /// <summary>Adds gradients to the sums, with the weights that they are of.</summary>
    public void AddGradients(ReadOnlySpan<float> gradients, ReadOnlySpan<float> weights)
    {
        for (int i = 0; i < gradients.Length; i++)
        {
            double g = gradients[i], w = weights[i];
            _gradientDotWeight += g * w;
            _gradientSquares += g * g;
        }
    }

    /// <summary>Adds a step.</summary>
    /// <param name="rule">What it did.</param>
    /// <param name="before">θ before.</param>
    /// <param name="after">θ after.</param>
    /// <param name="first">m of Adam after it, or the buffer of SGD.</param>
    /// <param name="second">v of Adam after it; not looked at otherwise.</param>
    public void AddStep(in ElementRule rule, ReadOnlySpan<float> before, ReadOnlySpan<float> after, ReadOnlySpan<float> first, ReadOnlySpan<float> second)
    {
        for (int i = 0; i < before.Length; i++)
        {
            double old = before[i], now = after[i], direction = first[i];
            if (rule.IsAdam)
            {
                double root = Math.Sqrt(second[i] / rule.Correction2);
                direction = direction / rule.Correction1 / (root + rule.Epsilon);
                _roots += root;
                _rates += rule.Rate / (Math.Sqrt(second[i]) + rule.Epsilon);
            }

            _directionDotWeight += direction * old;
            _directionSquares += direction * direction;
            _before += old * old;
            _after += now * now;
            LargestMagnitude = Math.Max(LargestMagnitude, Math.Abs(now));
            double error = Nearest(now) - now;
            _rounding += error * error;

            double half = Nearest(old), decay = (rule.Factor - 1) * old;
            double change = rule.IsStoredInBFloat16 ? decay - (rule.FactorAfter * rule.Rate * direction) : now - old;
            if (change != 0)
            {
                _changed++;
                _lost += (rule.IsStoredInBFloat16 ? now == old : Nearest(half + change) == half) ? 1 : 0;
            }

            if (decay != 0)
            {
                _shrunk++;
                _shrunkInVain += Nearest(half * rule.Factor) == half ? 1 : 0;
            }
        }

        _count += before.Length;
    }

    /// <summary>Adds the copy that passes read.</summary>
    public void AddCopy(ReadOnlySpan<float> copy, ReadOnlySpan<float> weights)
    {
        for (int i = 0; i < copy.Length; i++)
        {
            double difference = (double)copy[i] - weights[i];
            _gap += difference * difference;
        }
    }

    /// <summary>Adds the sums of others.</summary>
    public void Add(ElementSums other)
    {
        ArgumentNullException.ThrowIfNull(other);
        _gradientDotWeight += other._gradientDotWeight;
        _gradientSquares += other._gradientSquares;
        _directionDotWeight += other._directionDotWeight;
        _directionSquares += other._directionSquares;
        _before += other._before;
        _after += other._after;
        _rates += other._rates;
        _roots += other._roots;
        _rounding += other._rounding;
        _gap += other._gap;
        _count += other._count;
        _changed += other._changed;
        _lost += other._lost;
        _shrunk += other._shrunk;
        _shrunkInVain += other._shrunkInVain;
        LargestMagnitude = Math.Max(LargestMagnitude, other.LargestMagnitude);
    }

    private static double Nearest(double value) => BFloat16.Value(BFloat16.Round((float)value));
}
