using Trainer.Cuda.Kernels;
using Trainer.Cuda.Optimizer;
using Trainer.Model;
using Trainer.Optimization;

namespace Trainer.Tests.Cuda.Optimizer;

internal sealed class RegularizedUnitsTests
{
    private const string Own = "h.*.mlp.c_proj.weight", Excluded = "wpe.weight";

    private static readonly ParameterLayout Layout = new(new ModelConfig(Layers: 2, Heads: 2, Channels: 8, SequenceLength: 4, Vocabulary: 16));

    // Tensor i began with a sum of squares of (i + 1)², and has four times as much now.
    private static readonly double[] Initial = [.. Enumerable.Range(0, Layout.Tensors.Count).Select(i => (i + 1.0) * (i + 1))];
    private static readonly double[] Now = [.. Initial.Select(sum => 4 * sum)];

    [TestCase(RegularizerKind.Decay, null, 0)]
    [TestCase(RegularizerKind.Decay, RegularizerOrder.Pre, 0)]
    [TestCase(RegularizerKind.Decay, RegularizerOrder.Post, 1)]
    [TestCase(RegularizerKind.DecayDecoupled, null, 0)]
    [TestCase(RegularizerKind.DecayDecoupled, RegularizerOrder.Post, 1)]
    [TestCase(RegularizerKind.NormControl, null, 1)]
    [TestCase(RegularizerKind.NormControl, RegularizerOrder.Post, 1)]
    [TestCase(RegularizerKind.NormControl, RegularizerOrder.Pre, 0)]
    public void The_order_in_force_says_when_the_factor_is_applied(RegularizerKind kind, RegularizerOrder? order, int after)
    {
        var units = Of(new() { Kind = kind, Order = order, NormTarget = 1 });
        Assert.That(units.Units.ToArray().Select(unit => unit.After), Is.EqualTo(new[] { after }));

        // A decay is known before the pass, whichever side of the gradient step it is on.
        Assert.That(units.ScalesAfterPass, Is.EqualTo(kind == RegularizerKind.NormControl && after == 1));
    }

    [TestCase(RegularizerKind.Decay, UnitRule.Decay)]
    [TestCase(RegularizerKind.DecayDecoupled, UnitRule.DecayDecoupled)]
    public void Each_group_of_a_decay_is_a_unit_with_its_strength(RegularizerKind kind, object rule)
    {
        var units = Of(new() { Kind = kind, WeightDecay = 0.3, Groups = Groups(0.7) });
        ExpectGroups(units, Unit(rule, 0.3), Unit(rule, 0.7));
    }

    [Test]
    public void Each_group_of_norm_control_is_a_unit_with_its_target()
    {
        var units = Of(new() { Kind = RegularizerKind.NormControl, NormTarget = 1.5, NormRate = 0.2, Groups = Groups(5) });
        ExpectGroups(units, Unit(UnitRule.NormControl, 1.5, 0.2, after: 1), Unit(UnitRule.NormControl, 5, 0.2, after: 1));
    }

    [Test]
    public void Norm_control_of_tensors_makes_each_a_unit()
    {
        var units = Of(new()
        {
            Kind = RegularizerKind.NormControl, NormTarget = 1.5, NormRate = 0.2, NormScope = NormScope.Tensor, Order = RegularizerOrder.Pre, Groups = Groups(5),
        });
        int[] members = Tensors(tensor => IsDefault(tensor) || IsOwn(tensor));
        Assert.That(units.Units.Length, Is.EqualTo(members.Length));
        for (int tensor = 0; tensor < Layout.Tensors.Count; tensor++)
        {
            int unit = units.UnitOfSegment[tensor];
            Assert.That(unit >= 0, Is.EqualTo(members.Contains(tensor)), Layout.Tensors[tensor].Name);
            if (unit >= 0)
            {
                var expected = Unit(UnitRule.NormControl, IsOwn(Layout.Tensors[tensor]) ? 5 : 1.5, 0.2);
                Assert.That(units.Units[unit], Is.EqualTo(With(expected, [tensor])), Layout.Tensors[tensor].Name);
            }
        }

        Assert.That(members.Select(tensor => units.UnitOfSegment[tensor]), Is.Unique);
    }

    [Test]
    public void Without_a_rule_the_regularised_set_is_watched()
    {
        var units = Of(new() { Kind = RegularizerKind.None, Groups = Groups(3) });
        ExpectGroups(units, Unit(UnitRule.None, 0), Unit(UnitRule.None, 0));
    }

    [Test]
    public void A_decay_of_zero_is_not_part_of_the_set_but_a_target_of_zero_is([Values] bool control)
    {
        var units = Of(control
            ? new() { Kind = RegularizerKind.NormControl, NormTarget = 1.5, Groups = Groups(0) }
            : new() { Kind = RegularizerKind.Decay, Groups = Groups(0) });
        foreach (int tensor in Tensors(IsOwn))
            Assert.That(units.UnitOfSegment[tensor], Is.EqualTo(control ? 1 : -1));
        if (control)
            Assert.That(units.Units[1].Strength, Is.Zero);
    }

