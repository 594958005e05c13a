using Trainer.Reports;

namespace Trainer.Experiments;

/// <summary>The ways in which expectations are decided, the same for all experiments.</summary>
public static class Judge
{
    /// <summary>
    /// A paired difference has a sign. Seen: at least two thirds of the seeds have it, and the mean. Not seen: at least two thirds have the other
    /// sign. Inconclusive: anything else, and numbers that are none.
    /// </summary>
    /// <param name="difference">By seed.</param>
    /// <param name="negative">Whether it must be below 0, or above.</param>
    public static Outcome Sign(Sample difference, bool negative)
    {
        ArgumentNullException.ThrowIfNull(difference);
        int count = difference.Values.Count, right = difference.Values.Count(value => negative ? value < 0 : value > 0), wrong = difference.Values.Count(value => negative ? value > 0 : value < 0);
        bool mean = negative ? difference.Mean < 0 : difference.Mean > 0;
        return 3 * right >= 2 * count && mean ? Outcome.Seen
            : 3 * wrong >= 2 * count && !mean && !double.IsNaN(difference.Mean) ? Outcome.NotSeen
            : Outcome.Inconclusive;
    }

    /// <summary>One arm has less of a measure than another.</summary>
    public static Finding Lower(ExperimentResults results, string arm, string other, params ReadOnlySpan<Measure> measures)
    {
        ArgumentNullException.ThrowIfNull(results);
        var outcomes = new List<Outcome>();
        var texts = new List<string>();
        foreach (Measure measure in measures)
        {
            Sample difference = results.Difference(arm, other, measure);
            outcomes.Add(Sign(difference, negative: true));
            texts.Add($"{measure.Name}, {arm} - {other}: {difference.Text()}");
        }

        return new Finding(All(outcomes), string.Join("; ", texts));
    }

    /// <summary>Every value lies in an interval. Seen: all; not seen: none; inconclusive: some.</summary>
    public static Outcome Inside(IReadOnlyList<double> values, double low, double high)
    {
        ArgumentNullException.ThrowIfNull(values);
        int inside = values.Count(value => value >= low && value <= high);
        return inside == values.Count ? Outcome.Seen : inside == 0 ? Outcome.NotSeen : Outcome.Inconclusive;
    }

    /// <summary>A measure grows from arm to arm, in at least two thirds of the seeds.</summary>
    public static Finding Grows(ExperimentResults results, IReadOnlyList<string> arms, Measure measure, string format = "0.0000")
    {
        ArgumentNullException.ThrowIfNull(results);
        ArgumentNullException.ThrowIfNull(arms);
        ArgumentNullException.ThrowIfNull(measure);
        var bySeed = results.Seeds.Select((_, seed) => arms.Select(arm => results.Values(arm, measure)[seed]).ToArray()).ToList();
        int growing = bySeed.Count(values => values.Zip(values.Skip(1)).All(pair => pair.Second > pair.First));
        int falling = bySeed.Count(values => values[^1] < values[0]);
        Outcome outcome = 3 * growing >= 2 * bySeed.Count ? Outcome.Seen : 3 * falling >= 2 * bySeed.Count ? Outcome.NotSeen : Outcome.Inconclusive;
        return new Finding(outcome, $"{measure.Name}: " + string.Join("; ", arms.Select(arm => $"{arm} {new Sample(results.Values(arm, measure)).Text(format)}")));
    }

    /// <summary>The verdict on what consists of parts: seen when all are, not seen when one is not.</summary>
    public static Outcome All(IReadOnlyList<Outcome> parts) =>
        parts.Contains(Outcome.NotSeen) ? Outcome.NotSeen : parts.Contains(Outcome.Inconclusive) ? Outcome.Inconclusive : Outcome.Seen;
}
