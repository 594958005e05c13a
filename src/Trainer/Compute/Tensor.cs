namespace Trainer.Compute;

/// <summary>
/// A view of device memory: an address, an element type and a shape. It owns nothing; memory is allocated and freed by
/// <see cref="IBackend"/>. The default value is "no tensor" and stands for an operand that is left out.
/// </summary>
public readonly record struct Tensor
{
    /// <summary>Creates a view.</summary>
    /// <param name="address">The device address of the first element.</param>
    /// <param name="type">The element type.</param>
    /// <param name="shape">The extents, row-major and without gaps.</param>
    public Tensor(nint address, ElementType type, Shape shape)
    {
        Address = address;
        Type = type;
        Shape = shape;
    }

    /// <summary>The device address of the first element; a plain pointer on a CPU.</summary>
    public nint Address { get; }

    /// <summary>The element type.</summary>
    public ElementType Type { get; }

    /// <summary>The extents.</summary>
    public Shape Shape { get; }

    /// <summary>The number of elements.</summary>
    public long Count => Shape.Count;

    /// <summary>Whether this is "no tensor".</summary>
    public bool IsNone => Address == 0;

    /// <summary>The bytes that one element takes.</summary>
    public static int SizeOf(ElementType type) => type switch
    {
        ElementType.Float32 or ElementType.Int32 => 4,
        ElementType.BFloat16 => 2,
        ElementType.Float64 => 8,
        ElementType.Byte => 1,
        _ => throw new ArgumentOutOfRangeException(nameof(type)),
    };

    /// <summary>A view of part of this tensor.</summary>
    /// <param name="offset">The index of the first element, counted over the whole tensor.</param>
    /// <param name="shape">The extents of the view.</param>
    /// <exception cref="ArgumentOutOfRangeException">The view does not lie inside this tensor.</exception>
    public Tensor Slice(long offset, Shape shape)
    {
        if (offset < 0 || offset > Count - shape.Count)
            throw new ArgumentOutOfRangeException(nameof(offset), $"a view of {shape} at {offset} does not lie inside {Shape}");
        return new Tensor(Address + checked((nint)(offset * SizeOf(Type))), Type, shape);
    }

    /// <summary>The same elements with other extents.</summary>
    /// <exception cref="ArgumentException">The number of elements differs.</exception>
    public Tensor Reshape(Shape shape) => shape.Count == Count
        ? new Tensor(Address, Type, shape)
        : throw new ArgumentException($"{Shape} cannot be seen as {shape}", nameof(shape));
}
