using System.Globalization;

namespace Trainer.Experiments;

/// <summary>Numbers that differ by seed.</summary>
/// <param name="Values">One for each seed.</param>
public sealed record Sample(IReadOnlyList<double> Values)
{
    /// <summary>Their mean.</summary>
    public double Mean => Values.Average();

    /// <summary>The standard error of the mean, s / √n with n - 1 degrees of freedom; not a number for a single value.</summary>
    public double StandardError => Values.Count > 1
        ? Math.Sqrt(Values.Sum(value => Math.Pow(value - Mean, 2)) / (Values.Count - 1) / Values.Count)
        : double.NaN;

    /// <summary>Mean, standard error and the values: <c>-0.0112 ± 0.0019 (-0.0115, -0.0158, -0.0063)</c>.</summary>
    public string Text(string format = "0.0000")
    {
        string Number(double value) => value.ToString(format, CultureInfo.InvariantCulture);
        return Values.Count == 1 ? Number(Mean) : $"{Number(Mean)} ± {Number(StandardError)} ({string.Join(", ", Values.Select(Number))})";
    }
}
