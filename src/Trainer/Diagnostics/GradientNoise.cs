namespace Trainer.Diagnostics;

/// <summary>The noise of the gradient, from the means g_a and g_b over either half of a step's micro-batches.</summary>
public sealed class GradientNoise
{
    private double _difference;
    private double _mean;

    /// <summary>½ ‖g_a - g_b‖²: twice the variance of the step's own gradient g = (g_a + g_b) / 2.</summary>
    public double Noise => 0.5 * _difference;

    /// <summary><see cref="Noise"/> / ‖g‖².</summary>
    public double Ratio => Noise / _mean;

    /// <summary>Adds some elements.</summary>
    /// <param name="gradients">g.</param>
    /// <param name="half">What the first half of the micro-batches contributes to it: g_a / 2.</param>
    public void Add(ReadOnlySpan<float> gradients, ReadOnlySpan<float> half)
    {
        for (int i = 0; i < gradients.Length; i++)
        {
            double g = gradients[i], difference = (4 * (double)half[i]) - (2 * g);
            _difference += difference * difference;
            _mean += g * g;
        }
    }
}
