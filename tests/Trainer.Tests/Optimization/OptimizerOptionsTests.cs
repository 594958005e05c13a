using Trainer.Optimization;

namespace Trainer.Tests.Optimization;

public sealed class OptimizerOptionsTests
{
    private static readonly OptimizerOptions Default = new();

    private static IEnumerable<TestCaseData> Impossible()
    {
        yield return new(Default with { LearningRate = -1 }, "--lr");
        yield return new(Default with { LearningRate = double.NaN }, "--lr");
        yield return new(Default with { LearningRate = 1e39 }, "--lr must be 0 or more and finite in single precision");
        yield return new(Default with { Beta1 = 1 }, "--adam-beta1");
        yield return new(Default with { Beta2 = 0.99999999999 }, "--adam-beta2");
        yield return new(Default with { Epsilon = 0 }, "--adam-eps");
        yield return new(Default with { Epsilon = 1e-60 }, "--adam-eps");
        yield return new(Default with { GradientClip = double.PositiveInfinity }, "--grad-clip");
        yield return new(Default with { Schedule = new() { WarmupSteps = -1 } }, "--warmup-steps");
        yield return new(Default with { Regularizer = new() { WeightDecay = -0.1 } }, "--weight-decay");
        yield return new(Default with { Regularizer = new() { Kind = RegularizerKind.NormControl, NormTarget = 1, NormRate = 1.5 } }, "--norm-rate");
        yield return new(Default with { Regularizer = new() { Kind = RegularizerKind.NormControl, NormTarget = 1, NormRate = double.NaN } }, "--norm-rate");
        yield return new(Default with { Regularizer = new() { Kind = RegularizerKind.NormControl, NormTarget = -1 } }, "--norm-target");
        yield return new(Default with { Regularizer = new() { Kind = RegularizerKind.NormControl } }, "--norm-target");
        yield return new(Default with { Regularizer = new() { Groups = new() { Overrides = [new("wte.weight", -1)] } } }, "wte.weight");
    }

    [TestCaseSource(nameof(Impossible))]
    public void Impossible_values_name_their_option(OptimizerOptions options, string name) =>
        Assert.That(options.Validated, Throws.TypeOf<RequestException>().With.Message.Contains(name));

    [Test]
    public void The_defaults_are_possible_and_usual()
    {
        Assert.That(Default.Validated().Warnings(1000), Is.Empty);
    }

    [Test]
    public void A_decay_that_turns_the_sign_is_refused_with_the_nearest_choice()
    {
        Assert.That((Default with { LearningRate = 2, Regularizer = new() { WeightDecay = 0.49 } }).Validated, Throws.Nothing);
        Assert.That((Default with { LearningRate = 2, Regularizer = new() { WeightDecay = 0.5 } }).Validated,
            Throws.TypeOf<RequestException>().With.Message.Contains("--weight-decay 0.5 x --lr 2 = 1").And.Message.Contains("below 0.5"));
        foreach (RegularizerKind kind in new[] { RegularizerKind.DecayDecoupled, RegularizerKind.DecayConstant })
        {
            Assert.That((Default with { Regularizer = new() { Kind = kind, WeightDecay = 1 } }).Validated,
                Throws.TypeOf<RequestException>().With.Message.Contains("must be below 1"));
        }
    }

    [Test]
    public void A_decay_of_the_other_convention_is_warned_of()
    {
        var options = Default with { Regularizer = new() { Kind = RegularizerKind.DecayDecoupled, WeightDecay = 0.1 } };
        Assert.That(options.Warnings(1000), Has.One.Contains("as strong as 100 of decay (13.a)"));
    }

    [Test]
    public void A_ramp_longer_than_the_run_is_warned_of()
    {
        var options = Default with
        {
            Regularizer = new() { Kind = RegularizerKind.NormControl, NormTarget = 2, NormTargetSchedule = Schedule.Ramp(1001) },
        };
        Assert.That(options.Warnings(1000), Has.One.Contains("--norm-ramp-steps 1001"));
        Assert.That(options.Warnings(1001), Is.Empty);
    }

    [Test]
    public void Strengths_without_a_rule_are_warned_of()
    {
        var options = Default with { Regularizer = new() { Kind = RegularizerKind.None, Groups = new() { Overrides = [new("wte.weight", 1)] } } };
        Assert.That(options.Warnings(1000), Has.One.Contains("--regularizer none"));
    }
}
