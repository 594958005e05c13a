using System.Text;
using System.Text.Json;
using Trainer.Cli.Profiling;
using Trainer.Compute;
using Trainer.Model;
using Trainer.Training;

namespace Trainer.Cli.Benchmarks;

/// <summary>The kernels of a training step, or the operations of a CPU, each beside its floor: the figures of a <see cref="StepProfile"/>.</summary>
internal static class KernelBenchmark
{
    /// <summary>Measures the kernels of some steps of B sequences of T tokens, T being the model's longest, and gives the answer.</summary>
    public static string Run(IBackend backend, ModelConfig config, int batchSize, int steps, bool json, CancellationToken stop)
    {
        var settings = new TrainingSettings
        {
            Layers = config.Layers, Heads = config.Heads, Channels = config.Channels, SeqLen = config.SequenceLength, BatchSize = batchSize,
        };
        StepProfile profile = StepProfiler.Run(backend, settings, config.Vocabulary, steps, stop);
        return json ? Json(profile) : ProfileText.Launches(profile);
    }

    private static string Json(StepProfile profile)
    {
        using var stream = new MemoryStream();
        using (var writer = new Utf8JsonWriter(stream, new JsonWriterOptions { Indented = true }))
        {
            writer.WriteStartObject();
            ProfileFiles.WriteTo(writer, profile, profile.BySize());
            writer.WriteEndObject();
        }

        return Encoding.UTF8.GetString(stream.ToArray());
    }
}
