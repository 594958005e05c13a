namespace Trainer.Reports;

/// <summary>A table.</summary>
/// <param name="Columns">Its columns.</param>
/// <param name="Rows">Its rows, with a cell for each column.</param>
/// <param name="Caption">What it shows; may be empty.</param>
public sealed record Table(IReadOnlyList<TableColumn> Columns, IReadOnlyList<TableRow> Rows, string Caption) : ReportBlock;

/// <summary>A column of a table.</summary>
/// <param name="Name">Its heading.</param>
/// <param name="Numeric">Whether it holds numbers, which stand at its right.</param>
public sealed record TableColumn(string Name, bool Numeric = false);

/// <summary>A row of a table.</summary>
/// <param name="Cells">Text for each column.</param>
/// <param name="Emphasised">Whether the row stands out, as the best one.</param>
public sealed record TableRow(IReadOnlyList<string> Cells, bool Emphasised = false);
