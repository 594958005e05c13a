using Trainer.Checkpoints;
using Trainer.Cli.Display;
using Trainer.Generation;
using Trainer.Model;
using Trainer.Tokenization;
using Trainer.Training;

namespace Trainer.Cli.Commands;

/// <summary>What <c>trainer sample</c> is asked.</summary>
internal sealed record SampleSettings
{
    private const string ModelGroup = "Model", Text = "Text", Choice = "Choice of tokens", DeviceGroup = "Device";

    /// <summary>A run, whose last checkpoint is used.</summary>
    [Setting(ModelGroup, "run whose last checkpoint to use", "DIR", Default = "none")]
    public string? Run { get; init; }

    /// <summary>A checkpoint.</summary>
    [Setting(ModelGroup, "checkpoint to use, instead of --run", "PATH", Default = "none")]
    public string? Checkpoint { get; init; }

    /// <summary>The text to continue.</summary>
    [Setting(Text, "text to continue", "TEXT", Default = "the beginning of a document")]
    public string Prompt { get; init; } = string.Empty;

    /// <summary>Tokens to write.</summary>
    [Setting(Text, "tokens to write", "N", Range = "[1, inf)")]
    public int Tokens { get; init; } = 200;

    /// <summary>Divides the logits; 0 takes the likeliest token.</summary>
    [Setting(Choice, "divides the logits; 0: always the likeliest token", "X", Range = "[0, inf)")]
    public double Temperature { get; init; } = 0.8;

    /// <summary>Only the likeliest k tokens; 0 for all.</summary>
    [Setting(Choice, "only among the likeliest N tokens; 0: all", "N", Range = "[0, inf)")]
    public int TopK { get; init; }

    /// <summary>Only the likeliest tokens that hold this share of the probability.</summary>
    [Setting(Choice, "only among the likeliest tokens that hold this share of the probability", "X", Range = "(0, 1]")]
    public double TopP { get; init; } = 1;

    /// <summary>The seed.</summary>
    [Setting(Choice, "seed of the choice", "N")]
    public ulong Seed { get; init; } = 1;

    /// <summary>What computes.</summary>
    [Setting(DeviceGroup, "what computes", Values = "auto|cpu|cuda|cuda:N|cuda-sim")]
    public string Device { get; init; } = "auto";

    /// <summary>CPU threads; 0 for one per processor.</summary>
    [Setting(DeviceGroup, "CPU threads; 0: one per processor", "N", Range = "[0, 1024]")]
    public int Threads { get; init; }
}

/// <summary><c>trainer sample</c>: writes text with a trained model.</summary>
internal static class SampleCommand
{
    public static Verb Create(Terminal terminal) => Verb.Create<SampleSettings>(
        "sample",
        "Writes text with a trained model, to standard output as it comes.",
        [
            "trainer sample --run runs/first --prompt \"Once upon a time\"",
            "trainer sample --run runs/first --temperature 0 --tokens 50",
        ],
        settings =>
        {
            terminal.StopOnInterruption();
            ModelSource source = TrainedModel.Find(settings.Run, settings.Checkpoint);
            ITokenizer tokenizer = (source.Run is { } run ? RunTokenizer.Load(run) : null)
                ?? throw new RequestException("the model has no tokenizer beside it, so no text can be drawn from it; name a run, or a checkpoint inside one.");
            using TrainedModel trained = TrainedModel.Load(source, settings.Device, settings.Threads, batchSize: 1, ModelUse.Sample);
            var options = new SamplingOptions { Temperature = settings.Temperature, TopK = settings.TopK, TopP = settings.TopP, Seed = settings.Seed };
            Write(settings.Prompt);
            foreach (string text in new TextGenerator(trained.Model, tokenizer).Continue(settings.Prompt, settings.Tokens, options))
            {
                Write(text);
                if (terminal.Stop.IsCancellationRequested)
                    break;
            }

            terminal.Out.WriteLine();
            return terminal.Stop.IsCancellationRequested ? ExitCode.Interrupted : ExitCode.Done;

            void Write(string text)
            {
                terminal.Out.Write(terminal.OutIsTerminal ? TrainingText.Printable(text) : text);
                terminal.Out.Flush();
            }
        });
}
