namespace Trainer.Reports;

/// <summary>Running text.</summary>
/// <param name="Text">The text, without markup.</param>
public sealed record Paragraph(string Text) : ReportBlock;

/// <summary>Names and values, as of a setting.</summary>
/// <param name="Items">In order.</param>
public sealed record Facts(IReadOnlyList<Fact> Items) : ReportBlock;

/// <summary>A name and its value.</summary>
/// <param name="Name">What it is.</param>
/// <param name="Value">With its unit.</param>
public sealed record Fact(string Name, string Value);

/// <summary>Command lines to copy.</summary>
/// <param name="Lines">One command each.</param>
public sealed record Commands(IReadOnlyList<string> Lines) : ReportBlock;

/// <summary>A text as it is in a file, such as a configuration, behind its summary.</summary>
/// <param name="Summary">What it is.</param>
/// <param name="Text">Shown line by line in a fixed pitch.</param>
public sealed record Details(string Summary, string Text) : ReportBlock;
