using System.Text.Json;

namespace Trainer.Metrics;

/// <summary>One line of <c>metrics.jsonl</c>: the metrics of a step, those of an evaluation, or diagnostics, which only their names tell apart.</summary>
/// <param name="Step">The step.</param>
/// <param name="Training">The metrics of a step, or none.</param>
/// <param name="Evaluation">The metrics of an evaluation, or none.</param>
public readonly record struct MetricsLine(long Step, StepMetrics? Training, EvaluationMetrics? Evaluation);

/// <summary>Reads <c>metrics.jsonl</c> line by line. A torn last line, without its line feed, is left out; names it does not know are skipped.</summary>
public static class MetricsReader
{
    /// <summary>The lines of a file, in order, also while a run is writing it.</summary>
    /// <exception cref="RequestException">The file is missing, or a line is no metrics; thrown as that line is reached.</exception>
    public static IEnumerable<MetricsLine> Read(string path)
    {
        foreach ((MetricsLine line, long _) in ReadWithOffsets(path))
            yield return line;
    }

    /// <summary>The length of the part of a file that belongs to steps up to and including one.</summary>
    internal static long EndOfStep(string path, long step)
    {
        long end = 0;
        foreach ((MetricsLine line, long lineEnd) in ReadWithOffsets(path))
        {
            if (line.Step > step)
                break;
            end = lineEnd;
        }

        return end;
    }

    private static IEnumerable<(MetricsLine Line, long End)> ReadWithOffsets(string path)
    {
        using FileStream stream = OpenForReading(path);
        var buffer = new byte[1 << 16];
        int filled = 0;
        long offset = 0;
        long number = 0;
        while (true)
        {
            int read = stream.Read(buffer, filled, buffer.Length - filled);
            if (read == 0)
                yield break;
            filled += read;
            int start = 0;
            for (int length; (length = buffer.AsSpan(start, filled - start).IndexOf((byte)'\n')) >= 0; start += length + 1)
            {
                number++;
                yield return (Parse(path, number, buffer.AsSpan(start, length)), offset + start + length + 1);
            }

            buffer.AsSpan(start, filled - start).CopyTo(buffer);
            offset += start;
            filled -= start;
            if (filled == buffer.Length)
                throw new RequestException($"{path}, line {number + 1}: longer than {buffer.Length} bytes; not the metrics of a run.");
        }
    }

    private static FileStream OpenForReading(string path)
    {
        try
        {
            return new FileStream(path, FileMode.Open, FileAccess.Read, FileShare.ReadWrite, bufferSize: 0);
        }
        catch (Exception exception) when (exception is IOException or UnauthorizedAccessException)
        {
            throw new RequestException($"{path}: cannot be read: {exception.Message}", exception);
        }
    }

    private static MetricsLine Parse(string path, long number, ReadOnlySpan<byte> line)
    {
        try
        {
            return Parse(line);
        }
        catch (Exception exception) when (exception is JsonException or FormatException or InvalidOperationException)
        {
            throw new RequestException($"{path}, line {number}: not the metrics of a run: {JsonReason.Of(exception)}", exception);
        }
    }

    private static MetricsLine Parse(ReadOnlySpan<byte> line)
    {
        var step = new StepMetrics(-1, double.NaN, double.NaN, double.NaN, double.NaN, double.NaN, double.NaN, double.NaN);
        var evaluation = new EvaluationMetrics(-1, double.NaN, double.NaN);
        bool isStep = false, isEvaluation = false;
        var json = new Utf8JsonReader(line);
        Expect(json.Read() && json.TokenType == JsonTokenType.StartObject);
        while (json.Read() && json.TokenType == JsonTokenType.PropertyName)
        {
            if (Is(ref json, MetricsNames.Step))
                step = step with { Step = json.GetInt64() };
            else if (Is(ref json, MetricsNames.Loss))
                (step, isStep) = (step with { Loss = Value(ref json) }, true);
            else if (Is(ref json, MetricsNames.LearningRate))
                step = step with { LearningRate = Value(ref json) };
            else if (Is(ref json, MetricsNames.GradientNorm))
                step = step with { GradientNorm = Value(ref json) };
            else if (Is(ref json, MetricsNames.WeightNorm))
                step = step with { WeightNorm = Value(ref json) };
            else if (Is(ref json, MetricsNames.NormRatio))
                step = step with { NormRatio = Value(ref json) };
            else if (Is(ref json, MetricsNames.UpdateRatio))
                step = step with { UpdateRatio = Value(ref json) };
            else if (Is(ref json, MetricsNames.Angle))
                step = step with { Angle = Value(ref json) };
            else if (Is(ref json, MetricsNames.TargetGap))
                step = step with { TargetGap = Value(ref json) };
            else if (Is(ref json, MetricsNames.LostUpdates))
                step = step with { LostUpdates = Value(ref json) };
            else if (Is(ref json, MetricsNames.StepMilliseconds))
                step = step with { StepMilliseconds = Value(ref json) };
            else if (Is(ref json, MetricsNames.TokensPerSecond))
                step = step with { TokensPerSecond = Value(ref json) };
            else if (Is(ref json, MetricsNames.ValidationLoss))
                (evaluation, isEvaluation) = (evaluation with { ValidationLoss = Value(ref json) }, true);
            else if (Is(ref json, MetricsNames.TrainLoss))
                evaluation = evaluation with { TrainLoss = Value(ref json) };
            else
                json.Skip();
        }

        Expect(json.TokenType == JsonTokenType.EndObject && !json.Read() && step.Step >= 0 && !(isStep && isEvaluation));
        return new MetricsLine(step.Step, isStep ? step : null, isEvaluation ? evaluation with { Step = step.Step } : null);
    }

    private static bool Is(ref Utf8JsonReader json, JsonEncodedText name) => json.ValueTextEquals(name.EncodedUtf8Bytes) && json.Read();

    private static double Value(ref Utf8JsonReader json)
    {
        if (json.TokenType == JsonTokenType.Number)
            return json.GetDouble();
        return json.ValueTextEquals(MetricsNames.NaN.EncodedUtf8Bytes) ? double.NaN
            : json.ValueTextEquals(MetricsNames.Infinity.EncodedUtf8Bytes) ? double.PositiveInfinity
            : json.ValueTextEquals(MetricsNames.NegativeInfinity.EncodedUtf8Bytes) ? double.NegativeInfinity
            : throw new FormatException("a value is neither a number nor \"NaN\", \"Infinity\" or \"-Infinity\"");
    }

    private static void Expect(bool condition)
    {
        if (!condition)
            throw new FormatException("expected one object with \"step\" and not both \"loss\" and \"valLoss\"");
    }
}
