using Trainer.Compute;
using Trainer.Model;

namespace Trainer.Optimization;

/// <summary>
/// The pieces of the parameters whose sums of squares are kept apart, in the order in which they lie in memory: whole tensors, or the rows of
/// matrices where a rule works on rows.
/// </summary>
public sealed class WeightSegments
{
    private readonly Segment[] _segments;
    private readonly int[] _first;

    private WeightSegments(Segment[] segments, int[] first) => (_segments, _first) = (segments, first);

    /// <summary>The pieces.</summary>
    public ReadOnlySpan<Segment> Segments => _segments;

    /// <summary>How many there are.</summary>
    public int Count => _segments.Length;

    /// <summary>One piece for each tensor.</summary>
    public static WeightSegments OfTensors(ParameterLayout layout)
    {
        ArgumentNullException.ThrowIfNull(layout);
        return new WeightSegments([.. layout.Segments], [.. Enumerable.Range(0, layout.Tensors.Count + 1)]);
    }

    /// <summary>One piece for each row of a matrix (the incoming weights of an output, the vector of a token), one for each vector.</summary>
    public static WeightSegments OfRows(ParameterLayout layout)
    {
        ArgumentNullException.ThrowIfNull(layout);
        var segments = new List<Segment>();
        var first = new int[layout.Tensors.Count + 1];
        for (int tensor = 0; tensor < layout.Tensors.Count; tensor++)
        {
            Shape shape = layout.Tensors[tensor].Shape;
            (long offset, long count) = layout.Segments[tensor];
            long length = shape.Rank == 2 ? shape.Columns : count;
            for (long done = 0; done < count; done += length)
                segments.Add(new Segment(offset + done, length));
            first[tensor + 1] = segments.Count;
        }

        return new WeightSegments([.. segments], first);
    }

    /// <summary>The pieces of a tensor: they follow each other.</summary>
    public Range Of(int tensor) => _first[tensor].._first[tensor + 1];

    /// <summary>The sum over all pieces of a tensor.</summary>
    public double Total(ReadOnlySpan<double> sums, int tensor)
    {
        double total = 0;
        foreach (double sum in sums[Of(tensor)])
            total += sum;
        return total;
    }
}
