using Trainer.Model;

namespace Trainer.Optimization;

/// <summary>The rule that keeps the weights small or at a given norm. The numbers are the lines of Loshchilov, "Weight Norm Control" (2023).</summary>
public enum RegularizerKind
{
    /// <summary>No rule: plain Adam.</summary>
    None,

    /// <summary>13.a: θ shrinks by 1 - α η_t λ, as torch.optim.AdamW does.</summary>
    Decay,

    /// <summary>13.b: θ shrinks by 1 - η_t λ, the decoupling of Loshchilov and Hutter (2019).</summary>
    DecayDecoupled,

    /// <summary>13.c, AdamWN: θ is scaled by 1 - k_t (1 - r_t ‖θ₀‖ / ‖θ‖).</summary>
    NormControl,
}

/// <summary>Which weights share one norm under <see cref="RegularizerKind.NormControl"/>.</summary>
public enum NormScope
{
    /// <summary>All regularised weights; a group with a target of its own is a unit of its own.</summary>
    Global,

    /// <summary>Each tensor of each layer.</summary>
    Tensor,
}

/// <summary>Whether a rule's factor is applied before or after the gradient step.</summary>
public enum RegularizerOrder
{
    /// <summary>To the weights that the step starts from; norms, too, are theirs. torch.optim.AdamW decays in this order.</summary>
    Pre,

    /// <summary>To the weights that the gradient step gives; norms, too, are theirs. Line 13 follows line 12 in this order.</summary>
    Post,
}

/// <summary>The choice of a regulariser and its strengths; each strength is a value times a schedule.</summary>
public sealed record RegularizerOptions
{
    /// <summary>The rule.</summary>
    public RegularizerKind Kind { get; init; } = RegularizerKind.Decay;

    /// <summary>Before or after the gradient step; null for the rule's usual order: before for the decays, after for norm control.</summary>
    public RegularizerOrder? Order { get; init; }

    /// <summary>λ of the decays, at least 0.</summary>
    public double WeightDecay { get; init; } = 0.1;

    /// <summary>What λ is multiplied by at each step, besides the learning rate's schedule.</summary>
    public Schedule WeightDecaySchedule { get; init; } = Schedule.Constant;

    /// <summary>
    /// r of norm control: the norm to hold, as a ratio to the norm at initialisation, at least 0. There is no default: the paper takes
    /// the ratio that a run with weight decay ended at.
    /// </summary>
    public double? NormTarget { get; init; }

    /// <summary>How the target goes from the initial norm to r: r_t = 1 + (r - 1) · multiplier. The paper's is <see cref="Schedule.Ramp"/> over 5 % of the steps.</summary>
    public Schedule NormTargetSchedule { get; init; } = Schedule.Constant;

    /// <summary>k of norm control in [0, 1]: the share of the distance to the target that each step removes.</summary>
    public double NormRate { get; init; } = 0.01;

    /// <summary>
    /// What k is multiplied by at each step. With the learning rate's schedule and r = 0, norm control of rate k = α λ is decay 13.a
    /// and of rate k = λ is decay 13.b, to the bit in the same order.
    /// </summary>
    public Schedule NormRateSchedule { get; init; } = Schedule.Constant;

    /// <summary>Which weights share a norm.</summary>
    public NormScope NormScope { get; init; } = NormScope.Global;

    /// <summary>Which weights are regularised, and with strengths of their own: λ for the decays, r for norm control.</summary>
    public ParameterGroupOptions Groups { get; init; } = new();

    /// <summary>The order in force.</summary>
    public RegularizerOrder EffectiveOrder => Order ?? (Kind == RegularizerKind.NormControl ? RegularizerOrder.Post : RegularizerOrder.Pre);

    /// <summary>Checks the values, naming the options that set them.</summary>
    /// <exception cref="RequestException">A value is impossible.</exception>
    public RegularizerOptions Validated()
    {
        if (!(WeightDecay >= 0) || !double.IsFinite(WeightDecay))
            throw new RequestException($"--weight-decay must be 0 or more, but is {Number.Text(WeightDecay)}.");
        if (NormRate is not (>= 0 and <= 1))
            throw new RequestException($"--norm-rate must lie in [0, 1], but is {Number.Text(NormRate)}.");
        if (NormTarget is { } target && (!(target >= 0) || !double.IsFinite(target)))
            throw new RequestException($"--norm-target must be 0 or more, but is {Number.Text(target)}.");
        if (Kind == RegularizerKind.NormControl && NormTarget is null)
        {
            throw new RequestException("--regularizer norm-control needs --norm-target, the ratio to the initial norm to hold; "
                + "a run with weight decay reports the one it ended at as normRatio, and 1 keeps the initial norm.");
        }

        foreach (StrengthOverride entry in Groups.Overrides)
        {
            if (entry.Strength is { } strength && (!(strength >= 0) || !double.IsFinite(strength)))
                throw new RequestException($"the strength of '{entry.Pattern}' must be 0 or more, but is {Number.Text(strength)}.");
        }

        return this;
    }

    /// <summary>Makes the regulariser for a model.</summary>
    /// <exception cref="RequestException">A value is impossible, or a pattern matches no tensor.</exception>
    public Regularizer Create(ParameterLayout layout)
    {
        Validated();
        var groups = new ParameterGroups(layout, Kind == RegularizerKind.NormControl ? Groups : WithoutZeroStrengths(Groups));
        return Kind switch
        {
            RegularizerKind.None => new NoRegularizer(groups),
            RegularizerKind.Decay or RegularizerKind.DecayDecoupled => new WeightDecay(groups, this),
            RegularizerKind.NormControl => new NormControl(groups, this),
            _ => throw new RequestException($"--regularizer {Kind} is not known."),
        };
    }

    // A decay of 0 leaves a tensor alone, so it is not part of the regularised set either; a target of 0 is a decay.
    private static ParameterGroupOptions WithoutZeroStrengths(ParameterGroupOptions groups) => groups with
    {
        Overrides = [.. groups.Overrides.Select(entry => entry.Strength == 0 ? entry with { Strength = null } : entry)],
    };
}
