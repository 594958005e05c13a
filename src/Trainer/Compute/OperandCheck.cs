using System.Runtime.CompilerServices;
using Trainer.Optimization;

namespace Trainer.Compute;

/// <summary>The checks of an operation's operands, before they become pointers. A failure names the operand.</summary>
internal static class OperandCheck
{
    /// <summary>A tensor of this type and these extents.</summary>
    public static void Exactly(Tensor tensor, ElementType type, Shape shape, [CallerArgumentExpression(nameof(tensor))] string name = "")
    {
        if (tensor.IsNone || tensor.Type != type || tensor.Shape != shape)
            Fail(tensor, $"{shape} of {type}", name);
    }

    /// <summary>A tensor that, its outer extents taken together, has so many rows and columns.</summary>
    public static void Matrix(Tensor tensor, ElementType type, int rows, int columns, [CallerArgumentExpression(nameof(tensor))] string name = "")
    {
        if (tensor.IsNone || tensor.Type != type || tensor.Shape.Rows != rows || tensor.Shape.Columns != columns)
            Fail(tensor, $"{rows} rows of {columns} {type}", name);
    }

    /// <summary>A matrix of any number of rows.</summary>
    public static void Columns(Tensor tensor, ElementType type, int columns, [CallerArgumentExpression(nameof(tensor))] string name = "")
    {
        if (tensor.IsNone || tensor.Type != type || tensor.Shape.Rank != 2 || tensor.Shape.Columns != columns)
            Fail(tensor, $"a matrix of {columns} columns of {type}", name);
    }

    /// <summary>A matrix of at least so many rows.</summary>
    public static void AtLeast(Tensor tensor, ElementType type, int rows, int columns, [CallerArgumentExpression(nameof(tensor))] string name = "")
    {
        Columns(tensor, type, columns, name);
        if (tensor.Shape.Rows < rows)
            Fail(tensor, $"at least {rows} rows", name);
    }

    /// <summary>A tensor of so many elements.</summary>
    public static void Count(Tensor tensor, ElementType type, long count, [CallerArgumentExpression(nameof(tensor))] string name = "")
    {
        if (tensor.IsNone || tensor.Type != type || tensor.Count != count)
            Fail(tensor, $"{count} elements of {type}", name);
    }

    /// <summary>A tensor of any extents: the one that the others are measured by.</summary>
    public static void Any(Tensor tensor, ElementType type, [CallerArgumentExpression(nameof(tensor))] string name = "")
    {
        if (tensor.IsNone || tensor.Type != type)
            Fail(tensor, $"a tensor of {type}", name);
    }

    /// <summary>Host values that a tensor's elements are copied from or to.</summary>
    public static void Copy<T>(Tensor tensor, int count)
        where T : unmanaged
    {
        bool fits = tensor.Type switch
        {
            ElementType.Float32 => typeof(T) == typeof(float),
            ElementType.Int32 => typeof(T) == typeof(int),
            ElementType.BFloat16 => typeof(T) == typeof(ushort),
            ElementType.Float64 => typeof(T) == typeof(double),
            _ => typeof(T) == typeof(byte),
        };
        if (tensor.IsNone || tensor.Count != count || !fits)
            throw new ArgumentException($"{count} elements of {typeof(T).Name} do not match {tensor.Type} {tensor.Shape}", nameof(tensor));
    }

    /// <summary>Segments inside a tensor of fp32, and as many results as segments.</summary>
    public static void Segments(Tensor values, ReadOnlySpan<Segment> segments, int results)
    {
        Any(values, ElementType.Float32);
        if (segments.Length != results)
            throw new ArgumentException($"{segments.Length} segments, but room for {results} results", nameof(segments));
        foreach (var segment in segments)
            Inside(values, segment, nameof(segments));
    }

    /// <summary>Updates in ascending order inside a tensor, and as many results as updates.</summary>
    public static void Updates(Tensor values, ReadOnlySpan<SegmentUpdate> updates, int results)
    {
        if (updates.Length != results)
            throw new ArgumentException($"{updates.Length} updates, but room for {results} results", nameof(updates));
        long end = 0;
        foreach (var update in updates)
        {
            Inside(values, update.Segment, nameof(updates));
            if (update.Segment.Offset < end)
                throw new ArgumentException($"the update at {update.Segment.Offset} overlaps the one before it", nameof(updates));
            end = update.Segment.Offset + update.Segment.Count;
        }
    }

    private static void Inside(Tensor values, Segment segment, string name)
    {
        if (segment.Offset < 0 || segment.Count < 0 || segment.Offset > values.Count - segment.Count)
            throw new ArgumentException($"the segment of {segment.Count} at {segment.Offset} does not lie inside {values.Count} elements", name);
    }

    private static void Fail(Tensor tensor, string wanted, string name) =>
        throw new ArgumentException($"{name} should be {wanted}, but is {tensor.Shape} of {tensor.Type}", name);
}
