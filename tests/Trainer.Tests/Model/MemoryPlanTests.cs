using Trainer.Compute;
using Trainer.Model;
using Trainer.Tests.Optimization;

namespace Trainer.Tests.Model;

public sealed class MemoryPlanTests
{
    private static readonly ModelConfig Small = new(12, 12, 768, 1024, 50257);

    private static readonly ModelConfig Tiny = new(Layers: 3, Heads: 2, Channels: 24, SequenceLength: 9, Vocabulary: 13) { PaddedVocabulary = 16 };

    public static IEnumerable<Precision> Precisions => Precision.All;

    [Test]
    public void Too_large_a_batch_is_refused_before_anything_is_allocated_and_the_largest_named([ValueSource(nameof(Precisions))] Precision precision,
        [Values] Recompute recompute)
    {
        const long free = 12L << 30;
        using var backend = new ReferenceBackend { AvailableBytes = free, Precision = precision, Workspace = shape => 100L * shape.Rows };
        var shape = new PassShape(Small, 512, 1024, ModelUse.Train);
        var error = Assert.Throws<RequestException>(() => MemoryPlan.Fitting(backend, shape, recompute));
        int fits = int.Parse(error!.Message.Split("--batch-size ")[1].Split(' ')[0]);
        Assert.That(MemoryPlan.For(backend, shape with { BatchSize = fits }, recompute).Total, Is.LessThanOrEqualTo(free));
        Assert.That(MemoryPlan.For(backend, shape with { BatchSize = fits + 1 }, recompute).Total, Is.GreaterThan(free));
        Assert.That(error.Message.Contains("--recompute block"), Is.EqualTo(recompute != Recompute.Block));
        Assert.That(MemoryPlan.Fitting(backend, shape with { BatchSize = fits }, recompute).Total, Is.Positive);

        using var tiny = new ReferenceBackend { AvailableBytes = 1L << 20, Precision = precision };
        Assert.That(() => MemoryPlan.Fitting(tiny, shape with { BatchSize = 1 }, recompute),
            Throws.TypeOf<RequestException>().With.Message.Contains("--preset"));
    }

    [Test]
    public void What_fits_to_the_byte_is_taken()
    {
        var shape = new PassShape(Tiny, 2, 9, ModelUse.Train);
        using var any = new ReferenceBackend();
        long total = MemoryPlan.For(any, shape).Total;
        using var enough = new ReferenceBackend { AvailableBytes = total };
        using var tooLittle = new ReferenceBackend { AvailableBytes = total - 1 };
        Assert.That(MemoryPlan.Fitting(enough, shape).Total, Is.EqualTo(total));
        Assert.That(() => MemoryPlan.Fitting(tooLittle, shape), Throws.TypeOf<RequestException>().With.Message.Contains("--batch-size 1 "));
    }

    [Test]
    public void Averages_of_weights_are_counted_and_lie_there([Values(0, 1, 3)] int averages)
    {
        using var backend = new ReferenceBackend { Precision = Precision.BFloat16Mixed };
        var shape = new PassShape(Tiny, 2, 9, ModelUse.Train);
        long floats = Arena.RoundUp(new ParameterLayout(Tiny).Count * sizeof(float));
        Assert.That(MemoryPlan.For(backend, shape with { Averages = averages }).Total, Is.EqualTo(MemoryPlan.For(backend, shape).Total + (averages * floats)));
        using var model = new Gpt2(backend, Tiny, 2, 9, ModelUse.Train, averages: averages);
        Assert.That(model.Averages.Select(average => (average.Type, average.Count)), Is.All.EqualTo((ElementType.Float32, model.Layout.Count)));
        Assert.That(model.Averages.Append(model.Parameters).Select(tensor => tensor.Address), Is.Unique);
        Assert.That(model.Averages, Has.Count.EqualTo(averages));
    }

    [Test]
    public void A_model_that_is_not_trained_is_not_told_of_recomputation()
    {
        using var backend = new ReferenceBackend { AvailableBytes = 1L << 30 };
        Assert.That(() => MemoryPlan.Fitting(backend, new PassShape(Small, 64, 1024, ModelUse.Evaluate)),
            Throws.TypeOf<RequestException>().With.Message.Not.Contains("--recompute"));
    }

