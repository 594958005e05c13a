namespace Trainer.Experiments;

/// <summary>
/// Runs a toy into a run directory that reports read: <c>config.json</c> with all settings, <c>metrics.jsonl</c> with about 2000 flat lines at most,
/// <c>{"step":N,"loss":x,"lr":x,"weightNorm":x,"normRatio":x,...}</c>, and last <c>result.json</c> with named final numbers, which is there when the run
/// is complete. The same settings make the same bytes. A directory that holds an earlier run of a toy is written anew.
/// </summary>
public static class ToyRun
{
    /// <summary>The name of the file with the final numbers.</summary>
    public const string ResultFile = "result.json";

    private const int Points = 2000;

    /// <summary>Runs a <see cref="ScaleInvariantToy"/>. Its lines also have elr, η/|w|², and angle.</summary>
    /// <exception cref="RequestException">A setting is out of its range, or the directory cannot be written.</exception>
    /// <exception cref="RunFailedException">The disk is full.</exception>
    public static ScaleInvariantResult Write(string directory, ScaleInvariantOptions options)
    {
        ArgumentNullException.ThrowIfNull(options);
        var toy = new ScaleInvariantToy(options);
        using var writer = new ToyRunWriter(directory, "scale-invariant",
            ("lr", options.LearningRate),
            ("weightDecay", options.WeightDecay),
            ("steps", options.Steps),
            ("seed", options.Seed),
            ("dimension", options.Dimension),
            ("batchSize", options.BatchSize),
            ("labelNoise", options.LabelNoise),
            ("initialNorm", options.InitialNorm),
            ("sphereRadius", options.SphereRadius),
            ("projectEvery", options.ProjectEvery));
        double initialNorm = options.SphereRadius > 0 ? options.SphereRadius : options.InitialNorm;
        ScaleInvariantResult result = toy.Run(
            point =>
            {
                double norm = Math.Sqrt(point.SquaredNorm);
                writer.Line(point.Step,
                    ("loss", point.Loss),
                    ("lr", options.LearningRate),
                    ("weightNorm", norm),
                    ("normRatio", norm / initialNorm),
                    ("elr", point.EffectiveRate),
                    ("angle", point.Angle));
            },
            Points);
        writer.Finish(
            ("loss", result.Loss),
            ("squaredNorm", result.SquaredNorm),
            ("elr", result.EffectiveRate),
            ("angle", result.Angle),
            ("weightNorm", result.FinalNorm),
            ("normRatio", result.NormRatio),
            ("squaredNormToTheory", result.SquaredNormToTheory),
            ("elrToTheory", result.EffectiveRateToTheory),
            ("angleToTheory", result.AngleToTheory),
            ("growthExponent", result.GrowthExponent));
        return result;
    }

    /// <summary>
    /// Runs a <see cref="TwoLayerReluToy"/>. Its lines also have testLoss and hessianTrace; loss is that of all training samples.
    /// </summary>
    /// <exception cref="RequestException">A setting is out of its range, or the directory cannot be written.</exception>
    /// <exception cref="RunFailedException">The disk is full.</exception>
    public static TwoLayerReluResult Write(string directory, TwoLayerReluOptions options)
    {
        ArgumentNullException.ThrowIfNull(options);
        var toy = new TwoLayerReluToy(options);
        using var writer = new ToyRunWriter(directory, options.Task == ReluTask.Regression ? "relu-regression" : "relu-teacher-student",
            ("width", options.Width),
            ("lr", options.LearningRate),
            ("weightDecay", options.WeightDecay),
            ("steps", options.Steps),
            ("dropStep", Math.Min(options.DropStep, options.Steps)),
            ("dropFactor", options.DropFactor),
            ("batchSize", options.BatchSize),
            ("seed", options.Seed),
            ("trainSamples", options.TrainSamples),
            ("testSamples", options.TestSamples),
            ("labelNoise", options.LabelNoise));
        TwoLayerReluResult result = toy.Run(
            point => writer.Line(point.Step,
                ("loss", point.TrainLoss),
                ("lr", point.LearningRate),
                ("weightNorm", point.WeightNorm),
                ("normRatio", point.NormRatio),
                ("testLoss", point.TestLoss),
                ("hessianTrace", point.HessianTrace)),
            Points);
        writer.Finish(
            ("diverged", result.Diverged ? 1 : 0),
            ("steps", result.Steps),
            ("plateauLoss", result.PlateauLoss),
            ("loss", result.TrainLoss),
            ("testLoss", result.TestLoss),
            ("weightNorm", result.WeightNorm),
            ("normRatio", result.NormRatio),
            ("hessianTrace", result.HessianTrace),
            ("hessianTraceNormalized", result.NormalizedTrace));
        return result;
    }
}
