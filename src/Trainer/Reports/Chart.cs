namespace Trainer.Reports;

/// <summary>Series over a common axis.</summary>
/// <param name="Title">What is drawn.</param>
/// <param name="XLabel">The quantity and unit along the axis. Charts with the same one share their crosshair.</param>
/// <param name="YLabel">The quantity and unit of the values.</param>
/// <param name="Series">What is drawn, the last one on top.</param>
public sealed record Chart(string Title, string XLabel, string YLabel, IReadOnlyList<Series> Series) : ReportBlock
{
    /// <summary>Whether the axis is logarithmic; points at or below 0 are not drawn then.</summary>
    public bool XLog { get; init; }

    /// <summary>Whether values are drawn logarithmically; those at or below 0 are not drawn then.</summary>
    public bool YLog { get; init; }

    /// <summary>
    /// Whether lines begin smoothed, and the reader has a slider for it: an exponential moving average over the points, corrected for its
    /// beginning; the points themselves stay, pale.
    /// </summary>
    public bool Smooth { get; init; }

    /// <summary>A remark below the chart; may be empty.</summary>
    public string Note { get; init; } = string.Empty;
}
