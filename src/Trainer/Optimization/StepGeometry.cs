namespace Trainer.Optimization;

/// <summary>Angles from norms: a step's geometry without another pass over the weights.</summary>
public static class StepGeometry
{
    /// <summary>
    /// The angle between a vector before and after a change, in radians: 2 asin(½ ‖a/‖a‖ - b/‖b‖‖), which unlike the arc cosine is exact for small
    /// angles; the square of the chord is (‖a - b‖² - (‖a‖ - ‖b‖)²) / (‖a‖ ‖b‖).
    /// </summary>
    /// <param name="before">‖a‖.</param>
    /// <param name="after">‖b‖.</param>
    /// <param name="change">‖a - b‖².</param>
    /// <returns>In [0, π]; not a number when a norm is 0.</returns>
    public static double Angle(double before, double after, double change)
    {
        double difference = after - before, product = before * after;
        return product > 0 ? 2 * Math.Asin(Math.Min(1, 0.5 * Math.Sqrt(Math.Max(0, (change - (difference * difference)) / product)))) : double.NaN;
    }
}
