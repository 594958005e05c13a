using System.Buffers;
using System.Text.Json;

namespace Trainer.Metrics;

/// <summary>
/// Appends to <c>metrics.jsonl</c>, one JSON object on each line: <c>{"step","loss","lr","gradNorm","weightNorm","normRatio","updateRatio","angle",
/// "stepMs","tokensPerSecond"}</c> for a step, under norm control with <c>"targetGap"</c>, with weights rounded to bf16 with <c>"lostUpdates"</c>; <c>{"step","valLoss","trainLoss"}</c> for an evaluation; and
/// for diagnostics whatever was measured, by name.
/// </summary>
/// <remarks>
/// A line is handed to the system as a whole before a call returns, so that a run that is killed loses nothing it has reported and
/// a system that fails the last lines. A number that is not finite is written as the string <c>"NaN"</c>, <c>"Infinity"</c> or
/// <c>"-Infinity"</c>, which JSON allows and common readers understand. Writing allocates nothing after the first line.
/// </remarks>
public sealed class MetricsWriter : IDisposable
{
    private readonly FileStream _stream;
    private readonly ArrayBufferWriter<byte> _buffer = new(512);
    private readonly Utf8JsonWriter _json;

    private MetricsWriter(FileStream stream)
    {
        _stream = stream;
        _json = new Utf8JsonWriter(_buffer);
    }

    /// <summary>Opens the file of a run that begins, or continues, after a step.</summary>
    /// <param name="path">The file; made if it is missing.</param>
    /// <param name="step">
    /// The steps taken. Lines of later steps, which a killed run wrote after its last checkpoint, are cut off, and so is a torn last line.
    /// </param>
    /// <exception cref="RequestException">The file has a line that is no metrics, or cannot be opened.</exception>
    public static MetricsWriter Open(string path, long step)
    {
        ArgumentNullException.ThrowIfNull(path);
        FileStream? stream = null;
        try
        {
            long end = File.Exists(path) ? MetricsReader.EndOfStep(path, step) : 0;
            stream = new FileStream(path, FileMode.OpenOrCreate, FileAccess.Write, FileShare.Read, bufferSize: 0);

            // Steps only grow along the file, so that what is to go is its end, and one call of the system cuts it off.
            stream.SetLength(end);
            stream.Position = end;
            return new MetricsWriter(stream);
        }
        catch (Exception exception) when (exception is IOException or UnauthorizedAccessException)
        {
            stream?.Dispose();
            throw new RequestException($"{path}: cannot be written: {exception.Message}", exception);
        }
    }

    /// <summary>Appends the line of a step.</summary>
    /// <exception cref="RunFailedException">The disk is full.</exception>
    public void Write(in StepMetrics metrics)
    {
        Begin(metrics.Step);
        Number(MetricsNames.Loss, metrics.Loss);
        Number(MetricsNames.LearningRate, metrics.LearningRate);
        Number(MetricsNames.GradientNorm, metrics.GradientNorm);
        Number(MetricsNames.WeightNorm, metrics.WeightNorm);
        Number(MetricsNames.NormRatio, metrics.NormRatio);
        Known(MetricsNames.UpdateRatio, metrics.UpdateRatio);
        Known(MetricsNames.Angle, metrics.Angle);
        Known(MetricsNames.TargetGap, metrics.TargetGap);
        Known(MetricsNames.LostUpdates, metrics.LostUpdates);
        Number(MetricsNames.StepMilliseconds, metrics.StepMilliseconds);
        Number(MetricsNames.TokensPerSecond, metrics.TokensPerSecond);
        End();
    }

    /// <summary>Appends a line of diagnostics.</summary>
    /// <param name="step">The steps taken before they were measured.</param>
    /// <param name="values">What was measured, by name.</param>
    /// <exception cref="RunFailedException">The disk is full.</exception>
    public void Write(long step, IReadOnlyList<(string Name, double Value)> values)
    {
        ArgumentNullException.ThrowIfNull(values);
        Begin(step);
        foreach ((string name, double value) in values)
            Number(JsonEncodedText.Encode(name), value);
        End();
    }

    /// <summary>Appends the line of an evaluation.</summary>
    /// <exception cref="RunFailedException">The disk is full.</exception>
    public void Write(in EvaluationMetrics metrics)
    {
        Begin(metrics.Step);
        Number(MetricsNames.ValidationLoss, metrics.ValidationLoss);
        Number(MetricsNames.TrainLoss, metrics.TrainLoss);
        End();
    }

    /// <summary>Brings all lines to the disk, so that they survive a system that fails; to be called before a checkpoint is written.</summary>
    /// <exception cref="RunFailedException">The disk is full.</exception>
    public void Flush()
    {
        try
        {
            _stream.Flush(flushToDisk: true);
        }
        catch (IOException exception)
        {
            throw Failed(exception);
        }
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        _json.Dispose();
        _stream.Dispose();
    }

    private void Begin(long step)
    {
        _buffer.ResetWrittenCount();
        _json.Reset();
        _json.WriteStartObject();
        _json.WriteNumber(MetricsNames.Step, step);
    }

    private void Number(JsonEncodedText name, double value)
    {
        if (double.IsFinite(value))
            _json.WriteNumber(name, value);
        else
            _json.WriteString(name, double.IsNaN(value) ? MetricsNames.NaN : value > 0 ? MetricsNames.Infinity : MetricsNames.NegativeInfinity);
    }

    private void Known(JsonEncodedText name, double value)
    {
        if (!double.IsNaN(value))
            Number(name, value);
    }

    private void End()
    {
        _json.WriteEndObject();
        _json.Flush();
        _buffer.Write("\n"u8);
        try
        {
            _stream.Write(_buffer.WrittenSpan);
        }
        catch (IOException exception)
        {
            throw Failed(exception);
        }
    }

    private RunFailedException Failed(IOException exception) =>
        new($"{_stream.Name} could not be written: {exception.Message}\nCheckpoints written before are complete; make room and continue with --resume.", exception);
}
