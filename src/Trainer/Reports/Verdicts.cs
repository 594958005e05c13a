namespace Trainer.Reports;

/// <summary>What was expected of an experiment, and what came of it.</summary>
/// <param name="Items">One for each expectation.</param>
public sealed record Verdicts(IReadOnlyList<Verdict> Items) : ReportBlock;

/// <summary>The verdict on an expectation.</summary>
/// <param name="Outcome">What came of it.</param>
/// <param name="Expectation">What was to be seen, as it was put down before.</param>
/// <param name="Numbers">The figures that decide it.</param>
public sealed record Verdict(Outcome Outcome, string Expectation, string Numbers);

/// <summary>What came of an expectation.</summary>
public enum Outcome
{
    /// <summary>It was seen.</summary>
    Seen,

    /// <summary>The opposite, or nothing, was seen.</summary>
    NotSeen,

    /// <summary>The figures do not decide.</summary>
    Inconclusive,
}
