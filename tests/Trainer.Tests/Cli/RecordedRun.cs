using Trainer.Compute;
using Trainer.Metrics;
using Trainer.Model;
using Trainer.Training;

namespace Trainer.Tests.Cli;

/// <summary>What a run of ten steps tells its observer, one step a second.</summary>
internal static class RecordedRun
{
    public static TrainingPlan Plan { get; } =
        new("runs/first", "CPU, 2 threads, AVX-512", "L=4 NH=4 C=256 T=256 V=1024", 3_500_000, "data/shakespeare, 1,000,000 tokens", 0, 10, 2048,
            new MemoryPlan(Precision.BFloat16Mixed, Trains: true, Parameters: 3_500_000, ActivationBytes: 40 << 20, WorkspaceBytes: 1 << 20), "adam, decay 0.1 (13.a)");

    public static void Play(ITrainingObserver observer, SteppedClock clock)
    {
        observer.Started(Plan);
        for (int step = 1; step <= 10; step++)
        {
            clock.Advance(1);
            observer.Stepped(new StepMetrics(step, 7.0 - (0.25 * step), 1e-3 / step, 1.5, 200 + step, 1 + (0.01 * step), 1000, 2048));
            if (step % 5 == 0)
                observer.Evaluated(new EvaluationMetrics(step, 7.1 - (0.25 * step), 7.0 - (0.25 * step)));
        }

        observer.Sampled(10, "To be\u001b[31m or\nnot [b]");
        observer.Saved(10, "runs/first/checkpoints/step-00000010");
        var last = new EvaluationMetrics(10, 4.6, 4.5);
        observer.Finished(new TrainingSummary("runs/first", "runs/first/checkpoints/step-00000010", 10, Interrupted: false, last, last, TimeSpan.FromSeconds(10), 2048));
    }
}
