namespace Trainer.Optimization;

/// <summary>The rule of the gradient step.</summary>
public enum OptimizerKind
{
    /// <summary>Kingma and Ba (2015).</summary>
    Adam,

    /// <summary>Stochastic gradient descent with momentum.</summary>
    Sgd,
}

/// <summary>Everything that determines an optimizer step but the gradients. The defaults are nanoGPT's for GPT-2, with α = 1e-3.</summary>
public sealed record OptimizerOptions
{
    /// <summary>The rule of the gradient step.</summary>
    public OptimizerKind Kind { get; init; } = OptimizerKind.Adam;

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

    /// <summary>What SGD's buffer keeps of itself.</summary>
    public double Momentum { get; init; } = 0.9;

    /// <summary>SGD, the learning rate outside: a gradient joins the buffer times 1 - this, but for the first, as in torch.</summary>
    public double Dampening { get; init; }

    /// <summary>SGD: whether the learning rate is inside the buffer (Loshchilov and Hutter 2019, algorithm 1, line 8) or outside it (torch).</summary>
    public bool RateInMomentum { get; init; }

    /// <summary>
    /// e_t = α η_t / ‖θ‖ of another run, by step: the regularised weights have the learning rate e_t ‖θ‖ with their own norm as the step begins, all others
    /// keep α η_t (effective-rate matching, D'Angelo et al. 2024, figure 7). Empty for none.
    /// </summary>
    public IReadOnlyList<double> EffectiveRates { get; init; } = [];

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
        if (Momentum is not (>= 0 and < 1) || (float)Momentum >= 1)
            throw new RequestException($"--momentum must lie in [0, 1), but is {Number.Text(Momentum)}.");
        if (Dampening is not (>= 0 and < 1))
            throw new RequestException($"--dampening must lie in [0, 1), but is {Number.Text(Dampening)}.");
        Schedule.Validated();
        Regularizer.Validated();
        CheckDecay();
        return this;
    }

    /// <summary>e_t of a step, counted from 1; not a number for none.</summary>
    public double EffectiveRate(long step) => step <= EffectiveRates.Count ? EffectiveRates[(int)step - 1] : double.NaN;

    /// <summary>What is possible but hardly meant, one line each, with the option to look at.</summary>
    /// <param name="steps">The steps of the run.</param>
    public IReadOnlyList<string> Warnings(long steps)
    {
        var warnings = new List<string>();
        double strongest = StrongestDecay();
        if (Regularizer.Kind == RegularizerKind.DecayDecoupled && strongest >= 0.01)
        {
            warnings.Add($"--weight-decay {Number.Text(strongest)} of decay-decoupled (13.b) is not multiplied by --lr: "
                + $"it is as strong as {Number.Text(strongest / LearningRate)} of decay (13.a). Values near 1e-4 are usual.");
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

    private double StrongestDecay() =>
        Regularizer.Groups.Overrides.Aggregate(Regularizer.WeightDecay, (most, entry) => Math.Max(most, entry.Strength ?? 0));

    // A step that takes away a whole weight, or more, turns its sign.
    private void CheckDecay()
    {
        double strongest = StrongestDecay();
        double scale = Regularizer.Kind switch
        {
            RegularizerKind.Decay => LearningRate,
            RegularizerKind.DecayDecoupled or RegularizerKind.DecayConstant => 1,
            _ => 0,
        };
        if (strongest * scale < 1)
            return;
        string product = scale == 1 ? "" : $" x --lr {Number.Text(LearningRate)} = {Number.Text(strongest * scale)}";
        throw new RequestException($"--weight-decay {Number.Text(strongest)}{product} takes away all of a weight, or more, in one step.\n"
            + $"It must be below {Number.Text(1 / scale)}{(scale == 1 ? "" : " at this --lr")}; usual are {(scale == 1 ? "values near 1e-4" : $"0.01 to 1")}.");
    }
}
