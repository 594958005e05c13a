using System.Text.Json;
using Trainer.Optimization;

namespace Trainer.Checkpoints;

/// <summary>
/// <c>state.json</c>. It has neither times nor paths, so that equal runs write equal bytes; numbers are written with the fewest digits
/// that give the same bits back.
/// </summary>
internal static class CheckpointStateFile
{
    public const int FormatVersion = 1;

    public static void Write(Stream stream, CheckpointState state)
    {
        using var json = new Utf8JsonWriter(stream, JsonLayout.Indented);
        json.WriteStartObject();
        json.WriteNumber("formatVersion", FormatVersion);
        json.WriteNumber("step", state.Optimizer.Step);
        json.WriteNumber("tokens", state.Progress.Tokens);
        json.WriteNumber("dataPosition", state.Progress.DataPosition);
        json.WriteNumber("seed", state.Progress.Seed);
        if (state.Progress.BestValidationLoss is { } loss)
        {
            json.WriteNumber("bestValidationLoss", loss);
            json.WriteNumber("bestStep", state.Progress.BestStep);
        }

        WriteNumbers(json, "initialSumsOfSquares", state.Optimizer.InitialSumsOfSquares);
        WriteNumbers(json, "sumsOfSquares", state.Optimizer.SumsOfSquares);
        if (state.Optimizer.RuleState.Count > 0)
        {
            json.WriteString("rule", state.Optimizer.Rule);
            WriteNumbers(json, "ruleState", state.Optimizer.RuleState);
        }

        json.WriteEndObject();
        json.Flush();
    }

    /// <exception cref="RequestException">The file is not what <see cref="Write"/> writes.</exception>
    public static CheckpointState Read(string path)
    {
        try
        {
            using JsonDocument document = JsonDocument.Parse(File.ReadAllBytes(path));
            JsonElement root = document.RootElement;
            int version = root.GetProperty("formatVersion").GetInt32();
            if (version != FormatVersion)
                throw new RequestException($"{path}: expected format version {FormatVersion}, but found {version}.");
            bool hasBest = root.TryGetProperty("bestValidationLoss", out JsonElement best);
            return new CheckpointState(
                new TrainingProgress(
                    root.GetProperty("tokens").GetInt64(),
                    root.GetProperty("dataPosition").GetInt64(),
                    root.GetProperty("seed").GetUInt64(),
                    hasBest ? best.GetDouble() : null,
                    hasBest ? root.GetProperty("bestStep").GetInt64() : 0),
                new OptimizerState(
                    root.GetProperty("step").GetInt64(),
                    ReadNumbers(root.GetProperty("initialSumsOfSquares")),
                    ReadNumbers(root.GetProperty("sumsOfSquares")))
                {
                    Rule = root.TryGetProperty("rule", out JsonElement rule) ? rule.GetString()! : string.Empty,
                    RuleState = root.TryGetProperty("ruleState", out JsonElement ruleState) ? ReadNumbers(ruleState) : [],
                });
        }
        catch (Exception exception) when (exception is JsonException or KeyNotFoundException or FormatException or InvalidOperationException)
        {
            throw new RequestException($"{path}: not the state of a checkpoint: {JsonReason.Of(exception)}", exception);
        }
    }

    private static void WriteNumbers(Utf8JsonWriter json, string name, IReadOnlyList<double> values)
    {
        json.WriteStartArray(name);
        foreach (double value in values)
            json.WriteNumberValue(value);
        json.WriteEndArray();
    }

    private static double[] ReadNumbers(JsonElement array) => [.. array.EnumerateArray().Select(value => value.GetDouble())];
}
