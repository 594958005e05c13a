using Trainer.Model;

namespace Trainer.Optimization;

/// <summary>
/// Constrained parameter regularisation, CPR (Franke et al. 2023, algorithms 1 to 3): each unit has an upper bound κ of its sum of squares R and a
/// multiplier λ that grows while R is above it: <c>λ ← max(0, λ + μ (R - κ) / C)</c>, <c>s = 1 - 2 λ</c>, not multiplied by the learning rate.
/// </summary>
/// <remarks>
/// The division by the number of weights C is that of the authors' code; without it (<see cref="RegularizerOptions.BoundPerWeight"/>) the paper's μ of 1
/// is far too strong for matrices of a million elements. In order post, the code's, R is of the weights after the gradient step; in order pre, the
/// paper's, of those before it. λ stays at most 1/2: beyond it the factor would turn the weights' sign.
/// <para>
/// κ is given (Kappa-K), a multiple of the initial R (Kappa-kI0), R after a number of steps (Kappa-WS, first called Kappa-Is), or R when its smoothed
/// growth first slows down (Kappa-IP): every n steps R joins a moving average with decay 0.9, and κ is R at the first sample, from the third on, where
/// the average grows by less than at the sample before.
/// </para>
/// </remarks>
public sealed class ParameterBound : Regularizer
{
    private const double MaximumMultiplier = 0.5;
    private const double SmoothingDecay = 0.9;
    private const int FirstDecision = 3;
    private const int NumbersOfUnit = 5;

    private readonly Constraint[] _constraints;
    private readonly Dictionary<WeightUnit, int> _index;

    /// <summary>Forms the units, one for each tensor unless the scope says otherwise.</summary>
    /// <param name="layout">Where each tensor is.</param>
    /// <param name="groups">The regularised set; a group's own strength is its κ or its multiple.</param>
    /// <param name="options">How κ is found, μ, scope and order.</param>
    public ParameterBound(ParameterLayout layout, ParameterGroups groups, RegularizerOptions options)
        : base(layout, groups, options)
    {
        _constraints = new Constraint[Units.Count];
        _index = Units.Select((unit, i) => (unit, i)).ToDictionary(pair => pair.unit, pair => pair.i);
    }

    /// <summary>λ, κ (-1 until it is found) and the three numbers of Kappa-IP of each unit.</summary>
    public override IReadOnlyList<double> State =>
        [.. _constraints.SelectMany(c => new[] { c.Multiplier, double.IsNaN(c.Bound) ? -1 : c.Bound, c.Samples, c.Smoothed, c.Growth })];

    /// <inheritdoc/>
    protected override bool UsesNorm => true;

    /// <summary>λ of a unit.</summary>
    public double Multiplier(WeightUnit unit) => _constraints[_index[unit]].Multiplier;

    /// <summary>κ of a unit, a bound of its sum of squares; not a number until it is found.</summary>
    public double Bound(WeightUnit unit) => _constraints[_index[unit]].Bound;

    /// <inheritdoc/>
    public override void Start(ReadOnlySpan<double> initialSumsOfSquares, IReadOnlyList<double> state)
    {
        ArgumentNullException.ThrowIfNull(state);
        base.Start(initialSumsOfSquares, state);
        if (state.Count != 0 && state.Count != NumbersOfUnit * _constraints.Length)
            throw new RequestException($"the checkpoint has a constraint state of {state.Count} numbers, but {_constraints.Length} units need {NumbersOfUnit} each.");
        for (int i = 0; i < _constraints.Length; i++)
        {
            double initial = Units[i].InitialNorm * Units[i].InitialNorm;
            double strength = Units[i].Strength ?? Options.Bound;
            _constraints[i] = state.Count > 0
                ? new(state[5 * i], state[(5 * i) + 1] < 0 ? double.NaN : state[(5 * i) + 1], state[(5 * i) + 2], state[(5 * i) + 3], state[(5 * i) + 4])
                : new(0, Options.BoundRule switch { BoundRule.Given => strength, BoundRule.Initial => strength * initial, _ => double.NaN }, 0, 0, 0);
            if (state.Count == 0 && Gain(Units[i]) * (initial - _constraints[i].Bound) >= MaximumMultiplier)
                throw TooTight(Units[i], initial);
        }
    }

    /// <inheritdoc/>
    protected override double Factor(WeightUnit unit, in RegularizerStep step, double norm)
    {
        ref Constraint constraint = ref _constraints[_index[unit]];
        double squares = norm * norm;
        if (double.IsNaN(constraint.Bound))
        {
            if (IsFound(ref constraint, step.Step, squares))
                constraint.Bound = squares;
            return 1;
        }

        constraint.Multiplier = Math.Clamp(constraint.Multiplier + (Gain(unit) * (squares - constraint.Bound)), 0, MaximumMultiplier);
        return 1 - (2 * constraint.Multiplier);
    }

    private double Gain(WeightUnit unit) => Options.BoundPerWeight ? Options.BoundRate / unit.Count : Options.BoundRate;

    private bool IsFound(ref Constraint constraint, long step, double squares)
    {
        if (Options.BoundRule == BoundRule.WarmStart)
            return step == Options.BoundSteps;
        if (step % Options.BoundSteps != 0)
            return false;
        double smoothed = constraint.Samples == 0 ? squares : (SmoothingDecay * constraint.Smoothed) + ((1 - SmoothingDecay) * squares);
        double growth = smoothed - constraint.Smoothed;
        bool slows = constraint.Samples + 1 >= FirstDecision && growth < constraint.Growth;
        constraint = constraint with { Samples = constraint.Samples + 1, Smoothed = smoothed, Growth = constraint.Samples == 0 ? 0 : growth };
        return slows;
    }

    private RequestException TooTight(WeightUnit unit, double initial)
    {
        double least = initial - (MaximumMultiplier / Gain(unit));
        return new RequestException($"the bound {Number.Text(_constraints[_index[unit]].Bound)} of {unit.Name} is so far below its initial sum of squares {Number.Text(initial)} "
            + $"that the first step would have 2 lambda >= 1 and turn the weights' sign.\nThe nearest valid bound is above {Number.Text(least)}; or make --cpr-rate smaller.");
    }

    private record struct Constraint(double Multiplier, double Bound, double Samples, double Smoothed, double Growth);
}
