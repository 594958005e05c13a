using Trainer.Checkpoints;
using Trainer.Training;

namespace Trainer.Experiments;

/// <summary>A finished run with weight decay, and the run of AdamWN that challenges it: the same data order for the same tokens, at the same final norm.</summary>
public sealed class Challenge
{
    // A standing overshoot of this share is what the suggested rate allows at the peak learning rate.
    private const double AllowedOvershoot = 0.02;

    private Challenge(string run, TrainingSettings settings, double ratio, double rate) => (Run, Settings, Ratio, Rate) = (run, settings, ratio, rate);

    /// <summary>The challenged run.</summary>
    public string Run { get; }

    /// <summary>The settings of the challenger.</summary>
    public TrainingSettings Settings { get; }

    /// <summary>The norm ratio that the challenged run ended at.</summary>
    public double Ratio { get; }

    /// <summary>k of the challenger.</summary>
    public double Rate { get; }

    /// <summary>Reads a finished run and prepares its challenger.</summary>
    /// <param name="run">The run's directory.</param>
    /// <param name="output">The challenger's.</param>
    /// <param name="rate">k; null for the smallest one digit whose standing overshoot (lr / rms)² / (2 k) is at most 2 % at the peak rate.</param>
    /// <param name="replaysNorm">Whether the target is the run's whole norm curve instead of its end.</param>
    /// <exception cref="RequestException">There is no finished run, or it controls its norm itself.</exception>
    public static Challenge Of(string run, string output, double? rate, bool replaysNorm)
    {
        var paths = new RunPaths(run);
        if (!File.Exists(paths.Config))
            throw new RequestException($"{run} holds no run; name the directory of a finished one.");
        TrainingSettings settings = TrainingSettings.FromFile(paths.Config);
        if (settings.Regularizer is "norm-control" or "sphere")
            throw new RequestException($"{run} was trained with --regularizer {settings.Regularizer}, which sets the norm itself; a run with weight decay is to be challenged.");
        FinishedRun finished = FinishedRun.Load("challenged", settings.Seed, run);
        if (finished.History.LastStep < settings.Steps)
            throw new RequestException($"{run} has taken {finished.History.LastStep} of its {settings.Steps} steps; finish it first with 'trainer train --run {run} --resume'.");
        double ratio = finished.Last("normRatio");
        if (!double.IsFinite(ratio))
            throw new RequestException($"{run} has no norm ratio: its regularised weights began with a norm of 0.");

        double rms = finished.Last("weightNorm") / Math.Sqrt(finished.RegularisedParameters);
        double k = rate ?? Suggested(settings.WithDefaults().Lr!.Value / rms);
        return new Challenge(run, settings with
        {
            Run = output,
            Resume = File.Exists(new RunPaths(output).Config),
            Regularizer = "norm-control",
            WeightDecay = null,
            NormTarget = replaysNorm ? null : ratio,
            NormTargetKind = "ratio",
            NormTargetSchedule = replaysNorm ? "replay" : "ramp",
            NormRampSteps = settings.Steps / 20,
            ReplayRun = replaysNorm ? run : settings.ReplayRun,
            NormRate = k,
            NormScope = "global",

            // Strengths of the run are lambdas, which are no targets; what was left out stays out.
            DecayGroup = [.. settings.DecayGroup.Where(group => group.EndsWith("=none", StringComparison.Ordinal))],
        }, ratio, k);
    }

    private static double Suggested(double relativeRate)
    {
        double k = relativeRate * relativeRate / (2 * AllowedOvershoot);
        double digit = Math.Pow(10, Math.Floor(Math.Log10(k)));
        return Math.Clamp(Math.Ceiling(k / digit) * digit, 0.01, 1);
    }
}
