using Trainer.Model;

namespace Trainer.Optimization;

/// <summary>The rule that keeps the weights small or at a given norm. The numbers are the lines of Loshchilov, "Weight Norm Control" (2023).</summary>
public enum RegularizerKind
{
    /// <summary>No rule: the gradient alone.</summary>
    None,

    /// <summary>The gradient of (λ/2) ‖θ‖² joins that of the loss.</summary>
    L2,

    /// <summary>13.a: θ shrinks by 1 - α η_t λ, as torch.optim.AdamW does.</summary>
    Decay,

    /// <summary>13.b: θ shrinks by 1 - η_t λ, the decoupling of Loshchilov and Hutter (2019).</summary>
    DecayDecoupled,

    /// <summary>θ shrinks by 1 - λ, whatever the learning rate (Hanson and Pratt 1988).</summary>
    DecayConstant,

    /// <summary>13.c, AdamWN: θ is scaled by 1 - k_t (1 - r_t ‖θ₀‖ / ‖θ‖).</summary>
    NormControl,

    /// <summary>CPR (Franke et al. 2023): θ shrinks by 1 - 2 λ, where λ grows while ‖θ‖² is above a bound.</summary>
    ParameterBound,

    /// <summary>Max-norm (Srivastava et al. 2014): θ is brought back to a norm that it exceeds.</summary>
    MaxNorm,

    /// <summary>θ is brought to a norm.</summary>
    Sphere,
}

/// <summary>What a target norm is measured by.</summary>
public enum NormTargetKind
{
    /// <summary>The ratio to the norm at initialisation.</summary>
    Ratio,

    /// <summary>The norm itself.</summary>
    Absolute,

    /// <summary>The norm over √C: the root mean square of the weights.</summary>
    RootMeanSquare,
}

/// <summary>How CPR finds the bound κ of a unit's sum of squares.</summary>
public enum BoundRule
{
    /// <summary>Kappa-K: it is given.</summary>
    Given,

    /// <summary>Kappa-kI0: a multiple of the initial sum of squares.</summary>
    Initial,

    /// <summary>Kappa-WS (warm start), first called Kappa-Is: the sum of squares after a number of steps.</summary>
    WarmStart,

    /// <summary>Kappa-IP: the sum of squares where its growth first slows down.</summary>
    InflectionPoint,
}

/// <summary>Which weights share one norm.</summary>
public enum NormScope
{
    /// <summary>All regularised weights; a group with a target of its own is a unit of its own.</summary>
    Global,

    /// <summary>Each tensor of each layer.</summary>
    Tensor,

    /// <summary>Each row of each matrix: the incoming weights of a neuron, the vector of a token; and each vector.</summary>
    Row,
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

    /// <summary>Whether the gradient of an L2 penalty joins before clipping, which then sees it, or after it as in torch.optim.</summary>
    public bool L2BeforeClipping { get; init; }

    /// <summary>
    /// r of norm control, c of max-norm, ρ of the sphere: a norm in the measure of <see cref="NormTargetKind"/>, at least 0. There is no default: the
    /// paper of norm control takes the ratio that a run with weight decay ended at.
    /// </summary>
    public double? NormTarget { get; init; }

    /// <summary>What <see cref="NormTarget"/> and the groups' own targets are measured by.</summary>
    public NormTargetKind NormTargetKind { get; init; } = NormTargetKind.Ratio;

    /// <summary>
    /// How the target goes from the initial norm to r: r_t = 1 + (r - 1) · multiplier. The paper's is a <see cref="Schedule.Ramp"/>
    /// over 5 % of the steps.
    /// </summary>
    public Schedule NormTargetSchedule { get; init; } = Schedule.Constant;

    /// <summary>k of norm control in [0, 1]: the share of the distance to the target that each step removes.</summary>
    public double NormRate { get; init; } = 0.01;

    /// <summary>
    /// What k is multiplied by at each step. With the learning rate's schedule and r = 0, norm control of rate k = α λ is decay 13.a
    /// and of rate k = λ is decay 13.b, to the bit in the same order.
    /// </summary>
    public Schedule NormRateSchedule { get; init; } = Schedule.Constant;

    /// <summary>
    /// Which weights share a norm; null for the rule's usual scope: row for max-norm, tensor for CPR, global for the others.
    /// </summary>
    public NormScope? NormScope { get; init; }

    /// <summary>n of the sphere: the steps from one projection to the next.</summary>
    public int NormEvery { get; init; } = 1;

    /// <summary>How CPR finds its bounds.</summary>
    public BoundRule BoundRule { get; init; } = BoundRule.WarmStart;

