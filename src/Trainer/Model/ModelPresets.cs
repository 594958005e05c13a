namespace Trainer.Model;

/// <summary>A model size with a name, and what to train it with when nothing else is asked for.</summary>
/// <param name="Name">The name, as <c>--preset</c> takes it.</param>
/// <param name="Layers">L.</param>
/// <param name="Heads">NH.</param>
/// <param name="Channels">C.</param>
/// <param name="SequenceLength">The context, T.</param>
/// <param name="BatchSize">B, sequences of one pass through the model.</param>
/// <param name="LearningRate">The peak learning rate.</param>
/// <param name="Vocabulary">V where no data say it, in a benchmark.</param>
public sealed record ModelPreset(
    string Name, int Layers, int Heads, int Channels, int SequenceLength, int BatchSize, double LearningRate, int Vocabulary);

/// <summary>
/// The model sizes that have a name. The four gpt2 sizes are those of Radford et al. 2019 with the learning rates of the GPT-3 models of
/// the same size (Brown et al. 2020, table 2.1); the smaller ones train on a CPU: tiny in
/// minutes.
/// </summary>
public static class ModelPresets
{
    /// <summary>The names of <see cref="All"/>, separated by bars.</summary>
    public const string Names = "tiny|mini|small|medium|gpt2|gpt2-medium|gpt2-large|gpt2-xl";

    /// <summary>The name of the preset of a run that does not choose one.</summary>
    public const string DefaultName = "tiny";

    /// <summary>All presets, smallest first.</summary>
    public static IReadOnlyList<ModelPreset> All { get; } =
    [
        new("tiny", 4, 4, 128, 256, 8, 4e-3, 4096),
        new("mini", 4, 4, 256, 256, 8, 2e-3, 4096),
        new("small", 6, 6, 384, 256, 8, 1e-3, 4096),
        new("medium", 8, 8, 512, 512, 4, 8e-4, 4096),
        new("gpt2", 12, 12, 768, 1024, 4, 6e-4, 50257),
        new("gpt2-medium", 24, 16, 1024, 1024, 4, 3e-4, 50257),
        new("gpt2-large", 36, 20, 1280, 1024, 4, 2.5e-4, 50257),
        new("gpt2-xl", 48, 25, 1600, 1024, 4, 2e-4, 50257),
    ];

    /// <summary>The preset of that name.</summary>
    /// <exception cref="RequestException">There is none; the message names the nearest.</exception>
    public static ModelPreset Find(string name)
    {
        ArgumentNullException.ThrowIfNull(name);
        return All.FirstOrDefault(preset => preset.Name == name)
            ?? throw new RequestException($"--preset {name} does not exist{NearestName.Suggestion(name, Names.Split('|'))}\nThe presets are {Names.Replace("|", ", ", StringComparison.Ordinal)}.");
    }
}
