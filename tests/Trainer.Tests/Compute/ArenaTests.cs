using Trainer.Compute;
using Trainer.Tests.Optimization;

namespace Trainer.Tests.Compute;

public sealed class ArenaTests
{
    [Test]
    public void What_is_counted_is_what_is_taken()
    {
        using var backend = new ReferenceBackend();
        var counted = new Arena();
        TakeSome(counted);
        var memory = backend.Allocate(ElementType.Byte, Shape.Holding(counted.Used));
        var arena = new Arena(memory);
        List<Tensor> taken = TakeSome(arena);

        Assert.That(arena.Used, Is.EqualTo(counted.Used));
        nint end = memory.Address;
        foreach (Tensor tensor in taken)
        {
            Assert.That((long)(tensor.Address - memory.Address) % Arena.Alignment, Is.Zero);
            Assert.That(tensor.Address, Is.GreaterThanOrEqualTo(end), "lies behind the one before");
            end = tensor.Address + checked((nint)(tensor.Count * Tensor.SizeOf(tensor.Type)));
        }

        Assert.That(end, Is.LessThanOrEqualTo(memory.Address + (nint)counted.Used));
        backend.Free(memory);
    }

    [Test]
    public void More_than_was_planned_is_refused_and_changes_nothing()
    {
        using var backend = new ReferenceBackend();
        var memory = backend.Allocate(ElementType.Byte, new Shape(3 * Arena.Alignment));
        var arena = new Arena(memory);
        arena.Take(ElementType.Int32, new Shape(1));
        Assert.That(() => arena.Take(ElementType.Byte, new Shape((2 * Arena.Alignment) + 1)), Throws.InvalidOperationException.With.Message.Contains("513 bytes at byte 256"));
        Assert.That(() => arena.TakeArena(long.MaxValue), Throws.InvalidOperationException);
        Assert.That(arena.Used, Is.EqualTo(Arena.Alignment));
        Assert.That(arena.Take(ElementType.Byte, new Shape(2 * Arena.Alignment)).Address, Is.EqualTo(memory.Address + Arena.Alignment));
        Assert.That(() => arena.Take(ElementType.Byte, new Shape(1)), Throws.InvalidOperationException);
        backend.Free(memory);
    }

    [Test]
    public void The_last_tensor_needs_no_room_behind_it()
    {
        using var backend = new ReferenceBackend();
        var memory = backend.Allocate(ElementType.Byte, new Shape(Arena.Alignment + 8));
        var arena = new Arena(memory);
        arena.Take(ElementType.Float32, new Shape(1));
        Assert.DoesNotThrow(() => arena.Take(ElementType.Float64, new Shape(1)));
        backend.Free(memory);
    }

    [Test]
    public void A_part_is_divided_on_its_own()
    {
        using var backend = new ReferenceBackend();
        var memory = backend.Allocate(ElementType.Byte, new Shape(4 * Arena.Alignment));
        var arena = new Arena(memory);
        Arena part = arena.TakeArena(2 * Arena.Alignment);
        Assert.That(arena.Used, Is.EqualTo(2 * Arena.Alignment));
        Assert.That(part.Take(ElementType.Byte, new Shape(1)).Address, Is.EqualTo(memory.Address));
        Assert.That(part.Take(ElementType.Byte, new Shape(Arena.Alignment)).Address, Is.EqualTo(memory.Address + Arena.Alignment));
        Assert.That(() => part.Take(ElementType.Byte, new Shape(1)), Throws.InvalidOperationException);
        Assert.That(arena.Take(ElementType.Byte, new Shape(1)).Address, Is.EqualTo(memory.Address + (2 * Arena.Alignment)));

        part.Reset();
        Assert.That(part.Used, Is.Zero);
        Assert.That(part.Take(ElementType.Float32, new Shape(2, 3)), Is.EqualTo(new Tensor(memory.Address, ElementType.Float32, new Shape(2, 3))));
        backend.Free(memory);
    }

    [Test]
    public void Only_bytes_are_divided() =>
        Assert.That(() => new Arena(new Tensor(1024, ElementType.Float32, new Shape(64))), Throws.ArgumentException.With.Property("ParamName").EqualTo("memory"));

    [TestCase(0, 0)]
    [TestCase(1, 256)]
    [TestCase(256, 256)]
    [TestCase(257, 512)]
    [TestCase(5_000_000_001, 5_000_000_256)]
    public void Bytes_are_rounded_up(long bytes, long expected) => Assert.That(Arena.RoundUp(bytes), Is.EqualTo(expected));

    private static List<Tensor> TakeSome(Arena arena) =>
    [
        arena.Take(ElementType.Float32, new Shape(3, 5, 7)), arena.Take(ElementType.Byte, new Shape(1)), arena.Take(ElementType.Float64, new Shape(32)),
        arena.Take(ElementType.BFloat16, new Shape(129)), arena.TakeArena(1000).Take(ElementType.Int32, new Shape(250)), arena.Take(ElementType.Float32, new Shape(64)),
    ];
}
