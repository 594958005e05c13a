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
        string text = rule.Kind switch
        {
            RegularizerKind.None => $"Adam without weight decay, lr {Number.Text(options.LearningRate)}",
            RegularizerKind.Decay => $"AdamW, decay {Equivalence(RegularizerKind.Decay, rule.WeightDecay, options.LearningRate)}, "
                + Total(rule.WeightDecay, options.LearningRate, steps),
            RegularizerKind.DecayDecoupled => $"AdamW, decay-decoupled {Equivalence(RegularizerKind.DecayDecoupled, rule.WeightDecay, options.LearningRate)}, "
                + Total(rule.WeightDecay, 1, steps),
            _ => $"AdamWN, norm-control (13.c) to {Number.Text(rule.NormTarget ?? double.NaN)} x the initial norm, "
                + $"rate {Number.Text(rule.NormRate)}, {rule.NormScope.ToString().ToLowerInvariant()} norm, lr {Number.Text(options.LearningRate)}",
        };
        if (rule.Kind == RegularizerKind.NormControl && rule.NormTargetSchedule.WarmupSteps > 0)
            text += $", target ramped over {rule.NormTargetSchedule.WarmupSteps + rule.NormTargetSchedule.WarmupOffset} steps";
        if (rule.Order is { } order)
            text += order == RegularizerOrder.Pre ? ", before the gradient step" : ", after the gradient step";
        if (rule.Groups.Overrides.Count > 0)
            text += $", own strengths for {string.Join(" ", rule.Groups.Overrides.Select(entry => entry.Pattern))}";
        return text;
    }

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
}
