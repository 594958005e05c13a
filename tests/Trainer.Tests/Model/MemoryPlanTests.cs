using Trainer.Compute;
using Trainer.Model;
using Trainer.Tests.Optimization;

namespace Trainer.Tests.Model;

public sealed class MemoryPlanTests
{
    private static readonly ModelConfig Small = new(12, 12, 768, 1024, 50257);

    [Test]
    public void Too_large_a_batch_is_refused_before_anything_is_allocated_and_the_largest_named()
    {
        const long free = 12L << 30;
        using var backend = new ReferenceBackend { AvailableBytes = free };
        var shape = new PassShape(Small, 64, 1024, ModelUse.Train);
        var error = Assert.Throws<RequestException>(() => MemoryPlan.Fitting(backend, shape));
        int fits = int.Parse(error!.Message.Split("--batch-size ")[1].Split(' ')[0]);
        Assert.That(MemoryPlan.For(backend, shape with { BatchSize = fits }).Total, Is.LessThanOrEqualTo(free));
        Assert.That(MemoryPlan.For(backend, shape with { BatchSize = fits + 1 }).Total, Is.GreaterThan(free));

        using var tiny = new ReferenceBackend { AvailableBytes = 1L << 30 };
        Assert.That(() => MemoryPlan.Fitting(tiny, shape with { BatchSize = 1 }), Throws.TypeOf<RequestException>().With.Message.Contains("--preset"));
    }
}
