using Trainer.Cuda;

namespace Trainer.Tests.Cuda;

internal sealed class PtxModulesTests
{
    [Test]
    public void Modules_are_the_resources_of_an_assembly()
    {
        // This one: it embeds scale.ptx.
        var module = PtxModules.Of(typeof(PtxModulesTests).Assembly).Single();
        Assert.That((module.Name, module.Target), Is.EqualTo(("scale", "sm_90a")));
        Assert.That(module.Kernels.Select(kernel => kernel.Name), Is.EqualTo(new[] { "scale" }));
        Assert.That(module.Kernels.Single().ParameterBytes, Is.EqualTo(new[] { 8, 4, 128 }));
        Assert.That(module.Text, Does.StartWith("//").And.Contain(".func helper()"));
    }

    [Test]
    public void An_assembly_without_kernels_has_no_modules() => Assert.That(PtxModules.Of(typeof(object).Assembly), Is.Empty);

    [TestCase("")]
    [TestCase("// .target sm_80\n")]
    public void Text_without_a_target_is_refused(string text) =>
        Assert.That(() => PtxModule.Parse("x", text), Throws.TypeOf<InvalidDataException>().With.Message.EqualTo("x.ptx names no target"));

    [Test]
    public void Every_kernel_file_is_embedded_for_its_architecture()
    {
        var modules = PtxModules.All();
        if (modules.Count == 0)
            Assert.Ignore("the kernels were not compiled to PTX; ./build.sh --target=Kernels does it or says what it needs");
        var expected = Directory.EnumerateFiles(KernelFolder(), "*.cu").Select(Path.GetFileNameWithoutExtension).Order(StringComparer.Ordinal)
            .Select(name => (name, name!.EndsWith("_wgmma", StringComparison.Ordinal) ? "sm_90a" : "sm_80"));
        Assert.That(modules.Select(module => (module.Name, module.Target)), Is.EqualTo(expected));
        Assert.That(modules.Select(module => module.Kernels.Count()), Is.All.GreaterThan(0));
        Assert.That(modules.SelectMany(module => module.Kernels.Select(kernel => kernel.Name)), Is.Unique);
    }

    private static string KernelFolder()
    {
        var folder = new DirectoryInfo(AppContext.BaseDirectory);
        while (!File.Exists(Path.Combine(folder.FullName, "Trainer.sln")))
            folder = folder.Parent ?? throw new DirectoryNotFoundException("the tests do not run inside the repository");
        return Path.Combine(folder.FullName, "cuda");
    }
}
