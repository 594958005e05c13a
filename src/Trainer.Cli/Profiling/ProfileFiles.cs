using System.Globalization;
using System.Text.Json;
using Trainer.Profiling;

namespace Trainer.Cli.Profiling;

/// <summary>A profile as programs read it.</summary>
internal static class ProfileFiles
{
    /// <summary>The columns of <see cref="WriteCsv"/>.</summary>
    internal const string CsvColumns =
        "operation,sizes,callsPerStep,bytesPerCall,flopsPerCall,medianMicroseconds,fastestMicroseconds,millisecondsPerStep,share,bytesPerSecond,flopsPerSecond,"
        + "floorMicroseconds,shareOfFloor";

    // Of the trace: everything happens in one process, and these are its tracks.
    private const int Process = 1, DeviceTrack = 1, HostTrack = 2;

    /// <summary>
    /// Writes the steps in the Trace Event Format, which Perfetto and chrome://tracing show: complete events with times in microseconds, the device on one
    /// track, the host on the other.
    /// </summary>
    public static void WriteTrace(Stream stream, StepProfile profile)
    {
        using var writer = new Utf8JsonWriter(stream);
        writer.WriteStartObject();
        writer.WriteString("displayTimeUnit", "ms");
        writer.WriteStartArray("traceEvents");
        WriteName(writer, "process_name", DeviceTrack, $"trainer, {profile.Model}");
        WriteName(writer, "thread_name", DeviceTrack, profile.Device);
        WriteName(writer, "thread_name", HostTrack, "host");
        foreach (ProfiledStep step in profile.Steps)
        {
            foreach (TimedOperation operation in step.Device)
                WriteEvent(writer, DeviceTrack, step.Number, operation.Cost.Operation, operation.Start, operation.End, operation);
            foreach (HostSpan span in step.Phases.Prepend(step.Whole))
                WriteEvent(writer, HostTrack, step.Number, span.Name, span.Start, span.Start + span.Seconds);
            foreach (TimedOperation call in step.Host)
                WriteEvent(writer, HostTrack, step.Number, call.Cost.Operation, call.Start, call.End);
        }

        writer.WriteEndArray();
        writer.WriteEndObject();
    }

    /// <summary>Writes the operations by their names and sizes, a line for each below <see cref="CsvColumns"/>.</summary>
    public static void WriteCsv(TextWriter writer, StepProfile profile)
    {
        writer.WriteLine(CsvColumns);
        foreach (OperationRow row in profile.BySize())
        {
            double[] values =
            [
                row.Calls, row.Bytes / row.Calls, row.Flops / row.Calls, 1e6 * row.MedianCall, 1e6 * row.FastestCall, 1e3 * row.Seconds, row.Share,
                row.BytesPerSecond, row.FlopsPerSecond, 1e6 * row.Floor / row.Calls, row.ShareOfFloor,
            ];
            IEnumerable<string> figures = values.Select(value => value.ToString("R", CultureInfo.InvariantCulture));
            writer.WriteLine(string.Join(',', [Quoted(row.Operation), row.Sizes, .. figures]));
        }
    }

    /// <summary>Writes the members of a JSON object: device, model, roofline, the step, and its operations.</summary>
    /// <param name="writer">Stands inside an object.</param>
    /// <param name="profile">The profile.</param>
    /// <param name="rows">Its operations, by name or by size.</param>
    public static void WriteTo(Utf8JsonWriter writer, StepProfile profile, IReadOnlyList<OperationRow> rows)
    {
        writer.WriteString("device", profile.Device);
        writer.WriteString("model", profile.Model);
        writer.WriteNumber("tokensPerStep", profile.TokensPerStep);
        writer.WriteNumber("peakBytesPerSecond", profile.Roofline.BytesPerSecond);
        writer.WriteNumber("peakFlopsPerSecond", profile.Roofline.FlopsPerSecond);
        writer.WriteNumber("millisecondsPerStep", 1e3 * profile.StepSeconds);
        if (profile.HostSeconds is { } host)
            writer.WriteNumber("hostMillisecondsPerStep", 1e3 * host);
        writer.WriteNumber("operationMillisecondsPerStep", 1e3 * profile.Total.Seconds);
        writer.WriteNumber("floorMillisecondsPerStep", 1e3 * profile.Total.Floor);
        writer.WriteStartArray("operations");
        foreach (OperationRow row in rows)
        {
            writer.WriteStartObject();
            writer.WriteString("operation", row.Operation);
            if (row.Sizes.Length > 0)
                writer.WriteString("sizes", row.Sizes);
            writer.WriteNumber("callsPerStep", row.Calls);
            writer.WriteNumber("bytesPerCall", row.Bytes / row.Calls);
            writer.WriteNumber("flopsPerCall", row.Flops / row.Calls);
            writer.WriteNumber("medianMicroseconds", 1e6 * row.MedianCall);
            writer.WriteNumber("floorMicroseconds", 1e6 * row.Floor / row.Calls);
            writer.WriteNumber("millisecondsPerStep", 1e3 * row.Seconds);
            writer.WriteNumber("share", row.Share);
            writer.WriteNumber("bytesPerSecond", row.BytesPerSecond);
            writer.WriteNumber("flopsPerSecond", row.FlopsPerSecond);
            writer.WriteNumber("shareOfFloor", row.ShareOfFloor);
            writer.WriteEndObject();
        }

        writer.WriteEndArray();
    }

    private static void WriteName(Utf8JsonWriter writer, string what, int track, string name)
    {
        writer.WriteStartObject();
        writer.WriteString("ph", "M");
        writer.WriteNumber("pid", Process);
        writer.WriteNumber("tid", track);
        writer.WriteString("name", what);
        writer.WriteStartObject("args");
        writer.WriteString("name", name);
        writer.WriteEndObject();
        writer.WriteEndObject();
    }

    private static void WriteEvent(Utf8JsonWriter writer, int track, int step, string name, double start, double end, TimedOperation? operation = null)
    {
        // Both ends are rounded, not the duration: what lies inside of another event does so to the nanosecond.
        decimal from = Microseconds(start);
        writer.WriteStartObject();
        writer.WriteString("ph", "X");
        writer.WriteNumber("pid", Process);
        writer.WriteNumber("tid", track);
        writer.WriteString("name", name);
        writer.WriteNumber("ts", from);
        writer.WriteNumber("dur", Microseconds(end) - from);
        writer.WriteStartObject("args");
        writer.WriteNumber("step", step);
        if (operation is { } timed)
        {
            if (timed.Cost.Sizes.Rank > 0)
                writer.WriteString("sizes", timed.Cost.Sizes.ToString());
            writer.WriteNumber("bytes", timed.Cost.Bytes);
            writer.WriteNumber("flops", timed.Cost.Flops);
        }

        writer.WriteEndObject();
        writer.WriteEndObject();
    }

    private static decimal Microseconds(double seconds) => Math.Round((decimal)seconds * 1_000_000, 3);

    private static string Quoted(string text) => text.AsSpan().IndexOfAny(',', '"') < 0 ? text : $"\"{text.Replace("\"", "\"\"", StringComparison.Ordinal)}\"";
}
