using System.Globalization;
using NUnit.Framework.Interfaces;

namespace Trainer.DeviceTests;

/// <summary>Writes what a run of tests does, as it does it: a line for each fixture, more for each test that fails, and the counts.</summary>
/// <remarks>A kernel that never ends cannot be interrupted: a test that takes too long ends the process, with its name.</remarks>
/// <param name="output">Where to.</param>
internal sealed class Progress(TextWriter output) : ITestListener, IDisposable
{
    // Of a failure's message; tolerances and the place of the first wrong number are among them.
    private const int MessageLines = 6;

    // The longest test takes a few seconds on a GPU, and a minute where a processor simulates one.
    private static readonly TimeSpan Limit = TimeSpan.FromMinutes(20);

    private readonly Dictionary<string, int> _reasons = [];
    private Timer? _watch;

    /// <summary>Tests that passed.</summary>
    public int Passed { get; private set; }

    /// <summary>Tests that failed.</summary>
    public int Failed { get; private set; }

    /// <summary>Tests that were skipped.</summary>
    public int Skipped { get; private set; }

    /// <inheritdoc/>
    public void TestStarted(ITest test)
    {
        if (!test.IsSuite)
            Watch(test.FullName);
    }

    /// <inheritdoc/>
    public void TestFinished(ITestResult result)
    {
        _watch?.Dispose();
        if (result.Test.IsSuite)
            FinishSuite(result);
        else
            FinishTest(result);
        output.Flush();
    }

    /// <inheritdoc/>
    public void TestOutput(TestOutput output)
    {
    }

    /// <inheritdoc/>
    public void SendMessage(TestMessage message)
    {
    }

    /// <summary>Writes why tests were skipped, and the counts.</summary>
    public void WriteSummary()
    {
        foreach (var (reason, count) in _reasons.OrderByDescending(pair => pair.Value))
            output.WriteLine($"{count,5} skipped: {reason}");
        output.WriteLine($"{Passed} passed, {Failed} failed, {Skipped} skipped");
    }

    /// <inheritdoc/>
    public void Dispose() => _watch?.Dispose();

    private void Watch(string test) => _watch = new Timer(
        _ =>
        {
            Console.Error.WriteLine($"{test} has not ended after {Limit.TotalMinutes:F0} minutes: the device hangs, or is very slow. The tests end here.");
            Environment.Exit(1);
        },
        null,
        Limit,
        Timeout.InfiniteTimeSpan);

    private void FinishTest(ITestResult result)
    {
        switch (result.ResultState.Status)
        {
            case TestStatus.Passed or TestStatus.Warning:
                Passed++;
                break;
            case TestStatus.Failed:
                Failed++;
                WriteFailure(result);
                break;
            default:
                Skipped++;
                string reason = Lines(result.Message).FirstOrDefault() ?? "no reason given";
                _reasons[reason] = _reasons.GetValueOrDefault(reason) + 1;
                break;
        }
    }

    private void FinishSuite(ITestResult result)
    {
        // A failure of a fixture's own set-up; where its tests failed, theirs is the message.
        if (result.ResultState is { Status: TestStatus.Failed, Site: FailureSite.SetUp or FailureSite.TearDown })
        {
            WriteFailure(result);
            if (result.TotalCount == 0 || result.ResultState.Site == FailureSite.TearDown)
                Failed++;
        }

        if (result.Test is { TestType: "TestFixture" } && result.TotalCount > 0)
        {
            string counts = $"{result.PassCount + result.WarningCount} passed"
                + (result.FailCount > 0 ? $", {result.FailCount} failed" : string.Empty)
                + (result.SkipCount > 0 ? $", {result.SkipCount} skipped" : string.Empty);
            output.WriteLine(string.Create(CultureInfo.InvariantCulture, $"{result.FullName}: {counts}, {result.Duration:F1} s"));
        }
    }

    private void WriteFailure(ITestResult result)
    {
        output.WriteLine($"FAILED {result.FullName}");
        foreach (string line in Lines(result.Message).Take(MessageLines))
            output.WriteLine($"  {line}");
    }

    private static IEnumerable<string> Lines(string? text) =>
        (text ?? string.Empty).Split('\n').Select(line => line.Trim()).Where(line => line.Length > 0);
}
