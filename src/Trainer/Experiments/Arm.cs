using Trainer.Training;

namespace Trainer.Experiments;

/// <summary>One of the things that an experiment compares: a run for each seed.</summary>
/// <param name="Name">Its name, also of its directories.</param>
public abstract record Arm(string Name)
{
    /// <summary>The arms whose runs of the same seed must be finished before.</summary>
    public IReadOnlyList<string> After { get; init; } = [];
}

/// <summary>A training run.</summary>
/// <param name="Name">Its name.</param>
/// <param name="Settings">What differs from the experiment's common settings; may look at finished runs.</param>
public sealed record TrainingArm(string Name, Func<ArmContext, TrainingSettings> Settings) : Arm(Name);

/// <summary>A small model without a device, which writes its metrics and result into a directory.</summary>
/// <param name="Name">Its name.</param>
/// <param name="Run">Runs it for a directory and a seed.</param>
public sealed record ToyArm(string Name, Action<string, ulong> Run) : Arm(Name);

/// <summary>What an arm's settings are made from.</summary>
/// <param name="Common">The settings of all runs: data, device, seed.</param>
/// <param name="Of">The finished run of another arm, of the same seed; only of those in <see cref="Arm.After"/>.</param>
public sealed record ArmContext(TrainingSettings Common, Func<string, FinishedRun> Of);
