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
