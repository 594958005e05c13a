using Trainer.Cuda.Kernels;
using Trainer.Model;
using Trainer.Optimization;

namespace Trainer.Cuda.Optimizer;

/// <summary>
/// The regularised set of a model as the kernels of <c>cuda/regularizer.cu</c> read it: units, and which unit each tensor belongs to. Tensors that
/// are not regularised belong to none.
/// </summary>
/// <remarks>
/// <code>
/// --regularizer              rule of each unit     strength            rate
/// none                       None                  -                   -
/// l2, after clipping         L2                    λ                   -
/// decay, decay-decoupled     Decay(Decoupled)      λ                   -
/// decay-constant             NormControl           0                   λ       a target of 0: the factor 1 - λ
/// norm-control               NormControl           r                   k
/// cpr                        ParameterBound        -                   μ
/// max-norm, sphere           MaxNorm, Sphere       c, ρ                -
/// </code>
/// λ, r, c and ρ are a group's own where it has one. <see cref="RegularizedUnit.After"/> is the order in force.
/// </remarks>
internal sealed class RegularizedUnits
{
    // One block walks over all segments for each unit.
    private const int MostSegments = 8192;

    private readonly Regularizer _regularizer;
    private readonly RegularizedUnit[] _units;
    private readonly int[] _unitOfSegment;

    private RegularizedUnits(Regularizer regularizer, RegularizedUnit[] units, int[] unitOfSegment) =>
        (_regularizer, _units, _unitOfSegment) = (regularizer, units, unitOfSegment);

    /// <summary>The units.</summary>
    public ReadOnlySpan<RegularizedUnit> Units => _units;

    /// <summary>The unit of each segment of the regulariser, -1 for none.</summary>
    public ReadOnlySpan<int> UnitOfSegment => _unitOfSegment;

    /// <summary>Whether a step ends with <see cref="OptimizerKernels.ScaleWeights"/>: a factor follows from the norm after the gradient step.</summary>
    public bool ScalesAfterPass => Array.Exists(_units, unit => unit.FollowsPass);

    /// <summary>Refuses what the kernels do not know.</summary>
    /// <exception cref="RequestException">The rule runs on the CPU only.</exception>
    public static void CheckSupports(OptimizerOptions options, WeightSegments segments)
    {
        RegularizerOptions rule = options.Regularizer;
        string? what = rule switch
        {
            { Kind: RegularizerKind.L2, L2BeforeClipping: true } => "--l2-position pre-clip",
            { Kind: RegularizerKind.ParameterBound, BoundRule: BoundRule.InflectionPoint } => "--cpr-kappa ip",
            { Kind: RegularizerKind.Sphere, NormEvery: > 1 } => "--norm-every above 1",
            _ when options.EffectiveRates.Count > 0 => "--lr-schedule replay",
            _ when segments.Count > MostSegments => $"--norm-scope row with more than {MostSegments} rows",
            _ => null,
        };
        if (what is not null)
            throw new RequestException($"{what} is not available on a GPU; use --device cpu.");
    }

    /// <summary>Forms the units.</summary>
    /// <param name="options">The rule.</param>
    /// <param name="layout">The tensors.</param>
    /// <param name="initialSums">Σ w² of every segment at initialisation.</param>
    /// <param name="sums">Σ w² of every segment now: the same when training begins.</param>
    /// <param name="state">What the rule kept (<see cref="Regularizer.State"/>); empty when training begins.</param>
    /// <exception cref="ArgumentException">There is not one sum for each segment.</exception>
    /// <exception cref="RequestException">An option is impossible, or a pattern matches no tensor.</exception>
    public static RegularizedUnits From(
        OptimizerOptions options, ParameterLayout layout, ReadOnlySpan<double> initialSums, ReadOnlySpan<double> sums, IReadOnlyList<double> state)
    {
        ArgumentNullException.ThrowIfNull(options);
        Regularizer regularizer = options.Regularizer.Create(layout);
        int segments = regularizer.Segments.Count;
        if (initialSums.Length != segments || sums.Length != segments)
            throw new ArgumentException($"{initialSums.Length} initial and {sums.Length} present sums for {segments} segments");
        regularizer.Start(initialSums, state);

        var units = new RegularizedUnit[regularizer.Units.Count];
        var unitOfSegment = new int[segments];
        Array.Fill(unitOfSegment, -1);
        for (int i = 0; i < units.Length; i++)
        {
            WeightUnit unit = regularizer.Units[i];
            foreach (int segment in unit.Segments)
                unitOfSegment[segment] = i;
            units[i] = Rule(regularizer, unit) with { InitialNorm = unit.InitialNorm, Norm = unit.Norm(sums), Count = unit.Count, Factor = 1 };
        }

        return new RegularizedUnits(regularizer, units, unitOfSegment);
    }

    /// <summary>The scalars before the first step: nothing has been refused.</summary>
    /// <param name="sums">Σ w² of every segment.</param>
    public StepScalars Begin(ReadOnlySpan<double> sums) => new() { Taken = 1, WeightNorm = _regularizer.Norm(sums) };

    /// <summary>What <see cref="Regularizer.State"/> would say of units as the kernels have left them after a step.</summary>
    public static IReadOnlyList<double> State(ReadOnlySpan<RegularizedUnit> units, long step)
    {
        var state = new List<double>();
        foreach (ref readonly RegularizedUnit unit in units)
        {
            if (unit.Rule == UnitRule.ParameterBound)
                state.AddRange([unit.Multiplier, step < unit.BoundStep ? -1 : unit.Bound, 0, 0, 0]);
        }

        return state;
    }

    private static RegularizedUnit Rule(Regularizer regularizer, WeightUnit unit)
    {
        RegularizerOptions rule = regularizer.Options;
        double lambda = unit.Strength ?? rule.WeightDecay;
        RegularizedUnit made = regularizer switch
        {
            L2Penalty => new() { Rule = UnitRule.L2, Strength = lambda },
            WeightDecay when rule.Kind == RegularizerKind.Decay => new() { Rule = UnitRule.Decay, Strength = lambda },
            WeightDecay when rule.Kind == RegularizerKind.DecayDecoupled => new() { Rule = UnitRule.DecayDecoupled, Strength = lambda },
            WeightDecay => new() { Rule = UnitRule.NormControl, Rate = lambda },
            NormControl control => new() { Rule = UnitRule.NormControl, Strength = control.Ratio(unit), Rate = rule.NormRate },
            ParameterBound bound => new()
            {
                Rule = UnitRule.ParameterBound,
                Rate = rule.BoundPerWeight ? rule.BoundRate : rule.BoundRate * unit.Count,
                Multiplier = bound.Multiplier(unit),
                Bound = double.IsNaN(bound.Bound(unit)) ? 0 : bound.Bound(unit),
                BoundStep = double.IsNaN(bound.Bound(unit)) ? rule.BoundSteps : 0,
            },
            MaxNorm maximum => new() { Rule = UnitRule.MaxNorm, Strength = maximum.Ratio(unit) },
            SphereProjection sphere => new() { Rule = UnitRule.Sphere, Strength = sphere.Ratio(unit) },
            _ => default,
        };
        return made with { After = made.Rule is UnitRule.None or UnitRule.L2 || rule.EffectiveOrder == RegularizerOrder.Pre ? 0 : 1 };
    }
}