    [TestCase("fp32", ModelUse.Train, "weights fp32", "gradients fp32", "first moment fp32", "second moment fp32", "activations fp32", "workspace ")]
    [TestCase("tf32", ModelUse.Train, "weights fp32", "gradients fp32", "first moment fp32", "second moment fp32", "activations fp32", "workspace ")]
    [TestCase("bf16-mixed", ModelUse.Train, "weights bf16", "master weights fp32", "gradients fp32", "first moment fp32", "second moment fp32",
        "activations bf16", "workspace ")]
    [TestCase("bf16-pure", ModelUse.Train, "weights bf16", "gradients fp32", "first moment fp32", "second moment fp32", "activations bf16", "workspace ")]
    [TestCase("bf16-pure-stochastic", ModelUse.Train, "weights bf16", "gradients fp32", "first moment fp32", "second moment fp32", "activations bf16",
        "workspace ")]
    [TestCase("fp32", ModelUse.Evaluate, "weights fp32", "activations fp32", "workspace ")]
    [TestCase("bf16-mixed", ModelUse.Evaluate, "weights bf16", "activations bf16", "workspace ")]
    [TestCase("bf16-pure", ModelUse.Sample, "weights bf16", "activations bf16", "workspace ")]
    public void Regions_are_those_of_the_precision(string name, ModelUse use, params string[] expected)
    {
        Precision precision = Precision.All.Single(precision => precision.Name == name);
        using var backend = new ReferenceBackend { Precision = precision, Workspace = _ => 1000 };
        var plan = MemoryPlan.For(backend, new PassShape(Tiny, 2, 9, use));
        long count = new ParameterLayout(Tiny).Count;
        Assert.That(plan.Regions.Select(region => $"{region.Name} {region.Type}"), Is.EqualTo(expected));
        foreach (var region in plan.Regions.SkipLast(2))
            Assert.That(region.Bytes, Is.EqualTo(Arena.RoundUp(count * (region.Type == "bf16" ? 2 : 4))), region.Name);
        Assert.That(plan.Regions[^1].Bytes, Is.EqualTo(1024), "whole steps of alignment");
        Assert.That(plan.Total, Is.EqualTo(plan.Regions.Sum(region => region.Bytes)));
        Assert.That(plan.Describe(), Does.StartWith("weights 0, ").And.EndsWith("workspace 0"));
    }

    [Test]
    public void A_model_allocates_once_and_what_was_planned([ValueSource(nameof(Precisions))] Precision precision, [Values] ModelUse use,
        [Values] Recompute recompute)
    {
        using var backend = new ReferenceBackend { Precision = precision, Workspace = shape => 7L * shape.Rows };
        using (var model = new Gpt2(backend, Tiny, 3, 7, use, recompute))
        {
            Assert.That(backend.LiveAllocations, Is.EqualTo(1));
            Assert.That(backend.AllocatedBytes, Is.EqualTo(model.Memory.Total));
            Assert.That(model.Memory, Is.EqualTo(MemoryPlan.For(backend, new PassShape(Tiny, 3, 7, use), recompute)));
            Assert.That(model.Tensors.Weights.Type, Is.EqualTo(precision.Working));
            Assert.That(model.Tensors.Master.IsNone, Is.EqualTo(!(precision.HasMaster && use == ModelUse.Train)));
            Assert.That(model.Gradients.IsNone, Is.EqualTo(use != ModelUse.Train));
            Assert.That(model.Parameters.Type, Is.EqualTo(precision.HasMaster && use == ModelUse.Train ? ElementType.Float32 : precision.Working));
        }

        Assert.That(backend.LiveAllocations, Is.Zero);
    }

    /// <summary>Memory is divided anew for each size of micro-batch: none that is smaller in both extents may need more.</summary>
    [Test]
    public void Activations_of_smaller_batches_fit([ValueSource(nameof(Precisions))] Precision precision, [Values] ModelUse use, [Values] Recompute recompute)
    {
        var shape = new PassShape(Tiny, 4, 9, use);
        long bytes = Gpt2Activations.Bytes(shape, precision.Working, recompute);
        using var backend = new ReferenceBackend();
        Tensor memory = backend.Allocate(ElementType.Byte, Shape.Holding(bytes));
        var activations = new Gpt2Activations(new Arena(memory), shape, precision.Working, recompute);
        for (int b = 1; b <= 4; b++)
        {
            for (int t = 1; t <= 9; t++)
            {
                activations.View(b, t);
                Assert.That(activations.Tokens.Shape, Is.EqualTo(new Shape(b, t)));
            }
        }

        Assert.That(() => activations.View(5, 9), Throws.InvalidOperationException);
        backend.Free(memory);
    }

    /// <summary>Of the 16 R · C numbers that a block keeps, the levels keep 10 and 1; the rest is kept once for all blocks.</summary>
    [Test]
    public void Recomputation_saves_the_activations_that_it_says([ValueSource(nameof(Precisions))] Precision precision)
    {
        const int layers = 24;
        var config = new ModelConfig(layers, 12, 768, 1024, 256);
        var shape = new PassShape(config, 4, 1024, ModelUse.Train);
        long unit = (long)shape.Rows * config.Channels * Tensor.SizeOf(precision.Working);
        long Bytes(Recompute recompute) => Gpt2Activations.Bytes(shape, precision.Working, recompute);
        double none = Bytes(Recompute.None), gelu = Bytes(Recompute.GeluLayerNorm), block = Bytes(Recompute.Block);

        // The outputs of two normalisations and a GELU are 6 R · C numbers. A block also has statistics of fp32: 4 R, and NH · R of attention.
        Assert.That(none - gelu, Is.EqualTo((double)(layers - 1) * 6 * unit));
        double statistics = sizeof(float) * (double)shape.Rows * (4 + config.Heads);
        Assert.That(none - block, Is.EqualTo((layers - 1) * ((15 * (double)unit) + statistics)));
    }
}
