using System.Text.Json;
using Trainer.Checkpoints;
using Trainer.Metrics;

namespace Trainer.Experiments;

/// <summary>
/// Writes the run directory of a toy: <c>config.json</c>, flat lines of <c>metrics.jsonl</c>, and last <c>result.json</c>. A number that is not
/// finite is written as the string <c>"NaN"</c>, <c>"Infinity"</c> or <c>"-Infinity"</c>.
/// </summary>
internal sealed class ToyRunWriter : IDisposable
{
    private readonly string _result;
    private readonly FileStream _metrics;

    /// <summary>Makes the directory, or begins again in one.</summary>
    /// <param name="directory">The run's.</param>
    /// <param name="toy">The name of the toy.</param>
    /// <param name="settings">All of its settings.</param>
    /// <exception cref="RequestException">It cannot be written.</exception>
    public ToyRunWriter(string directory, string toy, params ReadOnlySpan<(string Name, double Value)> settings)
    {
        var paths = new RunPaths(directory);
        _result = Path.Combine(directory, ToyRun.ResultFile);
        try
        {
            Directory.CreateDirectory(directory);
            File.Delete(_result);
            DurableFile.Replace(paths.Config, Json(JsonLayout.Indented, settings, json => json.WriteString("toy", toy)));
            _metrics = new FileStream(paths.Metrics, FileMode.Create, FileAccess.Write, FileShare.Read);
        }
        catch (Exception exception) when (exception is IOException or UnauthorizedAccessException)
        {
            throw new RequestException($"the run directory {directory} cannot be written: {exception.Message}", exception);
        }
    }

    /// <summary>Appends a line of metrics.</summary>
    /// <exception cref="RunFailedException">The disk is full.</exception>
    public void Line(long step, params ReadOnlySpan<(string Name, double Value)> values)
    {
        byte[] line = Json(default, values, json => json.WriteNumber(MetricsNames.Step, step));
        Write(() =>
        {
            _metrics.Write(line);
            _metrics.WriteByte((byte)'\n');
        });
    }

    /// <summary>Writes the final numbers: the run is complete.</summary>
    /// <exception cref="RunFailedException">The disk is full.</exception>
    public void Finish(params ReadOnlySpan<(string Name, double Value)> results)
    {
        byte[] contents = Json(JsonLayout.Indented, results, _ => { });
        Write(() =>
        {
            _metrics.Flush(flushToDisk: true);
            DurableFile.Replace(_result, contents);
        });
    }

    /// <inheritdoc/>
    public void Dispose() => _metrics.Dispose();

    private static byte[] Json(JsonWriterOptions layout, ReadOnlySpan<(string Name, double Value)> values, Action<Utf8JsonWriter> first)
    {
        using var stream = new MemoryStream();
        using (var json = new Utf8JsonWriter(stream, layout))
        {
            json.WriteStartObject();
            first(json);
            foreach (var (name, value) in values)
            {
                if (double.IsFinite(value))
                    json.WriteNumber(name, value);
                else
                    json.WriteString(name, double.IsNaN(value) ? MetricsNames.NaN : value > 0 ? MetricsNames.Infinity : MetricsNames.NegativeInfinity);
            }

            json.WriteEndObject();
        }

        return stream.ToArray();
    }

    private void Write(Action write)
    {
        try
        {
            write();
        }
        catch (Exception exception) when (exception is IOException or UnauthorizedAccessException)
        {
            throw new RunFailedException($"{_metrics.Name}: cannot be written: {exception.Message}\nMake room and run it again.", exception);
        }
    }
}
