using Trainer.Optimization;

namespace Trainer.Diagnostics;

/// <summary>
/// What follows from the strength of weight decay alone: the share d_t of a weight that step t takes away (lr_t λ for 13.a and for L2 under SGD, η_t λ for
/// 13.b), and the equilibrium of norm and angle that it leads to. Of the rule's own strength, not of those that <c>--decay-group</c> sets.
/// </summary>
/// <remarks>
/// Where a formula has λ, it is d_t / lr_t: so 13.b and other conventions are the same formulas. L2 under Adam takes away no fixed share; then everything
/// here is not a number.
/// </remarks>
/// <param name="options">The rule.</param>
public sealed class DecayCourse(OptimizerOptions options)
{
    private readonly RegularizerOptions _rule = options.Regularizer;
    private long _summed;
    private double _sum;

    /// <summary>Whether the rule takes away a fixed share.</summary>
    public bool Exists => _rule.Kind is RegularizerKind.Decay or RegularizerKind.DecayDecoupled or RegularizerKind.DecayConstant
        || (_rule.Kind == RegularizerKind.L2 && options.Kind == OptimizerKind.Sgd);

    /// <summary>d_t.</summary>
    /// <param name="step">t, from 1.</param>
    public double Share(long step) => !Exists
        ? double.NaN
        : _rule.Kind == RegularizerKind.L2
            ? options.LearningRate * options.Schedule.Multiplier(step - 1) * Strength(step)
            : WeightDecay.Share(_rule, _rule.WeightDecay, new RegularizerStep(step, options.LearningRate, options.Schedule.Multiplier(step - 1)));

    /// <summary>λ_t, the strength of the step by its schedule.</summary>
    public double Strength(long step) => _rule.WeightDecay * _rule.WeightDecaySchedule.Multiplier(step - 1);

    /// <summary>Λ = d_1 + … + d_t. It follows from the schedules, so that it is the same whether or not the run was resumed.</summary>
    public double Total(long step)
    {
        if (step < _summed)
            (_summed, _sum) = (0, 0);
        while (_summed < step)
            _sum += Share(++_summed);
        return _sum;
    }

    /// <summary>1 / d_t, the steps after which a weight that nothing else moves is 1/e of itself; infinite without decay.</summary>
    public double TimeConstant(long step) => 1 / Share(step);

    /// <summary>‖θ‖² / √(lr / λ), which for a scale-invariant model under SGD tends to a constant (Labatie, "The serendipitous effectiveness of weight decay").</summary>
    /// <param name="step">t.</param>
    /// <param name="learningRate">lr_t.</param>
    /// <param name="squares">‖θ‖².</param>
    public double SgdEquilibrium(long step, double learningRate, double squares) => squares * Math.Sqrt(Share(step)) / learningRate;

    /// <summary>rms(θ) / √(lr / (2 λ)), which under AdamW tends to 1.</summary>
    /// <param name="step">t.</param>
    /// <param name="learningRate">lr_t.</param>
    /// <param name="rootMeanSquare">Of θ.</param>
    public double AdamEquilibrium(long step, double learningRate, double rootMeanSquare) => rootMeanSquare * Math.Sqrt(2 * Share(step)) / learningRate;

    /// <summary>√(2 d_t (1 - β₁) / (1 + β₁)), the angle of an AdamW step at equilibrium, in radians; not a number for SGD.</summary>
    public double PredictedAngle(long step) => options.Kind == OptimizerKind.Adam
        ? Math.Sqrt(2 * Share(step) * (1 - options.Beta1) / (1 + options.Beta1))
        : double.NaN;
}
