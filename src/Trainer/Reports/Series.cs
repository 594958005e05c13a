namespace Trainer.Reports;

/// <summary>A line, or marks, of a chart.</summary>
/// <param name="Name">What the reader sees beside a value.</param>
/// <param name="Group">
/// The arm it belongs to. Throughout a report the series of a group have one colour and are shown and hidden together.
/// </param>
/// <param name="Points">For a line, in the order of x.</param>
public sealed record Series(string Name, string Group, IReadOnlyList<Point> Points)
{
    /// <summary>Whether the points are joined.</summary>
    public SeriesKind Kind { get; init; } = SeriesKind.Line;

    /// <summary>Whether the line is broken into dashes, as for what is predicted and not measured.</summary>
    public bool Dashed { get; init; }
}

/// <summary>How the points of a series are drawn.</summary>
public enum SeriesKind
{
    /// <summary>Joined by a line.</summary>
    Line,

    /// <summary>A mark each.</summary>
    Scatter,
}

/// <summary>A point of a series.</summary>
/// <param name="X">The place on the axis; finite.</param>
/// <param name="Y">The value. One that is not finite leaves a gap.</param>
/// <param name="Error">Half the length of the error bar, as one standard error; 0 for none.</param>
public readonly record struct Point(double X, double Y, double Error = 0);
