namespace Trainer.Experiments;

/// <summary>
/// p of y ∝ t^p: least squares of log y on log t, over values that are taken at times evenly apart in log t, so that each stretch of the
/// straight line counts alike.
/// </summary>
/// <param name="firstTime">Values before are left out; positive.</param>
/// <param name="lastTime">The time of the last value.</param>
/// <param name="points">About how many values are taken.</param>
internal sealed class PowerLawFit(double firstTime, double lastTime, int points)
{
    private readonly double _spacing = Math.Pow(lastTime / firstTime, 1.0 / points);
    private readonly List<(double LogTime, double LogValue)> _taken = [];
    private double _next = firstTime;

    /// <summary>The fitted exponent; NaN for fewer than two values.</summary>
    public double Exponent
    {
        get
        {
            if (_taken.Count < 2)
                return double.NaN;
            double meanTime = _taken.Average(point => point.LogTime);
            double meanValue = _taken.Average(point => point.LogValue);
            return _taken.Sum(point => (point.LogTime - meanTime) * (point.LogValue - meanValue))
                / _taken.Sum(point => (point.LogTime - meanTime) * (point.LogTime - meanTime));
        }
    }

    /// <summary>Offers the value at a time; times grow from call to call.</summary>
    public void Add(double time, double value)
    {
        if (time < _next)
            return;
        _taken.Add((Math.Log(time), Math.Log(value)));
        _next = time * _spacing;
    }
}
