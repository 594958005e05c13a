using System.Globalization;
using System.Text;
using System.Text.Json;
using Trainer.Checkpoints;
using Trainer.Metrics;
using Trainer.Model;
using Trainer.Training;

namespace Trainer.Cli.Commands;

/// <summary>What <c>trainer eval</c> is asked.</summary>
internal sealed record EvalSettings
{
    private const string ModelGroup = "Model", DataGroup = "Data", DeviceGroup = "Device";

    /// <summary>A run, whose last checkpoint is used.</summary>
    [Setting(ModelGroup, "run whose last checkpoint to evaluate", "DIR", Default = "none")]
    public string? Run { get; init; }

    /// <summary>A checkpoint.</summary>
    [Setting(ModelGroup, "checkpoint to evaluate, instead of --run", "PATH", Default = "none")]
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
    [Setting(DeviceGroup, "what computes", Values = "auto|cpu|cuda|cuda:N|cuda-sim")]
    public string Device { get; init; } = "auto";

    /// <summary>CPU threads; 0 for one per processor.</summary>
    [Setting(DeviceGroup, "CPU threads; 0: one per processor", "N", Range = "[0, 1024]")]
    public int Threads { get; init; }

    /// <summary>Whether the answer is for a program.</summary>
    [Setting("Output", "answer with one JSON object")]
    public bool Json { get; init; }
}

/// <summary><c>trainer eval</c>: the losses of a trained model.</summary>
internal static class EvalCommand
{
    public static Verb Create(Terminal terminal) => Verb.Create<EvalSettings>(
        "eval",
        "Measures the loss of a trained model on held-out and on training text.",
        ["trainer eval --run runs/first", "trainer eval --checkpoint runs/first/checkpoints/step-00001000 --data data/shakespeare --json"],
        settings =>
        {
            ModelSource source = TrainedModel.Find(settings.Run, settings.Checkpoint);
            using TrainingData data = TrainingData.Open(DataOf(settings, source));
            if (data.Vocabulary != source.Config.Vocabulary)
                throw new RequestException($"the model has a vocabulary of {source.Config.Vocabulary}, but the data have one of {data.Vocabulary}; give data made with the model's tokenizer.");
            using TrainedModel trained = TrainedModel.Load(source, settings.Device, settings.Threads, settings.BatchSize, ModelUse.Evaluate);
            var evaluator = new Evaluator(data, settings.BatchSize, source.Config.SequenceLength, settings.Batches == 0 ? int.MaxValue : settings.Batches);
            long step = source.Checkpoint is { } checkpoint ? Checkpoint.Open(checkpoint).Step : 0;
            var metrics = new EvaluationMetrics(step, evaluator.ValidationLoss(trained.Model), evaluator.TrainLoss(trained.Model));
            terminal.Out.WriteLine(settings.Json ? Json(metrics) : Text(metrics));
            return ExitCode.Done;
        });

    private static TrainingSettings DataOf(EvalSettings settings, ModelSource source)
    {
        if (settings.Data is { } data)
            return new TrainingSettings { Data = data };
        return source.Run is { } run && new RunPaths(run).Config is var record && File.Exists(record)
            ? TrainingSettings.FromFile(record)
            : throw new RequestException("the model belongs to no run that knows its data; name a dataset with --data DIR.");
    }

    private static string Text(EvaluationMetrics metrics) => string.Create(CultureInfo.InvariantCulture,
        $"step {metrics.Step}: validation loss {metrics.ValidationLoss:F4} (perplexity {Math.Exp(metrics.ValidationLoss):F2}), training loss {metrics.TrainLoss:F4} (perplexity {Math.Exp(metrics.TrainLoss):F2})");

    private static string Json(EvaluationMetrics metrics)
    {
        using var stream = new MemoryStream();
        using (var writer = new Utf8JsonWriter(stream))
        {
            writer.WriteStartObject();
            writer.WriteNumber("step", metrics.Step);
            WriteLoss("valLoss", metrics.ValidationLoss);
            WriteLoss("trainLoss", metrics.TrainLoss);
            writer.WriteEndObject();

            // JSON has no word for the loss of a model that is broken.
            void WriteLoss(string key, double loss)
            {
                if (double.IsFinite(loss))
                    writer.WriteNumber(key, loss);
                else
                    writer.WriteNull(key);
            }
        }

        return Encoding.UTF8.GetString(stream.ToArray());
    }
}
