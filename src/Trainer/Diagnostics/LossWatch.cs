namespace Trainer.Diagnostics;

/// <summary>What is remarkable about the loss of a step.</summary>
/// <param name="IsSpike">Whether it stands out above the last ones.</param>
/// <param name="Spike">A sentence at the first step of a spike, else null.</param>
/// <param name="Divergence">A sentence at the step at which a divergence is found, else null.</param>
public readonly record struct LossNotice(bool IsSpike, string? Spike, string? Divergence);

/// <summary>
/// Finds spikes and divergence in a series of losses, one after the other. It depends on the losses alone, so that a resumed run shows it those of its
/// metrics and goes on as if it had not been interrupted.
/// </summary>
/// <remarks>
/// A spike is a loss above median + 6 · 1.4826 · MAD of the 200 losses before it (MAD: median absolute deviation; 1.4826 makes it the standard deviation of a
/// normal distribution), once there are 50. Divergence is a loss that is not finite; a moving average (time constant of 100 steps) that for 500 steps has been
/// 0.5 above its lowest value; or one above ln V, the loss of a model that knows nothing, after it has been 0.5 below. A divergence is told of once, and
/// anew after the average has come back to within 0.5 of its lowest value.
/// </remarks>
/// <param name="vocabulary">V.</param>
public sealed class LossWatch(int vocabulary)
{
    /// <summary>The losses that a spike stands out from.</summary>
    public const int Window = 200;

    private const int FewestLosses = 50;
    private const double SpikeDeviations = 6 * 1.4826;
    private const double AverageShare = 1.0 / 100;
    private const double Margin = 0.5;
    private const int StepsAbove = 500;

    private readonly Queue<double> _losses = new(Window);
    private readonly List<double> _sorted = new(Window + 1);
    private readonly double[] _deviations = new double[Window];
    private readonly double _ignorance = Math.Log(vocabulary);
    private double _average = double.NaN;
    private double _lowest = double.PositiveInfinity;
    private int _above;
    private bool _inSpike;
    private bool _diverged;

    /// <summary>Takes in the loss of the next step.</summary>
    public LossNotice Observe(double loss)
    {
        if (!double.IsFinite(loss))
            return new LossNotice(false, null, Diverge($"the loss is {loss}"));
        double median = double.NaN, bound = double.PositiveInfinity;
        if (_sorted.Count >= FewestLosses)
            (median, bound) = Bound();
        bool isSpike = loss > bound;
        string? spike = isSpike && !_inSpike ? FormattableString.Invariant($"the loss {loss:F4} is a spike: the median of the last {_sorted.Count} is {median:F4}") : null;
        _inSpike = isSpike;
        Keep(loss);
        return new LossNotice(isSpike, spike, Follow(loss));
    }

    private static double Median(ReadOnlySpan<double> sorted) => 0.5 * (sorted[(sorted.Length - 1) / 2] + sorted[sorted.Length / 2]);

    private (double Median, double Bound) Bound()
    {
        ReadOnlySpan<double> sorted = System.Runtime.InteropServices.CollectionsMarshal.AsSpan(_sorted);
        double median = Median(sorted);
        Span<double> deviations = _deviations.AsSpan(0, sorted.Length);
        for (int i = 0; i < sorted.Length; i++)
            deviations[i] = Math.Abs(sorted[i] - median);
        deviations.Sort();
        return (median, median + (SpikeDeviations * Median(deviations)));
    }

    private void Keep(double loss)
    {
        if (_losses.Count == Window)
            _sorted.RemoveAt(_sorted.BinarySearch(_losses.Dequeue()));
        _losses.Enqueue(loss);
        int place = _sorted.BinarySearch(loss);
        _sorted.Insert(place < 0 ? ~place : place, loss);
    }

    private string? Follow(double loss)
    {
        _average = double.IsNaN(_average) ? loss : _average + (AverageShare * (loss - _average));
        _lowest = Math.Min(_lowest, _average);
        if (_average <= _lowest + Margin)
        {
            (_above, _diverged) = (0, false);
            return null;
        }

        _above++;
        if (_average > _ignorance && _lowest < _ignorance - Margin)
            return Diverge(FormattableString.Invariant($"the loss has risen from {_lowest:F4} to {_average:F4}, above that of a model that knows nothing, {_ignorance:F4}"));
        return _above >= StepsAbove
            ? Diverge(FormattableString.Invariant($"the loss has been {Margin} above its lowest average {_lowest:F4} for {StepsAbove} steps and is {_average:F4}"))
            : null;
    }

    private string? Diverge(string text)
    {
        bool known = _diverged;
        _diverged = true;
        return known ? null : text + "; the run diverges";
    }
}
