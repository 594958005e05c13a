using Trainer.Compute;
using Trainer.Cuda;
using Trainer.Model;

namespace Trainer.Tests.Cuda.Linear;

/// <summary>Choices for the products of a model: made, kept on disk, recorded in a run and made again.</summary>
public sealed class LinearChoiceTests
{
    private static readonly PassShape Pass = new(new ModelConfig(1, 1, 64, 16, 100), BatchSize: 2, SequenceLength: 16, ModelUse.Train);

    [OneTimeSetUp]
    public void Require() => SimulatedDriver.Require();

    [Test]
    public void On_the_simulator_the_librarys_proposals_are_taken_the_same_ones_every_time()
    {
        var first = Choices(new() { CacheFolder = null });
        Assert.That(first.Values, Is.All.StartsWith("cublasLt "));
        Assert.That(Choices(new() { CacheFolder = null }), Is.EqualTo(first));

        // Queries, keys and values; the projection; two of the MLP; the classifier. Gradients of weights overwrite and are added to.
        Assert.That(first, Has.Count.EqualTo(5 + 5 + 10));
        Assert.That(first, Contains.Key("forward-gelu 32x256x64 bias").And.ContainKey("backward-weight 32x64x256 bias accumulate"));
    }

    [Test]
    public void Our_own_kernels_are_taken_where_they_are_asked_for_and_where_there_is_no_library()
    {
        var own = Choices(new() { LinearChoice = LinearChoice.Own, CacheFolder = null });
        Assert.That(own.Values, Is.All.StartsWith("wgmma "));
        foreach (LinearChoice choice in Enum.GetValues<LinearChoice>())
        {
            var without = Choices(new() { LinearChoice = choice, CacheFolder = null, UsesLibraries = false });
            Assert.That(without.Values, Is.All.StartsWith("wgmma ").Or.StartsWith("mma "), choice.ToString());
        }
    }

    [Test]
    public void Recorded_choices_are_made_again()
    {
        // One of every kind, though others would be chosen.
        var shapes = Choices(new() { CacheFolder = null });
        using var backend = new CudaBackend(new() { CacheFolder = null });
        var recorded = new Dictionary<string, string>();
        foreach (var (product, index) in shapes.Keys.Order(StringComparer.Ordinal).Select((product, index) => (product, index)))
        {
            IReadOnlyList<LinearProduct> all = backend.Linear.Candidates.All(Shape(product));
            recorded.Add(product, all[index % all.Count].Name);
            foreach (LinearProduct candidate in all)
                candidate.Dispose();
        }

        Assert.That(recorded.Values.Select(name => name.Split(' ')[0]).Distinct(), Is.EquivalentTo(new[] { "wgmma", "mma", "cublasLt", "cublas" }));
        backend.Prepare(Pass, recorded);
        Assert.That(backend.Choices, Is.EqualTo(recorded));
        Assert.That(backend.Warnings, Is.Empty);
        foreach (string product in recorded.Keys)
            Assert.That(backend.Linear.For(Shape(product)).Name, Is.EqualTo(recorded[product]));
    }

    [TestCase("wgmma 64 splits 1")]
    [TestCase("wgmma 128 splits 2")]
    [TestCase("wgmma 128 splits 0")]
    [TestCase("wgmma 128 splits +1")]
    [TestCase("wgmma 128")]
    [TestCase("mma splits 2")]
    [TestCase("cublas 110000")]
    [TestCase("cublasLt 120405 00")]
    [TestCase("cublasLt 120405 zz")]
    [TestCase("cublasLt 120405 0123456789")]
    [TestCase("cublasLt 120405 bias-gradient 0123456789")]
    [TestCase("another library")]
    [TestCase("")]
    public void A_recorded_choice_that_does_not_exist_here_is_made_anew_with_a_warning(string name)
    {
        const string product = "forward 32x192x64 bias";
        using var backend = new CudaBackend(new() { CacheFolder = null });
        backend.Prepare(Pass, new Dictionary<string, string> { [product] = name });
        Assert.That(backend.Choices[product], Does.StartWith("cublasLt "));
        Assert.That(backend.Warnings, Has.Count.EqualTo(1).And.Some.StartsWith("1 of the matrix products"));
    }

