using Trainer.Metrics;
using Trainer.Model;

namespace Trainer.Training;

/// <summary>Is told what happens in a training run, on the thread that trains: the console, a recorder in a test.</summary>
public interface ITrainingObserver
{
    /// <summary>The run is about to take its first step.</summary>
    void Started(TrainingPlan plan);

    /// <summary>A step was taken.</summary>
    void Stepped(in StepMetrics metrics);

    /// <summary>An evaluation was made.</summary>
    void Evaluated(in EvaluationMetrics metrics);

    /// <summary>Something is remarkable about a step, told in a sentence: a spike of the loss, a divergence. Training goes on.</summary>
    void Noticed(long step, string text);

    /// <summary>A sample was drawn.</summary>
    void Sampled(long step, string text);

    /// <summary>A checkpoint was written completely.</summary>
    void Saved(long step, string path);

    /// <summary>The run ended, having taken all its steps or having been interrupted.</summary>
    void Finished(TrainingSummary summary);
}

/// <summary>What a run is going to do, for people to see before it begins.</summary>
/// <param name="RunDirectory">Where everything is written.</param>
/// <param name="Device">What computes.</param>
/// <param name="Model">The sizes, on one line.</param>
/// <param name="Parameters">The number of parameters.</param>
/// <param name="Data">What it trains on, on one line.</param>
/// <param name="FirstStep">The steps already taken; 0 unless resumed.</param>
/// <param name="Steps">The last step.</param>
/// <param name="TokensPerStep">Tokens of one optimizer step.</param>
/// <param name="Memory">The device memory that the run takes.</param>
/// <param name="Rule">The optimizer and regulariser, on one line, with equivalent strengths where conventions differ.</param>
public sealed record TrainingPlan(string RunDirectory, string Device, string Model, long Parameters, string Data, long FirstStep, long Steps,
    long TokensPerStep, MemoryPlan Memory, string Rule)
{
    /// <summary>What is possible but hardly meant, one line each, with the option to look at.</summary>
    public IReadOnlyList<string> Warnings { get; init; } = [];
}

/// <summary>How a run ended.</summary>
/// <param name="RunDirectory">Where everything was written.</param>
/// <param name="Checkpoint">The last checkpoint.</param>
/// <param name="Step">The steps taken.</param>
/// <param name="Interrupted">Whether it was stopped before its last step.</param>
/// <param name="Last">The last evaluation, if there was one.</param>
/// <param name="Best">The evaluation with the lowest validation loss, if there was one.</param>
/// <param name="Elapsed">The wall time of this part of the run.</param>
/// <param name="TokensPerSecond">The median over steps.</param>
public sealed record TrainingSummary(string RunDirectory, string? Checkpoint, long Step, bool Interrupted, EvaluationMetrics? Last, EvaluationMetrics? Best,
    TimeSpan Elapsed, double TokensPerSecond);
