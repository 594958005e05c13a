using Trainer.Optimization;

namespace Trainer.Tests.Optimization;

public sealed class RuleDescriptionTests
{
    [Test]
    public void A_decay_is_told_in_both_conventions()
    {
        Assert.That(RuleDescription.Describe(new OptimizerOptions(), 50_000),
            Is.EqualTo("AdamW, decay (13.a) lambda 0.1 = 13.b lambda 1e-4 at lr 1e-3, Lambda = lambda x lr x steps = 5"));
        var decoupled = new OptimizerOptions { Regularizer = new() { Kind = RegularizerKind.DecayDecoupled, WeightDecay = 1e-4 } };
        Assert.That(RuleDescription.Describe(decoupled, 50_000),
            Is.EqualTo("AdamW, decay-decoupled (13.b) lambda 1e-4 = 13.a lambda 0.1 at lr 1e-3, Lambda = lambda x lr x steps = 5"));
    }

    [Test]
    public void Norm_control_tells_target_rate_scope_and_ramp()
    {
        var options = new OptimizerOptions
        {
            Regularizer = new() { Kind = RegularizerKind.NormControl, NormTarget = 2.415, NormTargetSchedule = Schedule.Ramp(2500) },
        };
        Assert.That(RuleDescription.Describe(options, 50_000),
            Is.EqualTo("AdamWN, norm-control (13.c) to 2.415 x the initial norm, rate 0.01, global norm, lr 1e-3, target ramped over 2500 steps"));
    }

    [Test]
    public void Order_and_own_strengths_are_told()
    {
        var options = new OptimizerOptions
        {
            Regularizer = new() { Kind = RegularizerKind.Decay, Order = RegularizerOrder.Post, Groups = new() { Overrides = [new("wpe.weight", 1)] } },
        };
        Assert.That(RuleDescription.Describe(options, 1000), Does.EndWith(", after the gradient step, own strengths for wpe.weight"));
    }
}
