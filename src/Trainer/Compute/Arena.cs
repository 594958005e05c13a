namespace Trainer.Compute;

/// <summary>Divides one piece of memory among tensors, one after the other. Without memory it only counts: what is planned is what is taken.</summary>
public sealed class Arena
{
    /// <summary>Every tensor begins at a multiple of this many bytes: what a device copies best, and more than any kernel asks for.</summary>
    public const int Alignment = 256;

    private readonly nint _start;
    private readonly long _bytes;

    /// <summary>An arena that only counts; its tensors have no memory.</summary>
    public Arena()
        : this(Alignment, long.MaxValue)
    {
    }

    /// <summary>An arena over an allocation of bytes.</summary>
    public Arena(Tensor memory)
        : this(memory.Address, memory.Count)
    {
        if (memory.Type != ElementType.Byte)
            throw new ArgumentException($"memory should be bytes, but is {memory.Type}", nameof(memory));
    }

    private Arena(nint start, long bytes) => (_start, _bytes) = (start, bytes);

    /// <summary>The bytes that were taken.</summary>
    public long Used { get; private set; }

    /// <summary>The bytes that something takes: up to the next beginning of a tensor.</summary>
    public static long RoundUp(long bytes) => (bytes + Alignment - 1) / Alignment * Alignment;

    /// <summary>Takes a tensor. Its elements are what lay there before.</summary>
    /// <exception cref="InvalidOperationException">The memory is used up: it was planned for less.</exception>
    public Tensor Take(ElementType type, Shape shape) => new(Take(shape.Count * Tensor.SizeOf(type)), type, shape);

    /// <summary>Takes memory that is divided further.</summary>
    /// <exception cref="InvalidOperationException">The memory is used up: it was planned for less.</exception>
    public Arena TakeArena(long bytes) => new(Take(bytes), bytes);

    /// <summary>Gives everything back, to divide it anew.</summary>
    public void Reset() => Used = 0;

    private nint Take(long bytes)
    {
        long start = Used;
        if (bytes > _bytes - start)
            throw new InvalidOperationException($"{bytes} bytes at byte {start} do not fit the {_bytes} that were planned");
        Used = start + RoundUp(bytes);
        return _start + checked((nint)start);
    }
}
