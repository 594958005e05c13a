using Trainer.Checkpoints;
using Trainer.Cli.Display;
using Trainer.Compute;
using Trainer.Data;
using Trainer.Reports;
using Trainer.Training;

namespace Trainer.Cli.Commands;

/// <summary>What <c>trainer train</c> is asked besides the settings of the run.</summary>
internal sealed record TrainRequest
{
    /// <summary>A configuration file.</summary>
    [Setting("Run", "JSON file whose keys are these options in camelCase; the command line wins", "FILE", Default = "none")]
    public string? Config { get; init; }
}

/// <summary>The work of the verb.</summary>
/// <param name="settings">Checked settings.</param>
/// <param name="observer">Is told what happens.</param>
/// <param name="preparation">Is told how far a corpus is that has to be prepared first.</param>
/// <param name="stop">Asks for a checkpoint and an end after the current step.</param>
/// <returns>How it ended.</returns>
internal delegate TrainingSummary Train(TrainingSettings settings, ITrainingObserver observer, IProgress<PreparationProgress> preparation, CancellationToken stop);

/// <summary><c>trainer train</c>: trains a model and shows how it goes.</summary>
internal static class TrainCommand
{
    private static readonly IReadOnlyList<SettingDefinition> RequestDefinitions = SettingDefinition.Of<TrainRequest>();

    public static Verb Create(Terminal terminal, Train train) => new(
        "train",
        "Trains a model. With no options at all it trains a small one on a default corpus, on the best device there is.",
        [
            "trainer train",
            "trainer train --data data/shakespeare --preset small --steps 2000 --run runs/first",
            "trainer train --data data/shakespeare --regularizer norm-control --norm-target 1.5",
            "trainer train --run runs/first --resume --steps 4000",
        ],
        [.. RequestDefinitions, .. TrainingSettings.Definitions],
        given =>
        {
            TrainRequest request = SettingDefinition.Read<TrainRequest>(RequestDefinitions, given.Of(RequestDefinitions));
            TrainingSettings settings = TrainingSettings.Load(request.Config, given.Of(TrainingSettings.Definitions));
            ITrainingObserver observer = terminal.Rich ? new LiveConsole(terminal, TimeProvider.System) : new PlainConsole(terminal.Error, TimeProvider.System);
            terminal.StopOnInterruption();
            TrainingSummary summary = train(settings, observer, new PreparationDisplay(terminal, TimeProvider.System), terminal.Stop);
            return summary.Interrupted ? ExitCode.Interrupted : ExitCode.Done;
        });

    /// <summary>The real work: opens data and device, and trains.</summary>
    public static TrainingSummary Train(TrainingSettings settings, ITrainingObserver observer, IProgress<PreparationProgress> preparation, CancellationToken stop)
    {
        // The device first: a corpus is not prepared for one that cannot be used.
        using IBackend backend = Devices.Open(settings.Device, settings.Precision, settings.Threads, settings.Isa, settings.Seed);
        using TrainingData data = TrainingData.Open(settings, preparation, stop);
        using TrainingRun run = TrainingRun.Open(settings, data, backend);
        TrainingSummary summary = run.Train(observer, stop);
        if (summary.Step > 0)
            ReportCommand.Write(RunReport.Create([summary.RunDirectory]), new RunPaths(summary.RunDirectory).Report);
        return summary;
    }
}
