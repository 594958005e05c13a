using Trainer.Training;

namespace Trainer.Experiments.Definitions;

/// <summary>The settings that experiments share.</summary>
internal static class Settings
{
    /// <summary>In words, for reports.</summary>
    public const string SmallText = "GPT-2 of 2 layers, 48 channels, 4 heads, 32 characters of context, a vocabulary of the characters that occur; 512 tokens a step; AdamW with betas 0.9 and 0.95, clipped at 1; 40 steps of warm-up, cosine to a tenth";

    /// <summary>
    /// A model that trains in seconds: 2 layers, 48 channels, 4 heads, 32 characters of context, 512 tokens a step, one thread. Evaluations are over 200 batches of
    /// both splits, about 100,000 tokens.
    /// </summary>
    public static TrainingSettings Small(this ArmContext context, double lr = 5e-3, int steps = 1200)
    {
        TrainingSettings small = context.Common with
        {
            Layers = 2,
            Heads = 4,
            Channels = 48,
            SeqLen = 32,
            BatchSize = 16,
            Lr = lr,
            Steps = steps,
            WarmupSteps = 40,
            LrSchedule = "cosine",
            EvalEvery = Math.Max(100, steps / 4),
            EvalBatches = 200,
            SampleEvery = 0,
            CheckpointEvery = 0,
            Keep = 1,
        };
        return small;
    }

    /// <summary>Decay 13.a.</summary>
    public static TrainingSettings Decayed(this TrainingSettings settings, double lambda) =>
        lambda == 0 ? settings with { Regularizer = "none", WeightDecay = null } : settings with { Regularizer = "decay", WeightDecay = lambda };

    /// <summary>Norm control to a ratio of the initial norm, ramped over a twentieth of the steps.</summary>
    public static TrainingSettings Controlled(this TrainingSettings settings, double ratio, double rate) =>
        settings with { Regularizer = "norm-control", NormTarget = ratio, NormRate = rate };

    /// <summary>The weights begin as wide as those of a model of 768 channels would look to this one: 0.02 √(768 / 48).</summary>
    public static TrainingSettings Wide(this TrainingSettings settings) => settings with { InitStd = 0.08 };
}
