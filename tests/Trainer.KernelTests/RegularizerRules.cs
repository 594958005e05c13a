using Trainer.Model;
using Trainer.Optimization;

namespace Trainer.KernelTests;

/// <summary>The rules of the CPU trainer in their variants, and a model to try them on.</summary>
internal static class RegularizerRules
{
    public static readonly ModelConfig Model = new(Layers: 2, Heads: 1, Channels: 16, SequenceLength: 8, Vocabulary: 20);

    private static readonly ParameterGroupOptions Groups = new()
    {
        DecayLayerNorm = true, Overrides = [new("h.*.mlp.*.weight", 0.7), new("wpe.weight", null)],
    };

    public static IEnumerable<TestCaseData> All()
    {
        yield return Of("none", new() { Kind = RegularizerKind.None });
        yield return Of("decay first", new() { Kind = RegularizerKind.Decay, WeightDecay = 2 });
        yield return Of("decay last, ramped", new()
        {
            Kind = RegularizerKind.Decay, WeightDecay = 2, Order = RegularizerOrder.Post, WeightDecaySchedule = Schedule.Ramp(4),
        });
        yield return Of("decay, groups", new() { Kind = RegularizerKind.Decay, WeightDecay = 2, Groups = Groups });
        yield return Of("decoupled decay", new() { Kind = RegularizerKind.DecayDecoupled, WeightDecay = 0.05 });
        yield return Of("decoupled decay last, ramped", new()
        {
            Kind = RegularizerKind.DecayDecoupled, WeightDecay = 0.05, Order = RegularizerOrder.Post, WeightDecaySchedule = Schedule.Ramp(3),
        });
        yield return Of("l2", new() { Kind = RegularizerKind.L2, WeightDecay = 0.01, Groups = Groups });
        yield return Of("constant decay, ramped", new() { Kind = RegularizerKind.DecayConstant, WeightDecay = 0.05, WeightDecaySchedule = Schedule.Ramp(3) });
        yield return Of("CPR with a bound", new()
        {
            Kind = RegularizerKind.ParameterBound, BoundRule = BoundRule.Initial, Bound = 0.98, BoundRate = 0.3, NormScope = NormScope.Global,
        });
        yield return Of("CPR from a warm start", new() { Kind = RegularizerKind.ParameterBound, BoundSteps = 2, BoundRate = 0.4 });
        yield return Of("CPR before the step", new()
        {
            Kind = RegularizerKind.ParameterBound, BoundSteps = 1, BoundRate = 0.001, BoundPerWeight = false, Order = RegularizerOrder.Pre,
        });
        yield return Of("max-norm", new() { Kind = RegularizerKind.MaxNorm, NormTarget = 1, NormScope = NormScope.Tensor });
        yield return Of("sphere of a norm", new() { Kind = RegularizerKind.Sphere, NormTarget = 3, NormTargetKind = NormTargetKind.Absolute });
        yield return Of("sphere of a root mean square before the step", new()
        {
            Kind = RegularizerKind.Sphere, NormTarget = 0.1, NormTargetKind = NormTargetKind.RootMeanSquare, Order = RegularizerOrder.Pre,
        });
        yield return Of("norm control", new() { Kind = RegularizerKind.NormControl, NormTarget = 1.5, NormRate = 0.3 });
        yield return Of("norm control, groups", new() { Kind = RegularizerKind.NormControl, NormTarget = 1.5, NormRate = 0.3, Groups = Groups });
        yield return Of("norm control of tensors, ramped", new()
        {
            Kind = RegularizerKind.NormControl, NormTarget = 0.5, NormRate = 1, NormScope = NormScope.Tensor, NormTargetSchedule = Schedule.Ramp(4),
        });
        yield return Of("norm control before the step, ramped rate", new()
        {
            Kind = RegularizerKind.NormControl, NormTarget = 2, NormRate = 0.2, Order = RegularizerOrder.Pre, NormRateSchedule = Schedule.Ramp(3),
        });
        yield return Of("norm control of tensors before the step, groups", new()
        {
            Kind = RegularizerKind.NormControl, NormTarget = 2, NormRate = 0.2, Order = RegularizerOrder.Pre, NormScope = NormScope.Tensor, Groups = Groups,
        });
    }

    private static TestCaseData Of(string name, RegularizerOptions rule) => new TestCaseData(rule).SetArgDisplayNames(name);
}
