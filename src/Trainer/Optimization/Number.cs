using System.Globalization;

namespace Trainer.Optimization;

/// <summary>Numbers as the field writes them: <c>0.1</c>, <c>1e-4</c>.</summary>
internal static class Number
{
    /// <summary>Up to six significant decimals, with an exponent where that is shorter to read.</summary>
    public static string Text(double value)
    {
        double magnitude = Math.Abs(value);
        bool plain = magnitude is 0 or (>= 1e-2 and < 1e6) || !double.IsFinite(value);
        return value.ToString(plain ? "0.######" : "0.#####e0", CultureInfo.InvariantCulture);
    }
}
