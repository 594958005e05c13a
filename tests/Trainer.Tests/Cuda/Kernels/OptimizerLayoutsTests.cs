using System.Runtime.CompilerServices;
using Trainer.Cuda.Kernels;

namespace Trainer.Tests.Cuda.Kernels;

/// <summary>The sizes that cuda/include/tensors.cuh and optimizer.cuh assert of the same structures.</summary>
internal sealed class OptimizerLayoutsTests
{
    [Test]
    public void Structures_have_the_sizes_that_the_kernels_assert() => Assert.Multiple(() =>
    {
        Assert.That(Unsafe.SizeOf<TensorSpan>(), Is.EqualTo(24));
        Assert.That(Unsafe.SizeOf<RegularizedUnit>(), Is.EqualTo(72));
        Assert.That(Unsafe.SizeOf<StepInput>(), Is.EqualTo(104));
        Assert.That(Unsafe.SizeOf<TensorFactors>(), Is.EqualTo(16));
        Assert.That(Unsafe.SizeOf<StepScalars>(), Is.EqualTo(72));
    });
}
