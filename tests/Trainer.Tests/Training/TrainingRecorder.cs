using Trainer.Metrics;
using Trainer.Training;

namespace Trainer.Tests.Training;

/// <summary>Keeps what a training run tells.</summary>
internal sealed class TrainingRecorder : ITrainingObserver
{
    public Action<long>? AfterStep { get; init; }

    public List<StepMetrics> Steps { get; } = [];

    public List<EvaluationMetrics> Evaluations { get; } = [];

    public List<string> Notices { get; } = [];

    public List<string> Samples { get; } = [];

    public TrainingPlan? Plan { get; private set; }

    /// <summary>Ends the run after a step without a word, as a kill would.</summary>
    public static Action<long> KillAt(long last) => step =>
    {
        if (step == last)
            throw new KilledException();
    };

    public void Started(TrainingPlan plan) => Plan = plan;

    public void Stepped(in StepMetrics metrics)
    {
        Steps.Add(metrics);
        AfterStep?.Invoke(metrics.Step);
    }

    public void Evaluated(in EvaluationMetrics metrics) => Evaluations.Add(metrics);

    public void Noticed(long step, string text) => Notices.Add(text);

    public void Sampled(long step, string text) => Samples.Add(text);

    public void Saved(long step, string path)
    {
    }

    public void Finished(TrainingSummary summary)
    {
    }
}

/// <summary>The end of a run that was killed.</summary>
internal sealed class KilledException : Exception;
