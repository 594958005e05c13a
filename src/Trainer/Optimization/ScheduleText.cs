using System.Globalization;

namespace Trainer.Optimization;

/// <summary>Schedules as the options of the command line write them.</summary>
/// <remarks>
/// <code>
/// constant              1 at every step
/// linear[:m]            from 1 to m at the last step         cosine[:m], wsd[:m] likewise
/// step:S=F[,S=F...]     1, and from step S on F              step:400=0.1,600=0.01
/// points:S=F[,S=F...]   straight lines between the points    points:0=1,400=1,800=0.1
/// </code>
/// Steps count from 0.
/// </remarks>
public static class ScheduleText
{
    /// <summary>The forms, for help and errors.</summary>
    public const string Forms = "constant, linear, cosine, wsd (each with :M, the last multiplier), step:S=F,... or points:S=F,...";

    /// <summary>Reads a schedule.</summary>
    /// <param name="option">The option, for errors.</param>
    /// <param name="text">One of the forms.</param>
    /// <param name="whole">What the forms do not say: warm-up, the steps, the last multiplier where none is written.</param>
    /// <exception cref="RequestException">The text has none of the forms.</exception>
    public static Schedule Parse(string option, string text, Schedule whole)
    {
        ArgumentNullException.ThrowIfNull(text);
        ArgumentNullException.ThrowIfNull(whole);
        int colon = text.IndexOf(':', StringComparison.Ordinal);
        string name = colon < 0 ? text : text[..colon];
        string? rest = colon < 0 ? null : text[(colon + 1)..];
        ScheduleShape? shape = name switch
        {
            "constant" => ScheduleShape.Constant,
            "linear" => ScheduleShape.Linear,
            "cosine" => ScheduleShape.Cosine,
            "wsd" => ScheduleShape.WarmupStableDecay,
            "step" => ScheduleShape.Step,
            "points" => ScheduleShape.Piecewise,
            _ => null,
        };
        switch (shape)
        {
            case ScheduleShape.Constant when rest is null:
                return whole with { Shape = ScheduleShape.Constant };
            case ScheduleShape.Step or ScheduleShape.Piecewise when rest is not null:
                return whole with { Shape = shape.Value, Points = Points(option, text, rest) };
            case ScheduleShape.Linear or ScheduleShape.Cosine or ScheduleShape.WarmupStableDecay when rest is null:
                return whole with { Shape = shape.Value };
            case ScheduleShape.Linear or ScheduleShape.Cosine or ScheduleShape.WarmupStableDecay
                when double.TryParse(rest, NumberStyles.Float, CultureInfo.InvariantCulture, out double last) && last is >= 0 and <= 1:
                return whole with { Shape = shape.Value, FinalFraction = last };
            default:
                throw Wrong(option, text);
        }
    }

    private static List<(long Step, double Multiplier)> Points(string option, string text, string list)
    {
        var points = new List<(long Step, double Multiplier)>();
        foreach (string item in list.Split(','))
        {
            string[] pair = item.Split('=');
            if (pair.Length != 2
                || !long.TryParse(pair[0], NumberStyles.None, CultureInfo.InvariantCulture, out long step)
                || !double.TryParse(pair[1], NumberStyles.Float, CultureInfo.InvariantCulture, out double multiplier)
                || !(multiplier >= 0) || !double.IsFinite(multiplier)
                || (points.Count > 0 && step <= points[^1].Step))
            {
                throw Wrong(option, text);
            }

            points.Add((step, multiplier));
        }

        return points;
    }

    private static RequestException Wrong(string option, string text) => new($"{option} '{text}' is no schedule.\n"
        + $"It is one of {Forms}; M lies in [0, 1], steps S count from 0 and ascend, multipliers F are 0 or more: step:400=0.1.");
}
