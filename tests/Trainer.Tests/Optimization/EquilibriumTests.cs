using Trainer.Optimization;

namespace Trainer.Tests.Optimization;

public sealed class EquilibriumTests
{
    [Test]
    public void The_numbers_are_those_of_the_literature()
    {
        Assert.That(Equilibrium.TotalDecay(0.1, 1e-3, 50_000), Is.EqualTo(5).Within(1e-12));
        Assert.That(Equilibrium.WeightDecayFor(3, 3e-3, 1000), Is.EqualTo(1).Within(1e-12));
        Assert.That(Equilibrium.Decoupled(0.1, 1e-3), Is.EqualTo(1e-4).Within(1e-18));
        Assert.That(Equilibrium.DecayRms(0.1, 6e-4), Is.EqualTo(0.0548).Within(5e-5));
        Assert.That(Equilibrium.DecayTime(0.1, 6e-4), Is.EqualTo(16_667).Within(1));
        Assert.That(Equilibrium.NormOffset(1e-3, 0.0412, 0.01), Is.EqualTo(0.029).Within(5e-4));
    }
}
