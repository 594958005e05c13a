using System.Text.Json;

namespace Trainer.Metrics;

/// <summary>The course of one metric.</summary>
/// <param name="Steps">Optimizer steps, growing.</param>
/// <param name="Values">The value at each of them; may be NaN or infinite.</param>
public sealed record MetricsSeries(IReadOnlyList<long> Steps, IReadOnlyList<double> Values)
{
    /// <summary>Of a metric that was never written.</summary>
    public static MetricsSeries Empty { get; } = new([], []);

    /// <summary>The number of values.</summary>
    public int Count => Values.Count;
}

/// <summary>
/// Everything in a <c>metrics.jsonl</c>, by name: each member of each line that is a number, or stands for one that JSON has no word for ("NaN",
/// "Infinity", "-Infinity"). What kind of line it stands in does not matter, and neither does whether anyone knows the name.
/// </summary>
/// <remarks>The file may belong to a run that is going on, or was killed: a last line without its line feed is left out.</remarks>
public sealed class MetricsHistory
{
    private readonly Dictionary<string, (List<long> Steps, List<double> Values)> _series = new(StringComparer.Ordinal);
    private readonly List<string> _names = [];

    private MetricsHistory()
    {
    }

    /// <summary>The names, in the order in which they first come.</summary>
    public IReadOnlyList<string> Names => _names;

    /// <summary>The last step of any line; 0 when there is none.</summary>
    public long LastStep { get; private set; }

    /// <summary>Reads a file.</summary>
    /// <exception cref="RequestException">It cannot be read, or a line is no object with a step.</exception>
    public static MetricsHistory Load(string path)
    {
        ArgumentNullException.ThrowIfNull(path);
        ReadOnlySpan<byte> rest = ReadAll(path);
        var history = new MetricsHistory();
        for (int number = 1, length; (length = rest.IndexOf((byte)'\n')) >= 0; number++)
        {
            try
            {
                history.Add(rest[..length]);
            }
            catch (Exception exception) when (exception is JsonException or FormatException or InvalidOperationException)
            {
                throw new RequestException($"{path}, line {number}: not the metrics of a run: {JsonReason.Of(exception)}", exception);
            }

            rest = rest[(length + 1)..];
        }

        return history;
    }

    /// <summary>The course of a metric; empty when there is none of that name.</summary>
    public MetricsSeries Series(string name) =>
        _series.TryGetValue(name, out var series) ? new MetricsSeries(series.Steps, series.Values) : MetricsSeries.Empty;

    private static byte[] ReadAll(string path)
    {
        try
        {
            // Shared, for the run may be writing it.
            using var stream = new FileStream(path, FileMode.Open, FileAccess.Read, FileShare.ReadWrite | FileShare.Delete);
            var bytes = new byte[stream.Length];
            int read = stream.ReadAtLeast(bytes, bytes.Length, throwOnEndOfStream: false);
            return bytes[..read];
        }
        catch (Exception exception) when (exception is IOException or UnauthorizedAccessException)
        {
            throw new RequestException($"{path}: cannot be read: {exception.Message}", exception);
        }
    }

    private void Add(ReadOnlySpan<byte> line)
    {
        var json = new Utf8JsonReader(line);
        var members = new List<(string Name, double Value)>();
        long step = -1;
        if (!json.Read() || json.TokenType != JsonTokenType.StartObject)
            throw new FormatException("expected an object");
        while (json.Read() && json.TokenType == JsonTokenType.PropertyName)
        {
            bool isStep = json.ValueTextEquals(MetricsNames.Step.EncodedUtf8Bytes);
            string name = isStep ? string.Empty : json.GetString()!;
            json.Read();
            if (isStep)
                step = json.GetInt64();
            else if (Number(ref json) is { } value)
                members.Add((name, value));
            else
                json.Skip();
        }

        if (json.TokenType != JsonTokenType.EndObject || json.Read() || step < 0)
            throw new FormatException("expected one object with \"step\"");
        LastStep = Math.Max(LastStep, step);
        foreach ((string name, double value) in members)
        {
            if (!_series.TryGetValue(name, out var series))
            {
                _names.Add(name);
                _series.Add(name, series = ([], []));
            }

            series.Steps.Add(step);
            series.Values.Add(value);
        }
    }

    private static double? Number(ref Utf8JsonReader json) => json.TokenType switch
    {
        JsonTokenType.Number => json.GetDouble(),
        JsonTokenType.String when json.ValueTextEquals(MetricsNames.NaN.EncodedUtf8Bytes) => double.NaN,
        JsonTokenType.String when json.ValueTextEquals(MetricsNames.Infinity.EncodedUtf8Bytes) => double.PositiveInfinity,
        JsonTokenType.String when json.ValueTextEquals(MetricsNames.NegativeInfinity.EncodedUtf8Bytes) => double.NegativeInfinity,
        _ => null,
    };
}
