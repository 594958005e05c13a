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
/// --regularizer                     units                        rule             strength            rate
/// none                              each group                   None             -                   -
/// decay, decay-decoupled            each group                   Decay(Decoupled) the group's own λ   -
/// norm-control, scope global        each group                   NormControl      the group's own r   k
/// norm-control, scope tensor        each tensor                  NormControl      its group's r       k
/// </code>
/// <see cref="RegularizedUnit.After"/> is the order in force: <c>--decay-order first|last</c> of the decays, <c>--norm-order pre|post</c> of norm control.
/// </remarks>
internal sealed class RegularizedUnits
{
    private readonly ParameterGroups _groups;
    private readonly RegularizedUnit[] _units;
    private readonly int[] _unitOfTensor;

    private RegularizedUnits(ParameterGroups groups, RegularizedUnit[] units, int[] unitOfTensor) =>
        (_groups, _units, _unitOfTensor) = (groups, units, unitOfTensor);

    /// <summary>The units.</summary>
    public ReadOnlySpan<RegularizedUnit> Units => _units;

    /// <summary>The unit of each tensor of the layout, -1 for none.</summary>
    public ReadOnlySpan<int> UnitOfTensor => _unitOfTensor;

    /// <summary>Whether a step ends with <see cref="OptimizerKernels.ScaleWeights"/>: a factor follows from the norm after the gradient step.</summary>
    public bool ScalesAfterPass => Array.Exists(_units, unit => unit.FollowsPass);

    /// <summary>Forms the units.</summary>
    /// <param name="options">The rule.</param>
    /// <param name="layout">The tensors.</param>
    /// <param name="initialSums">Σ w² of every tensor at initialisation.</param>
    /// <param name="sums">Σ w² of every tensor now: the same when training begins.</param>
    /// <exception cref="ArgumentException">There is not one sum for each tensor.</exception>
    /// <exception cref="RequestException">An option is impossible, or a pattern matches no tensor.</exception>
    public static RegularizedUnits From(
        OptimizerOptions options, ParameterLayout layout, ReadOnlySpan<double> initialSums, ReadOnlySpan<double> sums)
    {
        ArgumentNullException.ThrowIfNull(options);
        ArgumentNullException.ThrowIfNull(layout);
        int tensors = layout.Tensors.Count;
        if (initialSums.Length != tensors || sums.Length != tensors)
            throw new ArgumentException($"{initialSums.Length} initial and {sums.Length} present sums for {tensors} tensors");

        RegularizerOptions rule = options.Regularizer;
        ParameterGroups groups = rule.Create(layout).Groups;
        bool ofTensors = rule.Kind == RegularizerKind.NormControl && rule.NormScope == NormScope.Tensor;
        var units = new List<RegularizedUnit>();
        var unitOfTensor = new int[tensors];
        Array.Fill(unitOfTensor, -1);
        foreach (ParameterGroup group in groups.Groups)
        {
            foreach (int[] members in ofTensors ? group.Tensors.Select(tensor => new[] { tensor }) : [[.. group.Tensors]])
            {
                foreach (int tensor in members)
                    unitOfTensor[tensor] = units.Count;
                units.Add(Rule(rule, group.Strength) with
                {
                    InitialNorm = Norm(members, initialSums),
                    Norm = Norm(members, sums),
                    Count = members.Sum(tensor => layout.Tensors[tensor].Segment.Count),
                    Factor = 1,
                });
            }
        }

        return new RegularizedUnits(groups, [.. units], unitOfTensor);
    }

    /// <summary>The scalars before the first step: nothing has been refused.</summary>
    /// <param name="sums">Σ w² of every tensor.</param>
    public StepScalars Begin(ReadOnlySpan<double> sums) => new() { Taken = 1, WeightNorm = _groups.Norm(sums) };

    private static RegularizedUnit Rule(RegularizerOptions rule, double? strength)
    {
        int after = rule.EffectiveOrder == RegularizerOrder.Post ? 1 : 0;
        return rule.Kind switch
        {
            RegularizerKind.None => default,
            RegularizerKind.Decay => new() { Rule = UnitRule.Decay, After = after, Strength = strength ?? rule.WeightDecay },
            RegularizerKind.DecayDecoupled => new() { Rule = UnitRule.DecayDecoupled, After = after, Strength = strength ?? rule.WeightDecay },
            RegularizerKind.NormControl =>
                new() { Rule = UnitRule.NormControl, After = after, Strength = strength ?? rule.NormTarget!.Value, Rate = rule.NormRate },
            _ => throw new RequestException($"--regularizer {rule.Kind} has no kernel."),
        };
    }

    // In the order of the tensors, as norm_of of cuda/regularizer.cu, so that a run that is resumed goes on with the same bits.
    private static double Norm(int[] members, ReadOnlySpan<double> sums)
    {
        double total = 0;
        foreach (int tensor in members)
            total += sums[tensor];
        return Math.Sqrt(total);
    }
}
