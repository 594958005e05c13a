using Trainer.Model;

namespace Trainer.Optimization;

/// <summary>A rule that compares the norm of each unit with a target: weight norm control, max-norm, the sphere.</summary>
/// <remarks>
/// A target is a ratio r to the unit's initial norm. One given as a norm A or as a root mean square a is turned into the ratio A / ‖θ₀‖ or
/// a √C / ‖θ₀‖ as training starts, so that all kinds of targets take the same way.
/// </remarks>
public abstract class NormRule : Regularizer
{
    /// <summary>Keeps factors finite for weights that have all but vanished.</summary>
    protected const double TinyNorm = 1e-30;

    private readonly Dictionary<WeightUnit, double> _ratios = [];

    /// <summary>Forms the units that share a norm.</summary>
    /// <param name="layout">Where each tensor is.</param>
    /// <param name="groups">The regularised set; a group's own strength is its target.</param>
    /// <param name="options">Target, scope and order.</param>
    /// <exception cref="RequestException">There is no target.</exception>
    protected NormRule(ParameterLayout layout, ParameterGroups groups, RegularizerOptions options)
        : base(layout, groups, options)
    {
        if (options.NormTarget is null && Units.Any(unit => unit.Strength is null))
            throw new RequestException($"--regularizer {RuleDescription.Name(options.Kind)} needs --norm-target.");
    }

    /// <inheritdoc/>
    protected override bool UsesNorm => true;

    /// <inheritdoc/>
    public override void Start(ReadOnlySpan<double> initialSumsOfSquares, IReadOnlyList<double> state)
    {
        base.Start(initialSumsOfSquares, state);
        _ratios.Clear();
        foreach (WeightUnit unit in Units)
        {
            double target = Target(unit);
            if (unit.InitialNorm == 0 && target != 0 && !unit.IsPadding)
                throw NoInitialNorm(unit);
            _ratios[unit] = target == 0 || unit.InitialNorm == 0 ? 0 : Options.NormTargetKind switch
            {
                NormTargetKind.Absolute => target / unit.InitialNorm,
                NormTargetKind.RootMeanSquare => target * Math.Sqrt(unit.Count) / unit.InitialNorm,
                _ => target,
            };
        }
    }

    /// <summary>r, the target as a ratio to the initial norm.</summary>
    public double Ratio(WeightUnit unit) => _ratios[unit];

    private double Target(WeightUnit unit) => unit.Strength ?? Options.NormTarget ?? double.NaN;

    private RequestException NoInitialNorm(WeightUnit unit)
    {
        string remedy = Options.EffectiveScope == NormScope.Global
            ? "Give these weights no target of their own (--decay-group 'PATTERN=none'), so that they are left to the gradient."
            : "Leave them out (no --decay-bias, or --decay-group 'PATTERN=none'), or share one norm among all weights with --norm-scope global.";
        return new RequestException($"{unit.Name} begins with a norm of 0, which no factor can bring to a target of {Number.Text(Target(unit))}.\n{remedy}");
    }
}
