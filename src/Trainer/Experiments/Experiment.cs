using Trainer.Reports;

namespace Trainer.Experiments;

/// <summary>The machine that an experiment is sized for.</summary>
public enum LabScale
{
    /// <summary>A few cores, minutes.</summary>
    Cpu,

    /// <summary>One large GPU, minutes for each arm.</summary>
    Gpu,
}

/// <summary>
/// An experiment, as it is put down before it is run: a claim, the arms that are compared, and what must be seen. Each seed runs all arms on the same
/// initial weights, order of data and evaluation batches, so that arms are compared in pairs.
/// </summary>
/// <param name="Id">Its short name: <c>C1</c>.</param>
/// <param name="Title">What it is about, in a few words.</param>
/// <param name="Claim">The claim that is tried, in a sentence or two.</param>
/// <param name="Source">The paper and figure.</param>
public sealed record Experiment(string Id, string Title, string Claim, string Source)
{
    /// <summary>Model, data, length and strengths, in words.</summary>
    public required string Setting { get; init; }

    /// <summary>What is run, each after those that it builds on.</summary>
    public required IReadOnlyList<Arm> Arms { get; init; }

    /// <summary>What must be seen.</summary>
    public required IReadOnlyList<Expectation> Expectations { get; init; }

    /// <summary>The seeds 1 to this many, unless other numbers are asked for.</summary>
    public int Seeds { get; init; } = 3;

    /// <summary>The machine that it is sized for.</summary>
    public LabScale Scale { get; init; } = LabScale.Cpu;

    /// <summary>The metrics whose curves are shown, with their labels.</summary>
    public IReadOnlyList<(string Metric, string Title, string Unit)> Curves { get; init; } =
    [
        ("loss", "Training loss", "nats per token"), ("normRatio", "Weight norm over its initial value", "ratio"), ("angle", "Angle of a step", "radians"),
    ];

    /// <summary>What the table has for each arm, in columns.</summary>
    public IReadOnlyList<Measure> Measures { get; init; } = [Measure.ValidationLoss, Measure.TrainLoss, Measure.NormRatio];

    /// <summary>Charts of its own, over all runs.</summary>
    public Func<ExperimentResults, IReadOnlyList<ReportBlock>> Charts { get; init; } = _ => [];
}

/// <summary>A number of a finished run.</summary>
/// <param name="Name">What it is, with its unit.</param>
/// <param name="Of">Reads it.</param>
public sealed record Measure(string Name, Func<FinishedRun, double> Of)
{
    /// <summary>The last validation loss.</summary>
    public static Measure ValidationLoss { get; } = new("validation loss", run => run.Last("valLoss"));

    /// <summary>The last loss on as many training tokens.</summary>
    public static Measure TrainLoss { get; } = new("training loss", run => run.Last("trainLoss"));

    /// <summary>The last weight norm over the initial one.</summary>
    public static Measure NormRatio { get; } = new("norm ratio", run => run.Last("normRatio"));

    /// <summary>The last value of a metric.</summary>
    public static Measure Last(string metric) => new(metric, run => run.Last(metric));

    /// <summary>A number of a toy's result.</summary>
    public static Measure Result(string name) => new(name, run => run.Result(name));
}

/// <summary>What must be seen.</summary>
/// <param name="Text">As it is put down before.</param>
/// <param name="Judge">Decides it from the runs.</param>
public sealed record Expectation(string Text, Func<ExperimentResults, Finding> Judge);

/// <summary>What came of an expectation.</summary>
/// <param name="Outcome">Whether it was seen.</param>
/// <param name="Numbers">The figures that decide it.</param>
public sealed record Finding(Outcome Outcome, string Numbers);
