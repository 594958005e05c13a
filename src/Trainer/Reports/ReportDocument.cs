namespace Trainer.Reports;

/// <summary>A report: what it says, in order, and nothing about how it looks. <see cref="HtmlReport"/> makes a page of it.</summary>
/// <param name="Title">What it is about, in a few words.</param>
/// <param name="Subtitle">One sentence below the title; may be empty.</param>
/// <param name="Sections">Its sections.</param>
public sealed record ReportDocument(string Title, string Subtitle, IReadOnlyList<ReportSection> Sections);

/// <summary>A section under a heading.</summary>
/// <param name="Heading">The heading.</param>
/// <param name="Blocks">What stands below it.</param>
public sealed record ReportSection(string Heading, IReadOnlyList<ReportBlock> Blocks)
{
    /// <summary>Whether only the heading shows until the reader opens the section, or prints it.</summary>
    public bool Collapsed { get; init; }
}

/// <summary>A part of a section.</summary>
public abstract record ReportBlock;
