using System.Globalization;

namespace Trainer.Training;

/// <summary>An interval of numbers in the usual notation, <c>[0, 1)</c>, <c>(0, inf)</c>.</summary>
internal readonly record struct Interval(double Low, bool LowIncluded, double High, bool HighIncluded)
{
    public static Interval Parse(string text)
    {
        string[] ends = text[1..^1].Split(',', StringSplitOptions.TrimEntries);
        return new Interval(End(ends[0]), text[0] == '[', End(ends[1]), text[^1] == ']');
    }

    /// <summary>False for NaN.</summary>
    public bool Contains(double value) =>
        (LowIncluded ? value >= Low : value > Low) && (HighIncluded ? value <= High : value < High);

    /// <summary>The rest of a sentence that begins with "must": "be positive", "be at least 1", "lie in [0, 1)".</summary>
    public override string ToString()
    {
        if (double.IsFinite(High))
            return string.Create(CultureInfo.InvariantCulture, $"lie in {(LowIncluded ? '[' : '(')}{Low}, {High}{(HighIncluded ? ']' : ')')}");
        return LowIncluded ? string.Create(CultureInfo.InvariantCulture, $"be at least {Low}") : "be positive";
    }

    private static double End(string text) =>
        text == "inf" ? double.PositiveInfinity : double.Parse(text, CultureInfo.InvariantCulture);
}
