using System.Text.Json;
using Trainer.Checkpoints;
using Trainer.Metrics;

namespace Trainer.Reports;

/// <summary>What a run directory says about its run, finished or not.</summary>
/// <param name="Path">The directory.</param>
/// <param name="Name">What the report calls it.</param>
/// <param name="Settings">The recorded settings in their order, as text, those under "versions" last; none without a record.</param>
/// <param name="Record">The record, <c>config.json</c>, as it is; empty when there is none.</param>
/// <param name="History">Its metrics.</param>
internal sealed record ReportedRun(string Path, string Name, IReadOnlyList<KeyValuePair<string, string>> Settings, string Record, MetricsHistory History)
{
    /// <summary>Looks into run directories. Their names are the last parts of their paths, or the whole paths where those are not different.</summary>
    /// <exception cref="RequestException">One holds no metrics, or is corrupt.</exception>
    public static IReadOnlyList<ReportedRun> Load(IReadOnlyList<string> directories)
    {
        string[] paths = [.. directories.Select(directory => System.IO.Path.TrimEndingDirectorySeparator(directory)).Distinct(StringComparer.Ordinal)];
        string[] names = [.. paths.Select(path => System.IO.Path.GetFileName(System.IO.Path.GetFullPath(path)))];
        if (names.Distinct(StringComparer.Ordinal).Count() < names.Length)
            names = paths;
        return [.. paths.Zip(names, Load)];
    }

    /// <summary>A setting's text, or null.</summary>
    public string? Setting(string key) => Settings.FirstOrDefault(setting => setting.Key == key).Value;

    /// <summary>A setting's number, or null.</summary>
    public double? Number(string key) =>
        double.TryParse(Setting(key), System.Globalization.CultureInfo.InvariantCulture, out double number) ? number : null;

    private static ReportedRun Load(string path, string name)
    {
        var run = new RunPaths(path);
        if (!Directory.Exists(path))
            throw new RequestException($"{path} does not exist; name directories of runs, as 'trainer train --run {path}' makes them.");
        if (!File.Exists(run.Metrics))
        {
            throw new RequestException(
                $"{path} is no run: it has no {System.IO.Path.GetFileName(run.Metrics)}.\nName directories that 'trainer train' made, such as runs/first.");
        }

        MetricsHistory history = MetricsHistory.Load(run.Metrics);
        if (history.Names.Count == 0)
            throw new RequestException($"{run.Metrics} has no complete line yet; wait for the first step of the run and ask again.");
        (string record, IReadOnlyList<KeyValuePair<string, string>> settings) = ReadRecord(run.Config);
        return new ReportedRun(path, name, settings, record, history);
    }

    private static (string Record, IReadOnlyList<KeyValuePair<string, string>> Settings) ReadRecord(string path)
    {
        if (!File.Exists(path))
            return (string.Empty, []);
        try
        {
            string record = File.ReadAllText(path);
            using var document = JsonDocument.Parse(record);
            var settings = new List<KeyValuePair<string, string>>();
            Add(document.RootElement, string.Empty, settings);
            return (record, settings);
        }
        catch (Exception exception) when (exception is JsonException or InvalidOperationException or IOException or UnauthorizedAccessException)
        {
            throw new RequestException($"{path} is no record of a run: {JsonReason.Of(exception)}", exception);
        }
    }

    private static void Add(JsonElement element, string prefix, List<KeyValuePair<string, string>> settings)
    {
        foreach (JsonProperty member in element.EnumerateObject())
        {
            if (member.Value.ValueKind == JsonValueKind.Object)
                Add(member.Value, $"{prefix}{member.Name}: ", settings);
            else
                settings.Add(new(prefix + member.Name, Text(member.Value)));
        }
    }

    private static string Text(JsonElement value) => value.ValueKind switch
    {
        JsonValueKind.String => value.GetString()!,
        JsonValueKind.Array => string.Join(", ", value.EnumerateArray().Select(Text)),
        _ => value.GetRawText(),
    };
}
