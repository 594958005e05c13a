using System.Globalization;

namespace Trainer.Training;

/// <summary>The samples of a run, <c>samples.txt</c>: each after a line <c>=== step N ===</c>.</summary>
internal sealed class SampleLog
{
    private const string Mark = "=== step ";

    private readonly string _path;

    /// <summary>Opens the file of a run that begins, or continues, after a step; samples of later steps are dropped.</summary>
    public SampleLog(string path, long step)
    {
        _path = path;
        if (!File.Exists(path))
            return;
        string text = File.ReadAllText(path);
        int end = 0;
        while (end < text.Length && StepAt(text, end) is { } at && at <= step)
        {
            int next = text.IndexOf("\n" + Mark, end + 1, StringComparison.Ordinal);
            end = next < 0 ? text.Length : next + 1;
        }

        if (end < text.Length)
            File.WriteAllText(path, text[..end]);
    }

    public void Append(long step, string text) =>
        File.AppendAllText(_path, string.Create(CultureInfo.InvariantCulture, $"{Mark}{step} ===\n{text}\n"));

    private static long? StepAt(string text, int at)
    {
        if (!text.AsSpan(at).StartsWith(Mark, StringComparison.Ordinal))
            return null;
        int end = text.IndexOf(' ', at + Mark.Length);
        return end > 0 && long.TryParse(text.AsSpan(at + Mark.Length, end - at - Mark.Length), CultureInfo.InvariantCulture, out long step) ? step : null;
    }
}
