using Trainer.Cli.Benchmarks;
using Trainer.Compute;
using Trainer.Model;
using Trainer.Training;

namespace Trainer.Cli.Commands;

/// <summary>What the benchmarks are asked.</summary>
internal sealed record BenchSettings
{
    private const string Model = "Model", DeviceGroup = "Device", Measurement = "Measurement";

    /// <summary>The model size.</summary>
    [Setting(Model, "model size", Values = ModelPresets.Names)]
    public string Preset { get; init; } = ModelPresets.DefaultName;

    /// <summary>B.</summary>
    [Setting(Model, "sequences of one pass", "N", Range = "[1, 65536]", Default = "from the preset")]
    public int? BatchSize { get; init; }

    /// <summary>T.</summary>
    [Setting(Model, "tokens of one sequence", "N", Range = "[1, 1000000]", Default = "from the preset")]
    public int? SeqLen { get; init; }

    /// <summary>V.</summary>
    [Setting(Model, "tokens of the vocabulary", "N", Range = "[1, 10000000]", Default = "50257 for gpt2 sizes, else 4096")]
    public int? VocabSize { get; init; }

    /// <summary>What computes.</summary>
    [Setting(DeviceGroup, "what computes", Values = "auto|cpu|cuda|cuda:N|cuda-sim")]
    public string Device { get; init; } = "auto";

    /// <summary>The number format.</summary>
    [Setting(DeviceGroup, "number format; auto: bf16-mixed on a GPU, fp32 on a CPU", Values = "auto|fp32|tf32|bf16-mixed|bf16-pure|bf16-pure-stochastic|mantissa:N")]
    public string Precision { get; init; } = "auto";

    /// <summary>CPU threads; 0 for one per processor.</summary>
    [Setting(DeviceGroup, "CPU threads; 0: one per processor", "N", Range = "[0, 1024]")]
    public int Threads { get; init; }

    /// <summary>The CPU instruction set.</summary>
    [Setting(DeviceGroup, "CPU instruction set", Values = "auto|avx512|avx2|portable")]
    public string Isa { get; init; } = "auto";

    /// <summary>Repetitions.</summary>
    [Setting(Measurement, "repetitions, of which the median counts", "N", Range = "[1, 100000]")]
    public int Steps { get; init; } = 10;

    /// <summary>Whether the answer is for a program.</summary>
    [Setting(Measurement, "answer with one JSON object")]
    public bool Json { get; init; }
}

/// <summary><c>trainer bench</c>: what this machine achieves.</summary>
internal static class BenchCommand
{
    // Gives the answer, which is one JSON object where the settings ask for that.
    private delegate string Benchmark(IBackend backend, ModelConfig config, int batchSize, BenchSettings settings);

    public static Verb Create(Terminal terminal) => Verb.Of(
        "bench",
        "Measures what this machine achieves, on random data.",
        [
            Create(terminal, "step", "Times a training step by phase, and compares it with the machine's peak.",
                (backend, config, batchSize, settings) =>
                    Report(backend, settings, StepBenchmark.Run(backend, config, batchSize, settings.Steps, terminal.Stop))),
            Create(terminal, "gemm", "Times the matrix products of a model's linear layers.",
                (backend, config, batchSize, settings) =>
                    Report(backend, settings, GemmBenchmark.Run(backend, config, batchSize * config.SequenceLength, settings.Steps, terminal.Stop))),
            Create(terminal, "memory", "Times reading and writing the device's memory.",
                (backend, _, _, settings) => Report(backend, settings, MemoryBenchmark.Run(backend, settings.Steps, terminal.Stop))),
            Create(terminal, "kernels", "Times every kernel of a training step, or every operation of a CPU, by size, and compares it with its floor.",
                (backend, config, batchSize, settings) => KernelBenchmark.Run(backend, config, batchSize, settings.Steps, settings.Json, terminal.Stop)),
        ]);

    private static Verb Create(Terminal terminal, string name, string description, Benchmark benchmark) => Verb.Create<BenchSettings>(
        name,
        description,
        [$"trainer bench {name}", $"trainer bench {name} --preset small --threads 1 --json"],
        settings =>
        {
            ModelPreset preset = ModelPresets.Find(settings.Preset);
            var config = new ModelConfig(preset.Layers, preset.Heads, preset.Channels, settings.SeqLen ?? preset.SequenceLength, settings.VocabSize ?? preset.Vocabulary);
            terminal.StopOnInterruption();
            using IBackend backend = Devices.Open(settings.Device, settings.Precision, settings.Threads, settings.Isa);
            terminal.Out.WriteLine(benchmark(backend, config.Validated(), settings.BatchSize ?? preset.BatchSize, settings));
            return ExitCode.Done;
        });

    private static string Report(IBackend backend, BenchSettings settings, IReadOnlyList<Figure> figures) =>
        settings.Json ? FigureReport.Json(backend.Description, figures) : FigureReport.Text(backend.Description, figures);
}
