namespace Trainer.Optimization;

/// <summary>
/// Weight norm control, AdamWN (Loshchilov, "Weight Norm Control", 2023, line 13.c): each step moves the norm of each unit of weights
/// towards a target, <c>new norm = (1 - k_t) norm + k_t r_t ‖θ₀‖</c>, by the one factor <c>s = 1 - k_t (1 - r_t ‖θ₀‖ / norm)</c>.
/// </summary>
/// <remarks>
/// Below the target weights grow, above it they shrink; r = 0 is weight decay and k = 1 a sphere. A unit whose norm is zero has nothing
/// to scale, and one whose initial norm was zero has no ratio to hold; both are left alone, the latter unless its target is 0.
/// </remarks>
public sealed class NormControl : Regularizer
{
    // Keeps the factor finite for weights that have all but vanished.
    private const double TinyNorm = 1e-30;

    private readonly RegularizerOptions _options;
    private readonly Unit[] _units;

    /// <summary>Forms the units that share a norm.</summary>
    /// <param name="groups">The regularised set; a group's own strength is its r.</param>
    /// <param name="options">Target, rate, schedules, scope and order.</param>
    public NormControl(ParameterGroups groups, RegularizerOptions options)
        : base(groups)
    {
        ArgumentNullException.ThrowIfNull(groups);
        ArgumentNullException.ThrowIfNull(options);
        _options = options;
        var units = new List<Unit>();
        foreach (ParameterGroup group in groups.Groups)
        {
            double target = group.Strength ?? options.NormTarget
                ?? throw new RequestException("--regularizer norm-control needs --norm-target.");
            if (options.NormScope == NormScope.Global)
                units.Add(new Unit(target, [.. group.Tensors]));
            else
                units.AddRange(group.Tensors.Select(tensor => new Unit(target, [tensor])));
        }

        _units = [.. units];
    }

    /// <inheritdoc/>
    public override void Start(ReadOnlySpan<double> initialSumsOfSquares)
    {
        foreach (Unit unit in _units)
            unit.InitialNorm = unit.Norm(initialSumsOfSquares);
    }

    /// <inheritdoc/>
    public override void BeforeStep(in RegularizerStep step, ReadOnlySpan<double> sumsOfSquares, Span<SegmentUpdate> updates)
    {
        if (_options.EffectiveOrder != RegularizerOrder.Pre)
            return;
        foreach (Unit unit in _units)
        {
            float factor = Factor(unit, step, sumsOfSquares);
            foreach (int tensor in unit.Tensors)
                updates[tensor] = updates[tensor] with { ShrinkBefore = factor };
        }
    }

    /// <inheritdoc/>
    public override bool AfterStep(in RegularizerStep step, ReadOnlySpan<double> sumsOfSquares, Span<float> factors)
    {
        if (_options.EffectiveOrder != RegularizerOrder.Post)
            return false;
        bool any = false;
        foreach (Unit unit in _units)
        {
            float factor = Factor(unit, step, sumsOfSquares);
            any |= factor != 1;
            foreach (int tensor in unit.Tensors)
                factors[tensor] = factor;
        }

        return any;
    }

    private float Factor(Unit unit, in RegularizerStep step, ReadOnlySpan<double> sumsOfSquares)
    {
        double norm = unit.Norm(sumsOfSquares);
        if (norm == 0 || (unit.InitialNorm == 0 && unit.Target != 0))
            return 1;
        double ratio = 1 + ((unit.Target - 1) * _options.NormTargetSchedule.Multiplier(step.Step - 1));
        double rate = _options.NormRate * _options.NormRateSchedule.Multiplier(step.Step - 1);
        return (float)(1 - (rate * (1 - (ratio * unit.InitialNorm / Math.Max(norm, TinyNorm)))));
    }

    private sealed class Unit(double target, int[] tensors)
    {
        public double Target { get; } = target;

        public int[] Tensors { get; } = tensors;

        public double InitialNorm { get; set; }

        public double Norm(ReadOnlySpan<double> sumsOfSquares)
        {
            double sum = 0;
            foreach (int tensor in Tensors)
                sum += sumsOfSquares[tensor];
            return Math.Sqrt(sum);
        }
    }
}
