using Trainer.Compute;
using Trainer.Optimization;

namespace Trainer.Tests.Compute;

/// <summary>What every backend owes to the documentation of <see cref="IBackend"/>. A fixture for a device derives from it.</summary>
public abstract partial class BackendContractTests : OperationContractTests
{
    /// <summary>Segments that do not lie inside sixteen elements.</summary>
    internal static Segment[] OutsideOfSixteen => [new(-1, 2), new(0, 17), new(16, 1), new(3, -1), new(long.MaxValue, 1), new(1, long.MaxValue)];

    [Test]
    public void Memory_is_zeroed_aligned_and_counted()
    {
        var first = Backend.Allocate(ElementType.Float32, new Shape(3, 5));
        var second = Backend.Allocate(ElementType.Int32, new Shape(1));
        Assert.That(Backend.LiveAllocations, Is.EqualTo(2));
        Assert.That((long)first.Address % 64, Is.Zero);
        Assert.That((long)second.Address % 64, Is.Zero);
        var values = new float[15];
        Array.Fill(values, float.NaN);
        Backend.Download<float>(first, values);
        Assert.That(values, Is.All.Zero);

        Array.Fill(values, float.NaN);
        Backend.Upload<float>(values, first);
        Backend.Zero(first.Slice(3, new Shape(4)));
        Backend.Download<float>(first, values);
        Assert.That(values.Select(float.IsNaN), Is.EqualTo(Enumerable.Range(0, 15).Select(i => i is < 3 or >= 7)));

        Backend.Free(first);
        Backend.Free(second);
        Assert.That(Backend.LiveAllocations, Is.Zero);
        Assert.Throws<ArgumentException>(() => Backend.Free(first));
        Assert.Throws<ArgumentException>(() => Backend.Free(default));
    }

    [Test]
    public void An_allocation_that_cannot_be_is_refused()
    {
        Assert.Catch<OutOfMemoryException>(() => Backend.Allocate(ElementType.Float32, new Shape(1 << 20, 1 << 24)));
        Assert.Throws<ArgumentException>(() => Backend.Allocate(ElementType.Float32, new Shape(3, -1)));
        Assert.That(Backend.AvailableBytes, Is.Positive);
    }

    [Test]
    public void Copies_need_the_same_count_and_type()
    {
        var tensor = Backend.Allocate(ElementType.Float32, new Shape(4));
        Assert.Throws<ArgumentException>(() => Backend.Upload<float>(new float[3], tensor));
        Assert.Throws<ArgumentException>(() => Backend.Upload<float>(new float[5], tensor));
        Assert.Throws<ArgumentException>(() => Backend.Download<float>(tensor, new float[5]));
        Assert.Throws<ArgumentException>(() => Backend.Upload<double>(new double[4], tensor));
        Assert.Throws<ArgumentException>(() => Backend.Upload<int>(new int[4], tensor));
        Assert.Throws<ArgumentException>(() => Backend.Upload<float>(new float[1], default));
        Backend.Free(tensor);
    }

    [Test]
    public void Segments_must_lie_inside()
    {
        var x = Backend.Allocate(ElementType.Float32, new Shape(16));
        foreach (var segment in OutsideOfSixteen)
            Assert.That(() => Backend.SumOfSquares(x, [segment], new double[1]), Throws.ArgumentException.With.Property("ParamName").EqualTo("segments"), $"{segment}");
        Assert.Throws<ArgumentException>(() => Backend.SumOfSquares(x, [new(0, 8)], new double[2]));
        Backend.Free(x);
    }

    [Test]
    public void A_vocabulary_must_fit_the_logits()
    {
        var logits = Backend.Allocate(Backend.Precision.Working, new Shape(2, 8));
        var losses = Backend.Allocate(ElementType.Float32, new Shape(2));
        var targets = Backend.Allocate(ElementType.Int32, new Shape(2));
        foreach (int vocabulary in new[] { -1, 0, 9 })
        {
            Assert.That(() => Backend.SoftmaxCrossEntropy(logits, losses, targets, vocabulary, 1),
                Throws.InstanceOf<ArgumentException>().With.Property("ParamName").EqualTo("vocabulary"));
        }

        Backend.Free(logits);
        Backend.Free(losses);
        Backend.Free(targets);
    }

    [Test]
    public void Heads_must_divide_the_channels()
    {
        var output = Backend.Allocate(Backend.Precision.Working, new Shape(1, 2, 10));
        var logSumExp = Backend.Allocate(ElementType.Float32, new Shape(1, 3, 2));
        var qkv = Backend.Allocate(Backend.Precision.Working, new Shape(1, 2, 30));
        Assert.That(() => Backend.AttentionForward(output, logSumExp, qkv), Throws.ArgumentException.With.Property("ParamName").EqualTo("logSumExp"));
        Backend.Free(output);
        Backend.Free(logSumExp);
        Backend.Free(qkv);
    }
}
