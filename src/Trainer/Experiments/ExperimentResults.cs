namespace Trainer.Experiments;

/// <summary>The finished runs of an experiment.</summary>
/// <param name="experiment">What was run.</param>
/// <param name="seeds">The seeds.</param>
/// <param name="runs">A run for each arm and seed.</param>
public sealed class ExperimentResults(Experiment experiment, IReadOnlyList<ulong> seeds, IReadOnlyList<FinishedRun> runs)
{
    /// <summary>What was run.</summary>
    public Experiment Experiment => experiment;

    /// <summary>The seeds.</summary>
    public IReadOnlyList<ulong> Seeds => seeds;

    /// <summary>All runs, by arm and then by seed.</summary>
    public IReadOnlyList<FinishedRun> Runs => runs;

    /// <summary>The runs of an arm, by seed.</summary>
    public IReadOnlyList<FinishedRun> Of(string arm) => [.. runs.Where(run => run.Arm == arm)];

    /// <summary>A number of each run of an arm, by seed.</summary>
    public IReadOnlyList<double> Values(string arm, Measure measure) => [.. Of(arm).Select(measure.Of)];

    /// <summary>What one arm has more than another, seed by seed.</summary>
    public Sample Difference(string arm, string other, Measure measure) =>
        new([.. Values(arm, measure).Zip(Values(other, measure), (a, b) => a - b)]);
}