    [Test]
    public void Nothing_may_be_regularised()
    {
        var none = new ParameterGroupOptions { Overrides = [new("*", null)] };
        var units = Of(new() { Kind = RegularizerKind.Decay, Groups = none });
        Assert.That((units.Units.Length, units.ScalesAfterPass, units.Begin(Now).WeightNorm), Is.EqualTo((0, false, 0.0)));
        Assert.That(units.UnitOfSegment.ToArray(), Is.All.EqualTo(-1));
    }

    [Test]
    public void A_run_begins_with_nothing_refused_and_the_norm_of_the_set()
    {
        var rule = new RegularizerOptions { Kind = RegularizerKind.Decay, Groups = Groups(0.7) };
        Assert.That(Of(rule).Begin(Now), Is.EqualTo(new StepScalars { Taken = 1, WeightNorm = rule.Create(Layout).Norm(Now) }));
    }

    [Test]
    public void Sums_of_another_model_are_refused() => Assert.Multiple(() =>
    {
        var options = new OptimizerOptions();
        Assert.That(() => RegularizedUnits.From(options, Layout, Initial.AsSpan(1), Now, []), Throws.ArgumentException);
        Assert.That(() => RegularizedUnits.From(options, Layout, Initial, Now.AsSpan(1), []), Throws.ArgumentException);
    });

    private static void ExpectGroups(RegularizedUnits units, RegularizedUnit shared, RegularizedUnit own)
    {
        int[] byRule = Tensors(IsDefault), byName = Tensors(IsOwn);
        Assert.That(units.Units.ToArray(), Is.EqualTo(new[] { With(shared, byRule), With(own, byName) }));
        int[] unitOfTensor = [.. Enumerable.Range(0, Layout.Tensors.Count).Select(tensor => byRule.Contains(tensor) ? 0 : byName.Contains(tensor) ? 1 : -1)];
        Assert.That(units.UnitOfSegment.ToArray(), Is.EqualTo(unitOfTensor));
    }

    private static RegularizedUnit Unit(object rule, double strength, double rate = 0, int after = 0) =>
        new() { Rule = (UnitRule)rule, After = after, Strength = strength, Rate = rate, Factor = 1 };

    // Sums of whole numbers are exact, in any order.
    private static RegularizedUnit With(RegularizedUnit unit, int[] tensors) => unit with
    {
        InitialNorm = Math.Sqrt(tensors.Sum(tensor => Initial[tensor])),
        Norm = Math.Sqrt(tensors.Sum(tensor => Now[tensor])),
        Count = tensors.Sum(tensor => Layout.Tensors[tensor].Segment.Count),
    };

    private static RegularizedUnits Of(RegularizerOptions rule) => RegularizedUnits.From(new() { Regularizer = rule }, Layout, Initial, Now, []);

    private static ParameterGroupOptions Groups(double strength) => new() { Overrides = [new(Own, strength), new(Excluded, null)] };

    private static int[] Tensors(Func<ParameterTensor, bool> which) =>
        [.. Enumerable.Range(0, Layout.Tensors.Count).Where(tensor => which(Layout.Tensors[tensor]))];

    private static bool IsOwn(ParameterTensor tensor) => tensor.Name.EndsWith("mlp.c_proj.weight", StringComparison.Ordinal);

    private static bool IsDefault(ParameterTensor tensor) => tensor.Shape.Rank == 2 && tensor.Name != Excluded && !IsOwn(tensor);

    [Test]
    public void What_the_kernels_do_not_know_is_refused()
    {
        OptimizerOptions[] unknown =
        [
            new() { Regularizer = new() { Kind = RegularizerKind.L2, L2BeforeClipping = true } },
            new() { Regularizer = new() { Kind = RegularizerKind.ParameterBound, BoundRule = BoundRule.InflectionPoint } },
            new() { Regularizer = new() { Kind = RegularizerKind.Sphere, NormTarget = 1, NormEvery = 2 } },
            new() { EffectiveRates = [1] },
        ];
        WeightSegments segments = WeightSegments.OfTensors(Layout);
        foreach (OptimizerOptions options in unknown)
            Assert.That(() => RegularizedUnits.CheckSupports(options, segments), Throws.TypeOf<RequestException>().With.Message.Contains("use --device cpu"));
        var many = WeightSegments.OfRows(new ParameterLayout(new ModelConfig(1, 1, 8, 16, 8200)));
        Assert.That(() => RegularizedUnits.CheckSupports(new(), many), Throws.TypeOf<RequestException>().With.Message.Contains("--norm-scope row"));
        Assert.That(() => RegularizedUnits.CheckSupports(new(), segments), Throws.Nothing);
    }
}
