namespace Trainer.Compute;

/// <summary>The extents of a tensor of rank 1 to 4, row-major: the last extent is contiguous.</summary>
public readonly record struct Shape
{
    private readonly int _d0, _d1, _d2, _d3;

    /// <summary>A vector of <paramref name="d0"/> elements.</summary>
    public Shape(int d0) => (_d0, _d1, _d2, _d3, Rank) = (d0, 1, 1, 1, 1);

    /// <summary>A matrix.</summary>
    public Shape(int d0, int d1) => (_d0, _d1, _d2, _d3, Rank) = (d0, d1, 1, 1, 2);

    /// <summary>A tensor of rank 3.</summary>
    public Shape(int d0, int d1, int d2) => (_d0, _d1, _d2, _d3, Rank) = (d0, d1, d2, 1, 3);

    /// <summary>A tensor of rank 4.</summary>
    public Shape(int d0, int d1, int d2, int d3) => (_d0, _d1, _d2, _d3, Rank) = (d0, d1, d2, d3, 4);

    /// <summary>The extents of at least <paramref name="count"/> elements, which may be more than fit one dimension.</summary>
    public static Shape Holding(long count)
    {
        const int columns = 4096;
        return count <= int.MaxValue ? new Shape((int)count) : new Shape(checked((int)((count + columns - 1) / columns)), columns);
    }

    /// <summary>The number of extents, 1 to 4; 0 for the default value, which is no tensor.</summary>
    public int Rank { get; }

    /// <summary>The extent of one dimension, 0 being the outermost.</summary>
    public int this[int dimension] => dimension switch
    {
        0 => _d0,
        1 => _d1,
        2 => _d2,
        3 => _d3,
        _ => throw new ArgumentOutOfRangeException(nameof(dimension)),
    };

    /// <summary>The innermost, contiguous extent.</summary>
    public int Columns => Rank == 0 ? 0 : this[Rank - 1];

    /// <summary>The number of contiguous rows: the product of all extents but the innermost.</summary>
    public int Rows => Rank == 0 ? 0 : checked((int)(Count / Math.Max(Columns, 1)));

    /// <summary>The number of elements.</summary>
    public long Count => Rank == 0 ? 0 : (long)_d0 * _d1 * _d2 * _d3;

    /// <summary>The extents as a message shows them: <c>(4, 64, 768)</c>.</summary>
    public override string ToString() => Rank switch
    {
        0 => "()",
        1 => $"({_d0})",
        2 => $"({_d0}, {_d1})",
        3 => $"({_d0}, {_d1}, {_d2})",
        _ => $"({_d0}, {_d1}, {_d2}, {_d3})",
    };
}
