using Trainer.Checkpoints;
using Trainer.Reports;
using Trainer.Training;

namespace Trainer.Cli.Commands;

/// <summary>What <c>trainer report</c> is asked.</summary>
internal sealed record ReportSettings
{
    private const string Group = "Report";

    /// <summary>The runs.</summary>
    [Setting(Group, "directories of runs, finished or not", "RUN...", Operand = true, Required = true)]
    public IReadOnlyList<string> Runs { get; init; } = [];

    /// <summary>The file.</summary>
    [Setting(Group, "the page to write", "FILE", Default = "report.html in the run, or here for several")]
    public string? Output { get; init; }

    /// <summary>The title.</summary>
    [Setting(Group, "title of the page", "TEXT", Default = "the names of the runs")]
    public string? Title { get; init; }
}

/// <summary><c>trainer report</c>: one page that shows runs side by side.</summary>
internal static class ReportCommand
{
    public static Verb Create(Terminal terminal) => Verb.Create<ReportSettings>(
        "report",
        "Writes a page that shows runs side by side: settings that differ, results, and the curves of all metrics. It opens in any browser, without a network.",
        ["trainer report runs/first", "trainer report runs/decay runs/norm-control --output comparison.html --title 'Decay or norm control'"],
        settings =>
        {
            ReportDocument report = RunReport.Create(settings.Runs, settings.Title);
            string path = settings.Output ?? (settings.Runs is [var run] ? new RunPaths(Path.TrimEndingDirectorySeparator(run)).Report : "report.html");
            Write(report, path);
            terminal.Out.WriteLine(path);
            return ExitCode.Done;
        });

    /// <summary>Writes a page.</summary>
    /// <exception cref="RequestException">The file cannot be written.</exception>
    public static void Write(ReportDocument report, string path)
    {
        try
        {
            using var writer = new StreamWriter(path);
            HtmlReport.Write(report, writer);
        }
        catch (Exception exception) when (exception is IOException or UnauthorizedAccessException)
        {
            throw new RequestException($"{path} cannot be written: {exception.Message}\nName another file with --output.", exception);
        }
    }
}
