using System.Text.Json;
using Trainer.Checkpoints;
using Trainer.Compute;

namespace Trainer.Training;

/// <summary>
/// The record of a run, <c>config.json</c>: its settings, everything filled in, and under <see cref="TrainingSettings.VersionsKey"/> what it was
/// made with. It is also a configuration file for another run.
/// </summary>
internal static class RunRecord
{
    private const string DataKey = "data";
    private const string ChoicesKey = "choices";

    /// <summary>Those of a run that has just begun.</summary>
    public static IReadOnlyDictionary<string, string> NoChoices { get; } = new Dictionary<string, string>();

    /// <summary>Writes the record.</summary>
    /// <param name="directory">Of the run.</param>
    /// <param name="settings">All of them, filled in.</param>
    /// <param name="data">What it trains on.</param>
    /// <param name="backend">What computes.</param>
    /// <param name="recorded">The choices that were recorded before: kept while the run is on a device that has none to make.</param>
    public static void Write(
        RunDirectory directory, TrainingSettings settings, TrainingData data, IBackend backend, IReadOnlyDictionary<string, string> recorded)
    {
        var choices = backend.Choices.Count > 0 ? backend.Choices : recorded;
        using var stream = new MemoryStream();
        using (var json = new Utf8JsonWriter(stream, new JsonWriterOptions { Indented = true, NewLine = "\n" }))
        {
            json.WriteStartObject();
            settings.WriteTo(json);
            json.WriteStartObject(TrainingSettings.VersionsKey);
            json.WriteString("trainer", typeof(RunRecord).Assembly.GetName().Version?.ToString(3));
            json.WriteString("runtime", System.Runtime.InteropServices.RuntimeInformation.FrameworkDescription);
            json.WriteString("system", System.Runtime.InteropServices.RuntimeInformation.OSDescription);
            json.WriteString("device", backend.Description);
            json.WriteString("precision", backend.Precision.Name);
            json.WriteString(DataKey, data.Fingerprint);
            if (choices.Count > 0)
            {
                json.WriteStartObject(ChoicesKey);
                foreach (var (operation, implementation) in choices.OrderBy(pair => pair.Key, StringComparer.Ordinal))
                    json.WriteString(operation, implementation);
                json.WriteEndObject();
            }

            json.WriteEndObject();
            json.WriteEndObject();
        }

        directory.WriteConfig(stream.GetBuffer().AsSpan(0, (int)stream.Length));
    }

    /// <summary>The implementations that the run was made with (<see cref="IBackend.Choices"/>); none when its device had no choice.</summary>
    public static IReadOnlyDictionary<string, string> Choices(string path)
    {
        using var document = JsonDocument.Parse(File.ReadAllBytes(path));
        return document.RootElement.TryGetProperty(TrainingSettings.VersionsKey, out var versions) && versions.TryGetProperty(ChoicesKey, out var choices)
            ? choices.EnumerateObject().ToDictionary(choice => choice.Name, choice => choice.Value.GetString() ?? string.Empty)
            : NoChoices;
    }

    /// <summary>Refuses to continue a run on other data than it began with.</summary>
    /// <exception cref="RequestException">The data differ, or the record is corrupt.</exception>
    public static void CheckSameData(string path, TrainingData data)
    {
        try
        {
            using var document = JsonDocument.Parse(File.ReadAllBytes(path));
            string? recorded = document.RootElement.GetProperty(TrainingSettings.VersionsKey).GetProperty(DataKey).GetString();
            if (recorded != data.Fingerprint)
                throw new RequestException($"the data are not those that the run in {Path.GetDirectoryName(path)} began with ({data.Description}).\nBegin a new run on them with --init-from and another --run.");
        }
        catch (Exception exception) when (exception is JsonException or KeyNotFoundException or InvalidOperationException or IOException)
        {
            throw new RequestException($"{path} is no record of a run: {JsonReason.Of(exception)}", exception);
        }
    }
}
