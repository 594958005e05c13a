using Trainer.Model;

namespace Trainer.Optimization;

/// <summary>The scalars of a step that a regulariser sees.</summary>
/// <param name="Step">t, counted from 1.</param>
/// <param name="PeakLearningRate">α.</param>
/// <param name="Multiplier">η_t; the learning rate of the step is α η_t.</param>
/// <param name="EffectiveRate">
/// e_t: regularised weights have the learning rate e_t ‖θ‖ instead, with their norm as the step begins; not a number for none.
/// </param>
public readonly record struct RegularizerStep(long Step, double PeakLearningRate, double Multiplier, double EffectiveRate = double.NaN);

/// <summary>
/// Turns the step and the norms of the weights into a factor for each unit of weights: known before the fused pass, or only from the norms
/// that the pass leaves. Factors are computed in double precision and rounded once.
/// </summary>
public abstract class Regularizer
{
    private readonly int[] _members;
    private readonly WeightUnit[] _units;

    /// <summary>Forms the units.</summary>
    /// <param name="layout">Where each tensor is.</param>
    /// <param name="groups">The regularised set; a group's strength is that of its units.</param>
    /// <param name="options">Scope and order.</param>
    protected Regularizer(ParameterLayout layout, ParameterGroups groups, RegularizerOptions options)
    {
        ArgumentNullException.ThrowIfNull(layout);
        ArgumentNullException.ThrowIfNull(groups);
        ArgumentNullException.ThrowIfNull(options);
        (Groups, Options) = (groups, options);
        Segments = options.EffectiveScope == NormScope.Row ? WeightSegments.OfRows(layout) : WeightSegments.OfTensors(layout);
        _units = [.. groups.Groups.SelectMany(group => Divide(layout, group))];
        _members = [.. _units.SelectMany(unit => unit.Segments.ToArray()).Order()];
    }

    /// <summary>The regularised set.</summary>
    public ParameterGroups Groups { get; }

    /// <summary>The pieces whose sums of squares are kept apart.</summary>
    public WeightSegments Segments { get; }

    /// <summary>The weights that share a factor.</summary>
    public IReadOnlyList<WeightUnit> Units => _units;

    /// <summary>Indices into <see cref="WeightSegments.Segments"/> of all regularised weights, ascending.</summary>
    public ReadOnlySpan<int> Members => _members;

    /// <summary>The rule.</summary>
    public RegularizerOptions Options { get; }

    /// <summary>What the rule keeps from step to step, with which a run goes on.</summary>
    public virtual IReadOnlyList<double> State => [];

    /// <summary>Whether the factor follows from the norm that the fused pass leaves, so that it is applied by a pass of its own.</summary>
    public bool FollowsPass => UsesNorm && Options.EffectiveOrder == RegularizerOrder.Post;

    /// <summary>Whether the factor depends on the norm.</summary>
    protected abstract bool UsesNorm { get; }

    /// <summary>Takes note of the weights that training began with.</summary>
    /// <param name="initialSumsOfSquares">Σ w² of every segment at initialisation.</param>
    /// <param name="state">The <see cref="State"/> of the run that is continued; empty for a new one.</param>
    /// <exception cref="RequestException">The rule cannot work on these weights, or the state is of another rule.</exception>
    public virtual void Start(ReadOnlySpan<double> initialSumsOfSquares, IReadOnlyList<double> state)
    {
        foreach (WeightUnit unit in _units)
            unit.InitialNorm = unit.Norm(initialSumsOfSquares);
    }

    /// <summary>The norm of the regularised set.</summary>
    /// <param name="sumsOfSquares">Σ w² of every segment.</param>
    public double Norm(ReadOnlySpan<double> sumsOfSquares)
    {
        double sum = 0;
        foreach (int segment in _members)
            sum += sumsOfSquares[segment];
        return Math.Sqrt(sum);
    }

    /// <summary>Sets the factors of the fused pass.</summary>
    /// <param name="step">The step.</param>
    /// <param name="sumsOfSquares">Σ w² of every segment as the step begins.</param>
    /// <param name="updates">One for each segment, with factors of 1.</param>
    public virtual void BeforeStep(in RegularizerStep step, ReadOnlySpan<double> sumsOfSquares, Span<SegmentUpdate> updates)
    {
        if (FollowsPass)
            return;
        foreach (WeightUnit unit in _units)
        {
            float factor = (float)Factor(unit, step, UsesNorm ? unit.Norm(sumsOfSquares) : double.NaN);
            foreach (int segment in unit.Segments)
            {
                ref SegmentUpdate update = ref updates[segment];
                update = Options.EffectiveOrder == RegularizerOrder.Pre ? update with { ShrinkBefore = factor } : update with { ShrinkAfter = factor };
            }
        }
    }

    /// <summary>Gives the factors that are known only after the gradient step.</summary>
    /// <param name="step">The step.</param>
    /// <param name="sumsOfSquares">Σ w² of every segment after the gradient step.</param>
    /// <param name="factors">One for each segment, each 1.</param>
    /// <returns>Whether any factor is not 1.</returns>
    public bool AfterStep(in RegularizerStep step, ReadOnlySpan<double> sumsOfSquares, Span<float> factors)
    {
        if (!FollowsPass)
            return false;
        bool any = false;
        foreach (WeightUnit unit in _units)
        {
            float factor = (float)Factor(unit, step, unit.Norm(sumsOfSquares));
            any |= factor != 1;
            foreach (int segment in unit.Segments)
                factors[segment] = factor;
        }

        return any;
    }

    /// <summary>What a unit's weights are multiplied by. Called once for each unit and step.</summary>
    /// <param name="unit">The unit.</param>
    /// <param name="step">The step.</param>
    /// <param name="norm">Its norm in the rule's order; not a number unless <see cref="UsesNorm"/>.</param>
    protected abstract double Factor(WeightUnit unit, in RegularizerStep step, double norm);

    private IEnumerable<WeightUnit> Divide(ParameterLayout layout, ParameterGroup group)
    {
        switch (Options.EffectiveScope)
        {
            case NormScope.Global:
                yield return Unit(group.Name, group.Tensors.SelectMany(tensor => Indices(Segments.Of(tensor))));
                break;
            case NormScope.Tensor:
                foreach (int tensor in group.Tensors)
                    yield return Unit(layout.Tensors[tensor].Name, Indices(Segments.Of(tensor)));
                break;
            default:
                foreach (int tensor in group.Tensors)
                {
                    ParameterTensor parameter = layout.Tensors[tensor];
                    int rows = parameter.Kind == ParameterKind.TokenEmbedding ? layout.Config.Vocabulary : int.MaxValue;
                    foreach ((int row, int segment) in Indices(Segments.Of(tensor)).Index())
                        yield return Unit(parameter.Shape.Rank == 2 ? $"row {row} of {parameter.Name}" : parameter.Name, [segment], row >= rows);
                }

                break;
        }

        WeightUnit Unit(string name, IEnumerable<int> segments, bool isPadding = false)
        {
            int[] members = [.. segments];
            return new WeightUnit(name, group.Strength, members, members.Sum(segment => Segments.Segments[segment].Count)) { IsPadding = isPadding };
        }

        static IEnumerable<int> Indices(Range range) => Enumerable.Range(range.Start.Value, range.End.Value - range.Start.Value);
    }
}
