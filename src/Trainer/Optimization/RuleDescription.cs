namespace Trainer.Optimization;

/// <summary>
/// The optimizer and regulariser on one line. The strength of a decay is told in both conventions, because the same λ means very
/// different decays in them (Loshchilov 2023, section 3).
/// </summary>
public static class RuleDescription
{
    /// <summary>The rule on one line: <c>AdamW, decay (13.a) lambda 0.1 = 13.b lambda 1e-4 at lr 1e-3, Lambda = lambda x lr x steps = 5</c>.</summary>
    /// <param name="options">The rule.</param>
    /// <param name="steps">The steps of the run.</param>
    public static string Describe(OptimizerOptions options, long steps)
    {
        ArgumentNullException.ThrowIfNull(options);
        RegularizerOptions rule = options.Regularizer;
        bool adam = options.Kind == OptimizerKind.Adam;
        string lr = Number.Text(options.LearningRate), name = adam ? "Adam" : "SGD";
        string text = rule.Kind switch
        {
            RegularizerKind.None => $"{name} without weight decay, lr {lr}",
            RegularizerKind.L2 => $"{name} with L2 of lambda {Number.Text(rule.WeightDecay)} (loss + lambda/2 |w|^2) {(rule.L2BeforeClipping ? "before" : "after")} clipping, lr {lr}",
            RegularizerKind.Decay => $"{name}W, decay {Equivalence(RegularizerKind.Decay, rule.WeightDecay, options.LearningRate)}, "
                + Total(rule.WeightDecay, options.LearningRate, steps),
            RegularizerKind.DecayDecoupled => $"{name}W, decay-decoupled {Equivalence(RegularizerKind.DecayDecoupled, rule.WeightDecay, options.LearningRate)}, "
                + Total(rule.WeightDecay, 1, steps),
            RegularizerKind.DecayConstant => $"{name}, decay-constant lambda {Number.Text(rule.WeightDecay)} whatever the learning rate, lr {lr}",
            RegularizerKind.ParameterBound => $"{name}CPR, {Bound(rule)}, rate {Number.Text(rule.BoundRate)}{(rule.BoundPerWeight ? " / weights" : "")}, {Scope(rule)}, lr {lr}",
            RegularizerKind.MaxNorm => $"{name} with max-norm {Target(rule)}, {Scope(rule)}, lr {lr}",
            RegularizerKind.Sphere => $"{name} on the sphere of {Target(rule)}, every {rule.NormEvery} step(s), {Scope(rule)}, lr {lr}",
            _ => $"{name}WN, norm-control (13.c) to {Target(rule)}, rate {Number.Text(rule.NormRate)}, {Scope(rule)}, lr {lr}",
        };
        if (rule.Kind == RegularizerKind.NormControl && rule.NormTargetSchedule.WarmupSteps > 0)
            text += $", target ramped over {rule.NormTargetSchedule.WarmupSteps + rule.NormTargetSchedule.WarmupOffset} steps";
        if (rule.Order is { } order)
            text += order == RegularizerOrder.Pre ? ", before the gradient step" : ", after the gradient step";
        if (options.EffectiveRates.Count > 0)
            text += ", at the effective learning rates of another run";
        if (rule.Groups.Overrides.Count > 0)
            text += $", own strengths for {string.Join(" ", rule.Groups.Overrides.Select(entry => entry.Pattern))}";
        return text;
    }

    /// <summary>The rule as <c>--regularizer</c> names it.</summary>
    public static string Name(RegularizerKind kind) => kind switch
    {
        RegularizerKind.None => "none",
        RegularizerKind.L2 => "l2",
        RegularizerKind.Decay => "decay",
        RegularizerKind.DecayDecoupled => "decay-decoupled",
        RegularizerKind.DecayConstant => "decay-constant",
        RegularizerKind.NormControl => "norm-control",
        RegularizerKind.ParameterBound => "cpr",
        RegularizerKind.MaxNorm => "max-norm",
        _ => "sphere",
    };

    /// <summary>The same decay in both conventions: <c>(13.a) lambda 0.1 = 13.b lambda 1e-4 at lr 1e-3</c>.</summary>
    /// <param name="kind">The convention of <paramref name="weightDecay"/>.</param>
    /// <param name="weightDecay">λ.</param>
    /// <param name="learningRate">α.</param>
    public static string Equivalence(RegularizerKind kind, double weightDecay, double learningRate) => kind switch
    {
        RegularizerKind.Decay => $"(13.a) lambda {Number.Text(weightDecay)} = 13.b lambda "
            + $"{Number.Text(weightDecay * learningRate)} at lr {Number.Text(learningRate)}",
        RegularizerKind.DecayDecoupled => $"(13.b) lambda {Number.Text(weightDecay)} = 13.a lambda "
            + $"{Number.Text(weightDecay / learningRate)} at lr {Number.Text(learningRate)}",
        _ => throw new ArgumentOutOfRangeException(nameof(kind)),
    };

    /// <summary>Λ, the number that has to stay the same when a run is made shorter; published runs of GPT-2 have Λ from 3 to 20.</summary>
    private static string Total(double weightDecay, double learningRate, long steps) =>
        $"Lambda = lambda x lr x steps = {Number.Text(weightDecay * learningRate * steps)}";

    private static string Scope(RegularizerOptions rule) => $"{rule.EffectiveScope.ToString().ToLowerInvariant()} norm";

    private static string Target(RegularizerOptions rule)
    {
        string value = Number.Text(rule.NormTarget ?? double.NaN);
        return rule.NormTargetKind switch
        {
            NormTargetKind.Absolute => $"a norm of {value}",
            NormTargetKind.RootMeanSquare => $"a root mean square of {value}",
            _ => $"{value} x the initial norm",
        };
    }

    private static string Bound(RegularizerOptions rule) => rule.BoundRule switch
    {
        BoundRule.Given => $"Kappa-K {Number.Text(rule.Bound)}",
        BoundRule.Initial => $"Kappa-kI0 {Number.Text(rule.Bound)} x the initial sum of squares",
        BoundRule.WarmStart => $"Kappa-WS after {rule.BoundSteps} steps",
        _ => $"Kappa-IP, a sample every {rule.BoundSteps} steps",
    };
}
