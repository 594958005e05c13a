namespace Trainer.Optimization;

/// <summary>Everything that determines an optimizer step but the gradients. The defaults are nanoGPT's for GPT-2, with α = 1e-3.</summary>
public sealed record OptimizerOptions
{
    /// <summary>α, the peak learning rate.</summary>
    public double LearningRate { get; init; } = 1e-3;

    /// <summary>η, what α is multiplied by at each step.</summary>
    public Schedule Schedule { get; init; } = Schedule.Constant;

    /// <summary>β₁, the decay of the first moment.</summary>
    public double Beta1 { get; init; } = 0.9;

    /// <summary>β₂, the decay of the second moment.</summary>
    public double Beta2 { get; init; } = 0.95;

    /// <summary>ε, added to the root of the second moment.</summary>
    public double Epsilon { get; init; } = 1e-8;

    /// <summary>The largest norm that the gradient of all parameters may have; 0 for no limit.</summary>
    public double GradientClip { get; init; } = 1;

    /// <summary>The regulariser.</summary>
    public RegularizerOptions Regularizer { get; init; } = new();

    /// <summary>Checks the values, naming the options that set them.</summary>
    /// <exception cref="RequestException">A value is impossible.</exception>
    public OptimizerOptions Validated()
    {
        if (!(LearningRate >= 0) || !float.IsFinite((float)LearningRate))
            throw new RequestException($"--lr must be 0 or more and finite in single precision, but is {Number.Text(LearningRate)}.");
        if (Beta1 is not (>= 0 and < 1) || (float)Beta1 >= 1)
            throw new RequestException($"--adam-beta1 must lie in [0, 1), but is {Number.Text(Beta1)}.");
        if (Beta2 is not (>= 0 and < 1) || (float)Beta2 >= 1)
            throw new RequestException($"--adam-beta2 must lie in [0, 1), but is {Number.Text(Beta2)}.");
        if (!((float)Epsilon > 0) || !float.IsFinite((float)Epsilon))
            throw new RequestException($"--adam-eps must be positive in single precision, but is {Number.Text(Epsilon)}.");
        if (!(GradientClip >= 0) || !double.IsFinite(GradientClip))
            throw new RequestException($"--grad-clip must be 0 or more, but is {Number.Text(GradientClip)}.");
        Schedule.Validated();
        Regularizer.Validated();
        return this;
    }

    /// <summary>What is possible but hardly meant, one line each, with the option to look at.</summary>
    /// <param name="steps">The steps of the run.</param>
    public IReadOnlyList<string> Warnings(long steps)
    {
        var warnings = new List<string>();
        if (Regularizer.Kind is RegularizerKind.Decay or RegularizerKind.DecayDecoupled)
        {
            bool timesRate = Regularizer.Kind == RegularizerKind.Decay;
            double strongest = Regularizer.Groups.Overrides.Aggregate(Regularizer.WeightDecay, (most, entry) => Math.Max(most, entry.Strength ?? 0));
            double perStep = strongest * (timesRate ? LearningRate : 1);
            if (perStep >= 1)
            {
                warnings.Add($"--weight-decay {Number.Text(strongest)} removes {Number.Text(100 * perStep)} % of a weight at the peak learning rate, "
                    + "which turns its sign; the decay of one step should be far below 1.");
            }
            else if (!timesRate && perStep >= 0.01)
            {
                warnings.Add($"--weight-decay {Number.Text(strongest)} of decay-decoupled (13.b) is not multiplied by --lr: "
                    + $"it is as strong as {Number.Text(strongest / LearningRate)} of decay (13.a). Values near 1e-4 are usual.");
            }
        }

        if (Regularizer.Kind == RegularizerKind.NormControl && Regularizer.NormTargetSchedule.WarmupSteps >= steps)
        {
            warnings.Add($"--norm-ramp-steps {Regularizer.NormTargetSchedule.WarmupSteps + 1} is longer than the run of {steps} steps: "
                + "the target is not reached.");
        }

        if (Regularizer.Kind == RegularizerKind.None && Regularizer.Groups.Overrides.Any(entry => entry.Strength > 0))
            warnings.Add("strengths of single parameters have no effect with --regularizer none; they only choose the weights whose norm is reported.");
        return warnings;
    }
}
