using System.Runtime.CompilerServices;
using Trainer.Compute;
using Trainer.Optimization;

namespace Trainer.Cpu;

/// <summary>The one place where the operands of an operation are checked, before they become pointers.</summary>
internal static unsafe class OperandCheck
{
    /// <summary>A float tensor of these extents.</summary>
    public static void Float(Tensor tensor, Shape shape, [CallerArgumentExpression(nameof(tensor))] string name = "")
    {
        if (tensor.IsNone || tensor.Type != ElementType.Float32 || tensor.Shape != shape)
            Fail(tensor, $"{shape} of Float32", name);
    }

    /// <summary>An integer tensor of these extents.</summary>
    public static void Int(Tensor tensor, Shape shape, [CallerArgumentExpression(nameof(tensor))] string name = "")
    {
        if (tensor.IsNone || tensor.Type != ElementType.Int32 || tensor.Shape != shape)
            Fail(tensor, $"{shape} of Int32", name);
    }

    /// <summary>A float tensor that, its outer extents taken together, has so many rows and columns.</summary>
    public static void Matrix(Tensor tensor, int rows, int columns, [CallerArgumentExpression(nameof(tensor))] string name = "")
    {
        if (tensor.IsNone || tensor.Type != ElementType.Float32 || tensor.Shape.Rows != rows || tensor.Shape.Columns != columns)
            Fail(tensor, $"{rows} rows of {columns} Float32", name);
    }

    /// <summary>A float matrix of any number of rows.</summary>
    public static void Columns(Tensor tensor, int columns, [CallerArgumentExpression(nameof(tensor))] string name = "")
    {
        if (tensor.IsNone || tensor.Type != ElementType.Float32 || tensor.Shape.Rank != 2 || tensor.Shape.Columns != columns)
            Fail(tensor, $"a matrix of {columns} columns of Float32", name);
    }

    /// <summary>A float matrix of at least so many rows.</summary>
    public static void AtLeast(Tensor tensor, int rows, int columns, [CallerArgumentExpression(nameof(tensor))] string name = "")
    {
        Columns(tensor, columns, name);
        if (tensor.Shape.Rows < rows)
            Fail(tensor, $"at least {rows} rows", name);
    }

    /// <summary>A float tensor of so many elements.</summary>
    public static void Count(Tensor tensor, long count, [CallerArgumentExpression(nameof(tensor))] string name = "")
    {
        if (tensor.IsNone || tensor.Type != ElementType.Float32 || tensor.Count != count)
            Fail(tensor, $"{count} elements of Float32", name);
    }

    /// <summary>An integer tensor of so many elements.</summary>
    public static void IntCount(Tensor tensor, long count, [CallerArgumentExpression(nameof(tensor))] string name = "")
    {
        if (tensor.IsNone || tensor.Type != ElementType.Int32 || tensor.Count != count)
            Fail(tensor, $"{count} elements of Int32", name);
    }

    /// <summary>A float tensor of any extents: the one that the others are measured by.</summary>
    public static void Float(Tensor tensor, [CallerArgumentExpression(nameof(tensor))] string name = "")
    {
        if (tensor.IsNone || tensor.Type != ElementType.Float32)
            Fail(tensor, "a tensor of Float32", name);
    }

    /// <summary>Token ids in [0, <paramref name="bound"/>): any other would be an address outside the table that it indexes.</summary>
    public static void Tokens(Tensor tensor, int bound, [CallerArgumentExpression(nameof(tensor))] string name = "")
    {
        foreach (int token in new ReadOnlySpan<int>((void*)tensor.Address, checked((int)tensor.Count)))
        {
            if ((uint)token >= (uint)bound)
                throw new ArgumentOutOfRangeException(name, $"{name} has the id {token}, which is not in [0, {bound})");
        }
    }

    /// <summary>Segments inside a float tensor, and as many results as segments.</summary>
    public static void Segments(Tensor values, ReadOnlySpan<Segment> segments, int results)
    {
        Float(values);
        if (segments.Length != results)
            throw new ArgumentException($"{segments.Length} segments, but room for {results} results", nameof(segments));
        foreach (var segment in segments)
            Inside(values, segment, nameof(segments));
    }

    /// <summary>Updates in ascending order inside a float tensor, and as many results as updates.</summary>
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
