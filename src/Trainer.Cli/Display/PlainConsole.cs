using System.Globalization;
using Trainer.Metrics;
using Trainer.Training;

namespace Trainer.Cli.Display;

/// <summary>Shows a run in lines without control codes, for pipes, files and simple terminals: a step at most every two seconds.</summary>
internal sealed class PlainConsole(TextWriter output, TimeProvider clock) : ITrainingObserver
{
    private static readonly TimeSpan Interval = TimeSpan.FromSeconds(2);

    private TrainingPlan? _plan;
    private Pace? _pace;
    private long _printed;

    /// <inheritdoc/>
    public void Started(TrainingPlan plan)
    {
        _plan = plan;
        _pace = new Pace(clock, plan.FirstStep, plan.Steps);
        foreach ((string name, string value) in TrainingText.Plan(plan))
            output.WriteLine($"{name,-7} {value}");
    }

    /// <inheritdoc/>
    public void Stepped(in StepMetrics metrics)
    {
        if (_plan is null || _pace is null)
            return;
        _pace.Advance(metrics.Step);
        bool first = metrics.Step == _plan.FirstStep + 1, last = metrics.Step == _plan.Steps;
        if (!first && !last && clock.GetElapsedTime(_printed) < Interval)
            return;
        _printed = clock.GetTimestamp();
        output.WriteLine(string.Create(CultureInfo.InvariantCulture,
            $"step {metrics.Step}/{_plan.Steps}  loss {metrics.Loss:F4}  lr {metrics.LearningRate:0.00e+0}  gradient {metrics.GradientNorm:F3}  weights x{metrics.NormRatio:F4}  {metrics.TokensPerSecond:N0} tokens/s  {TrainingText.Time(_pace.Left ?? TimeSpan.Zero)} left"));
    }

    /// <inheritdoc/>
    public void Evaluated(in EvaluationMetrics metrics) => output.WriteLine(TrainingText.Evaluation(metrics));

    /// <inheritdoc/>
    public void Noticed(long step, string text) => output.WriteLine($"step {step}: {text}");

    /// <inheritdoc/>
    public void Sampled(long step, string text)
    {
        output.WriteLine($"step {step}: a sample");
        foreach (string line in TrainingText.Printable(text).Split('\n'))
            output.WriteLine($"  | {line}");
    }

    /// <inheritdoc/>
    public void Saved(long step, string path) => output.WriteLine($"step {step}: saved {path}");

    /// <inheritdoc/>
    public void Finished(TrainingSummary summary)
    {
        foreach (string line in TrainingText.Summary(summary))
            output.WriteLine(line);
    }
}
