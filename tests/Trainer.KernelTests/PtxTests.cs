using Trainer.Cuda;

namespace Trainer.KernelTests;

/// <summary>What is proved here is what the program ships.</summary>
internal sealed class PtxTests
{
    [Test]
    public void The_kernels_compiled_for_the_CPU_are_those_embedded_as_PTX()
    {
        if (Simulator.Missing is { } reason)
            Assert.Ignore(reason);
        var modules = PtxModules.All();
        if (modules.Count == 0)
            Assert.Ignore("the kernels were not compiled to PTX; ./build.sh --target=Kernels does it or says what it needs");
        var simulated = Simulator.Kernels().Where(name => !name.StartsWith("selftest_", StringComparison.Ordinal));
        Assert.That(modules.SelectMany(module => module.Kernels.Select(kernel => kernel.Name)), Is.EquivalentTo(simulated));
    }
}
