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

    public static void Write(RunDirectory directory, TrainingSettings settings, TrainingData data, IBackend backend)
    {
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
            json.WriteString(DataKey, data.Fingerprint);
            json.WriteEndObject();
            json.WriteEndObject();
        }

        directory.WriteConfig(stream.GetBuffer().AsSpan(0, (int)stream.Length));
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
