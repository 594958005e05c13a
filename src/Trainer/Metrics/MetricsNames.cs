using System.Text.Json;

namespace Trainer.Metrics;

/// <summary>The names in <c>metrics.jsonl</c>, encoded once.</summary>
internal static class MetricsNames
{
    public static readonly JsonEncodedText Step = JsonEncodedText.Encode("step");
    public static readonly JsonEncodedText Loss = JsonEncodedText.Encode("loss");
    public static readonly JsonEncodedText LearningRate = JsonEncodedText.Encode("lr");
    public static readonly JsonEncodedText GradientNorm = JsonEncodedText.Encode("gradNorm");
    public static readonly JsonEncodedText WeightNorm = JsonEncodedText.Encode("weightNorm");
    public static readonly JsonEncodedText NormRatio = JsonEncodedText.Encode("normRatio");
    public static readonly JsonEncodedText UpdateRatio = JsonEncodedText.Encode("updateRatio");
    public static readonly JsonEncodedText Angle = JsonEncodedText.Encode("angle");
    public static readonly JsonEncodedText TargetGap = JsonEncodedText.Encode("targetGap");
    public static readonly JsonEncodedText LostUpdates = JsonEncodedText.Encode("lostUpdates");
    public static readonly JsonEncodedText StepMilliseconds = JsonEncodedText.Encode("stepMs");
    public static readonly JsonEncodedText TokensPerSecond = JsonEncodedText.Encode("tokensPerSecond");
    public static readonly JsonEncodedText ValidationLoss = JsonEncodedText.Encode("valLoss");
    public static readonly JsonEncodedText TrainLoss = JsonEncodedText.Encode("trainLoss");
    public static readonly JsonEncodedText NaN = JsonEncodedText.Encode("NaN");
    public static readonly JsonEncodedText Infinity = JsonEncodedText.Encode("Infinity");
    public static readonly JsonEncodedText NegativeInfinity = JsonEncodedText.Encode("-Infinity");
}