    /// <summary>CPR: κ of <see cref="BoundRule.Given"/>, k of <see cref="BoundRule.Initial"/>; positive.</summary>
    public double Bound { get; init; } = 1;

    /// <summary>CPR: the steps of <see cref="BoundRule.WarmStart"/>; from one sample to the next of <see cref="BoundRule.InflectionPoint"/>.</summary>
    public int BoundSteps { get; init; } = 1;

    /// <summary>CPR: μ, how fast the multiplier follows; positive.</summary>
    public double BoundRate { get; init; } = 1;

    /// <summary>CPR: whether μ is divided by the number of weights of the unit, as in the authors' code.</summary>
    public bool BoundPerWeight { get; init; } = true;

    /// <summary>Which weights are regularised, and with strengths of their own: λ, the target of a norm, or the bound of CPR.</summary>
    public ParameterGroupOptions Groups { get; init; } = new();

    /// <summary>The order in force.</summary>
    public RegularizerOrder EffectiveOrder => Order ?? (Kind >= RegularizerKind.NormControl ? RegularizerOrder.Post : RegularizerOrder.Pre);

    /// <summary>The scope in force.</summary>
    public NormScope EffectiveScope => Kind < RegularizerKind.NormControl
        ? Optimization.NormScope.Global
        : NormScope ?? Kind switch
        {
            RegularizerKind.MaxNorm => Optimization.NormScope.Row,
            RegularizerKind.ParameterBound => Optimization.NormScope.Tensor,
            _ => Optimization.NormScope.Global,
        };

    /// <summary>Whether the strength is λ of a decay or a penalty.</summary>
    public bool IsDecay => Kind is RegularizerKind.L2 or RegularizerKind.Decay or RegularizerKind.DecayDecoupled or RegularizerKind.DecayConstant;

    /// <summary>Whether the strength is the target of a norm.</summary>
    public bool HasNormTarget => Kind is RegularizerKind.NormControl or RegularizerKind.MaxNorm or RegularizerKind.Sphere;

    /// <summary>Checks the values, naming the options that set them.</summary>
    /// <exception cref="RequestException">A value is impossible.</exception>
    public RegularizerOptions Validated()
    {
        Require(WeightDecay >= 0 && double.IsFinite(WeightDecay), $"--weight-decay must be 0 or more, but is {Number.Text(WeightDecay)}.");
        Require(NormRate is >= 0 and <= 1, $"--norm-rate must lie in [0, 1], but is {Number.Text(NormRate)}.");
        Require(NormTarget is not { } target || (target >= 0 && double.IsFinite(target)), $"--norm-target must be 0 or more, but is {Number.Text(NormTarget ?? 0)}.");
        Require(!HasNormTarget || NormTarget is not null,
            $"--regularizer {RuleDescription.Name(Kind)} needs --norm-target, the ratio to the initial norm to hold; "
            + "a run with weight decay reports the one it ended at as normRatio, and 1 keeps the initial norm.");
        Require(NormEvery >= 1, $"--norm-every must be 1 or more, but is {NormEvery}.");
        Require(Bound > 0 && double.IsFinite(Bound), $"--cpr-bound must be positive, but is {Number.Text(Bound)}.");
        Require(BoundRate > 0 && double.IsFinite(BoundRate), $"--cpr-rate must be positive, but is {Number.Text(BoundRate)}.");
        Require(BoundSteps >= 1, $"--cpr-steps must be 1 or more, but is {BoundSteps}.");
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
        var groups = new ParameterGroups(layout, HasNormTarget ? Groups : WithoutZeroStrengths(Groups));
        return Kind switch
        {
            RegularizerKind.None => new NoRegularizer(layout, groups, this),
            RegularizerKind.L2 => new L2Penalty(layout, groups, this),
            RegularizerKind.Decay or RegularizerKind.DecayDecoupled or RegularizerKind.DecayConstant => new WeightDecay(layout, groups, this),
            RegularizerKind.NormControl => new NormControl(layout, groups, this),
            RegularizerKind.ParameterBound => new ParameterBound(layout, groups, this),
            RegularizerKind.MaxNorm => new MaxNorm(layout, groups, this),
            RegularizerKind.Sphere => new SphereProjection(layout, groups, this),
            _ => throw new RequestException($"--regularizer {Kind} is not known."),
        };
    }

    private static void Require(bool condition, string message)
    {
        if (!condition)
            throw new RequestException(message);
    }

    // A decay of 0 leaves a tensor alone, so it is not part of the regularised set either; a target of 0 is a decay.
    private static ParameterGroupOptions WithoutZeroStrengths(ParameterGroupOptions groups) => groups with
    {
        Overrides = [.. groups.Overrides.Select(entry => entry.Strength == 0 ? entry with { Strength = null } : entry)],
    };
}
