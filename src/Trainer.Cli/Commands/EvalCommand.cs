using System.Globalization;
using System.Text;
using System.Text.Json;
using Trainer.Metrics;
using Trainer.Training;

namespace Trainer.Cli.Commands;

/// <summary>What <c>trainer eval</c> is asked.</summary>
internal sealed record EvalSettings
{
    private const string Model = "Model", DataGroup = "Data", DeviceGroup = "Device";

    /// <summary>A run, whose last checkpoint is used.</summary>
    [Setting(Model, "run whose last checkpoint to evaluate", "DIR", Default = "none")]
    public string? Run { get; init; }

    /// <summary>A checkpoint.</summary>
    [Setting(Model, "checkpoint to evaluate, instead of --run", "PATH", Default = "none")]
    public string? Checkpoint { get; init; }

    /// <summary>The dataset.</summary>
    [Setting(DataGroup, "directory written by 'trainer prepare'", "DIR", Default = "that of the run")]
    public string? Data { get; init; }

    /// <summary>Sequences of one pass.</summary>
    [Setting(DataGroup, "sequences of one pass through the model", "N", Range = "[1, 65536]")]
    public int BatchSize { get; init; } = 8;

    /// <summary>Batches of each split.</summary>
    [Setting(DataGroup, "batches of each split; 0: all of them", "N", Range = "[0, inf)")]
    public int Batches { get; init; } = 100;

    /// <summary>What computes.</summary>
    [Setting(DeviceGroup, "what computes", Values = "auto|cpu|cuda|cuda:N")]
    public string Device { get; init; } = "auto";

    /// <summary>CPU threads; 0 for one per processor.</summary>
    [Setting(DeviceGroup, "CPU threads; 0: one per processor", "N", Range = "[0, 1024]")]
    public int Threads { get; init; }

    /// <summary>Whether the answer is for a program.</summary>
    [Setting("Output", "answer with one JSON object")]
    public bool Json { get; init; }
}

/// <summary>The work of the verb.</summary>
internal delegate EvaluationMetrics Evaluate(EvalSettings settings, CancellationToken stop);

/// <summary><c>trainer eval</c>: the losses of a trained model.</summary>
internal static class EvalCommand
{
    public static Verb Create(Terminal terminal, Evaluate evaluate) => Verb.Create<EvalSettings>(
        "eval",
        "Measures the loss of a trained model on held-out and on training text.",
        ["trainer eval --run runs/first", "trainer eval --checkpoint runs/first/checkpoints/step-00001000 --data data/shakespeare --json"],
        settings =>
        {
            ModelChoice.Check(settings.Run, settings.Checkpoint);
            if (settings is { Checkpoint: not null, Data: null })
                throw new RequestException("--checkpoint needs --data DIR, the dataset to evaluate on; only a --run knows its own.");
            terminal.StopOnInterruption();
            EvaluationMetrics metrics = evaluate(settings, terminal.Stop);
            terminal.Out.WriteLine(settings.Json ? Json(metrics) : Text(metrics));
            return ExitCode.Done;
        });

    private static string Text(EvaluationMetrics metrics) => string.Create(CultureInfo.InvariantCulture,
        $"step {metrics.Step}: validation loss {metrics.ValidationLoss:F4} (perplexity {Math.Exp(metrics.ValidationLoss):F2}), training loss {metrics.TrainLoss:F4} (perplexity {Math.Exp(metrics.TrainLoss):F2})");

    private static string Json(EvaluationMetrics metrics)
    {
        using var stream = new MemoryStream();
        using (var writer = new Utf8JsonWriter(stream))
        {
            writer.WriteStartObject();
            writer.WriteNumber("step", metrics.Step);
            writer.WriteNumber("valLoss", metrics.ValidationLoss);
            writer.WriteNumber("trainLoss", metrics.TrainLoss);
            writer.WriteEndObject();
        }

        return Encoding.UTF8.GetString(stream.ToArray());
    }
}