    [Test]
    public void An_algorithm_of_another_version_or_another_product_is_not_taken()
    {
        const string product = "forward 32x192x64 bias";
        var choices = Choices(new() { CacheFolder = null });
        string[] words = choices[product].Split(' ');
        foreach (string name in new[] { $"{words[0]} {words[1]}1 {words[2]}", choices["forward 32x64x256 bias"], choices[product].ToUpperInvariant() })
        {
            using var backend = new CudaBackend(new() { CacheFolder = null });
            backend.Prepare(Pass, new Dictionary<string, string> { [product] = name });
            Assert.That(backend.Choices, Is.EqualTo(choices));
            Assert.That(backend.Warnings, Has.Count.EqualTo(1), name);
        }
    }

    [Test]
    public void Measured_choices_are_kept_and_not_measured_again()
    {
        using var folder = new TemporaryFolder();
        var shapes = new[] { Shape("forward 32x192x64 bias"), Shape("backward-weight 32x64x256 bias accumulate") };
        int measured = 0;
        var options = new LinearOptions
        {
            Choice = LinearChoice.Measured,
            CacheFolder = folder.Path,
            Clock = product =>
            {
                measured++;
                return product.Name.StartsWith("mma", StringComparison.Ordinal) ? 1 : 2;
            },
        };
        Assert.That(Prepare(options).Values, Is.All.StartsWith("mma "));
        Assert.That(measured, Is.GreaterThan(10));

        // A process that would measure otherwise takes what is kept.
        measured = 0;
        Assert.That(Prepare(options with { Clock = product => ++measured }).Values, Is.All.StartsWith("mma "));
        Assert.That(measured, Is.Zero);

        // Where the file is corrupt, or names what does not exist, everything is measured again.
        string file = Directory.GetFiles(folder.Path).Single();
        foreach (string text in new[] { "no JSON", File.ReadAllText(file).Replace("mma splits", "nothing", StringComparison.Ordinal) })
        {
            File.WriteAllText(file, text);
            measured = 0;
            Assert.That(Prepare(options).Values, Is.All.StartsWith("mma "));
            Assert.That(measured, Is.GreaterThan(10));
        }

        IReadOnlyDictionary<string, string> Prepare(LinearOptions with)
        {
            using var context = new CudaContext(0);
            using var kernels = new CudaKernels(context);
            using var maps = new TensorMaps();
            using var products = new LinearProducts(kernels, maps, new LinearArithmetic(Trainer.Cuda.Kernels.KernelType.Bf16, UsesTensorFloat32: false), with);
            products.Prepare(shapes, recorded: null, measures: true);
            return new Dictionary<string, string>(products.Choices);
        }
    }

    [Test]
    public void A_model_that_only_samples_is_not_measured()
    {
        using var folder = new TemporaryFolder();
        using var backend = new CudaBackend(new() { LinearChoice = LinearChoice.Measured, CacheFolder = folder.Path });
        backend.Prepare(Pass with { Use = ModelUse.Sample }, choices: null);
        Assert.That(backend.Choices.Values, Is.All.StartsWith("cublasLt "));
        Assert.That(Directory.GetFiles(folder.Path), Is.Empty);
    }

    private static Dictionary<string, string> Choices(CudaBackendOptions options)
    {
        using var backend = new CudaBackend(options);
        long planned = backend.WorkspaceBytes(Pass);
        backend.Prepare(Pass, choices: null);
        Assert.That(backend.WorkspaceBytes(Pass), Is.EqualTo(planned));
        Assert.That(backend.LiveAllocations, Is.Zero);
        return new Dictionary<string, string>(backend.Choices);
    }

    // The inverse of LinearShape.ToString.
    private static LinearShape Shape(string product)
    {
        string[] words = product.Split(' ');
        int[] sizes = Array.ConvertAll(words[1].Split('x'), int.Parse);
        LinearForm form = Enum.GetValues<LinearForm>().Single(form => new LinearShape(form, 1, 8, 8, false, false).FormName == words[0]);
        var shape = new LinearShape(form, sizes[0], sizes[1], sizes[2], words.Contains("bias"), words.Contains("accumulate"));
        Assert.That(shape.ToString(), Is.EqualTo(product));
        return shape;
    }
}
