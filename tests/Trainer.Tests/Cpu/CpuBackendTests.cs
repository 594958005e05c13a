using Trainer.Compute;
using Trainer.Cpu;

namespace Trainer.Tests.Cpu;

public sealed class CpuBackendTests
{
    [Test]
    public void Describes_itself()
    {
        using var one = new CpuBackend(1, CpuInstructionSet.Portable);
        using var all = new CpuBackend();
        Assert.That(one.Description, Is.EqualTo("cpu, portable 128-bit, 1 thread"));
        Assert.That(all.Threads, Is.EqualTo(Environment.ProcessorCount));
        Assert.That(all.InstructionSet, Is.EqualTo(CpuInstructionSets.Best));
        Assert.That(CpuInstructionSets.Supported, Does.Contain(CpuInstructionSet.Portable).And.Contain(CpuInstructionSets.Best));
    }

    [Test]
    public void Refuses_what_it_cannot_run_on()
    {
        Assert.Throws<RequestException>(() => new CpuBackend(-1).Dispose());
        Assert.Throws<RequestException>(() => new CpuBackend(1, (CpuInstructionSet)99).Dispose());
    }

    [Test]
    public void Disposing_twice_frees_once()
    {
        var backend = new CpuBackend(2);
        backend.Allocate(ElementType.Float32, new Shape(10));
        backend.Dispose();
        Assert.That(backend.LiveAllocations, Is.Zero);
        Assert.DoesNotThrow(backend.Dispose);
    }

    [Test]
    public void A_token_outside_the_vocabulary_is_refused()
    {
        // On a CPU such a token would read or write memory that belongs to something else.
        using var backend = new CpuBackend(1);
        Tensor Float(params int[] extents) =>
            backend.Allocate(ElementType.Float32, extents.Length == 1 ? new Shape(extents[0]) : extents.Length == 2 ? new Shape(extents[0], extents[1]) : new Shape(extents[0], extents[1], extents[2]));
        var (output, table, positions, logits, losses) = (Float(1, 2, 3), Float(5, 3), Float(2, 3), Float(2, 5), Float(2));
        var tokens = backend.Allocate(ElementType.Int32, new Shape(1, 2));
        foreach (int bad in new[] { -1, 5, int.MinValue, int.MaxValue })
        {
            backend.Upload<int>([1, bad], tokens);
            Assert.That(() => backend.EmbeddingForward(output, tokens, table, positions), Refused("tokens"));
            Assert.That(() => backend.EmbeddingBackward(table, positions, output, tokens), Refused("tokens"));
            Assert.That(() => backend.SoftmaxCrossEntropy(logits, losses, tokens, 5, 1), Refused("targets"));
        }

        backend.Upload<int>([1, 4], tokens);
        Assert.That(() => backend.SoftmaxCrossEntropy(logits, losses, tokens, 4, 1), Refused("targets"));

        static NUnit.Framework.Constraints.IResolveConstraint Refused(string name) =>
            Throws.InstanceOf<ArgumentException>().With.Property("ParamName").EqualTo(name);
    }
}
