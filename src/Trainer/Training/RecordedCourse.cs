using Trainer.Checkpoints;
using Trainer.Metrics;
using Trainer.Optimization;

namespace Trainer.Training;

/// <summary>The course of a recorded run, to be replayed by another: its effective learning rates and its norms.</summary>
internal sealed class RecordedCourse
{
    private readonly double[] _ratios;

    private RecordedCourse(double[] effectiveRates, double[] ratios) => (EffectiveRates, _ratios) = (effectiveRates, ratios);

    /// <summary>e_t = lr_t / ‖θ‖ by step, with the norm as the step began: that of the step before, and for the first the initial one.</summary>
    public IReadOnlyList<double> EffectiveRates { get; }

    /// <summary>The target schedule of norm control whose ratio at each step is the recorded one, for a target of 2: r_t = 1 + (2 - 1) (ratio - 1).</summary>
    public Schedule NormTargets => new() { Shape = ScheduleShape.Replay, Recorded = [.. _ratios.Select(ratio => ratio - 1)] };

    /// <summary>Reads the metrics of a run.</summary>
    /// <param name="run">Its directory.</param>
    /// <param name="steps">The steps that will be replayed.</param>
    /// <exception cref="RequestException">There are no metrics, or of fewer steps.</exception>
    public static RecordedCourse Read(string run, long steps)
    {
        string path = new RunPaths(run).Metrics;
        var (rates, ratios) = (new List<double>(), new List<double>());
        double before = double.NaN;
        foreach (MetricsLine line in MetricsReader.Read(path))
        {
            if (line.Training is not { } step)
                continue;
            if (step.Step != rates.Count + 1)
                throw new RequestException($"{path} begins with step {step.Step}, so that its run has no whole course to replay; name the run from whose checkpoint it was begun.");
            if (rates.Count == 0)
                before = step.WeightNorm / step.NormRatio;
            rates.Add(step.LearningRate / before);
            ratios.Add(step.NormRatio);
            before = step.WeightNorm;
        }

        if (rates.Count < steps)
            throw new RequestException($"{path} has {rates.Count} steps, but --steps {steps} are to be replayed.\nGive at most --steps {rates.Count}, or a longer --replay-run.");
        return new RecordedCourse([.. rates], [.. ratios]);
    }
}
