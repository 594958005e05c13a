namespace Trainer.Optimization;

/// <summary>
/// Where weight decay and weight norm control leave the weights, for suggestions and readouts. The estimates treat a step of Adam as
/// a random walk orthogonal to the weights (Kosson et al. 2023; Wang and Aitchison 2024): scales, not laws.
/// </summary>
public static class Equilibrium
{
    /// <summary>Λ = λ α steps of decay 13.a, the number that has to stay the same when a run is made shorter.</summary>
    public static double TotalDecay(double weightDecay, double learningRate, long steps) => weightDecay * learningRate * steps;

    /// <summary>λ of decay-decoupled (13.b) that is as strong as λ of decay (13.a) at this peak learning rate.</summary>
    public static double Decoupled(double weightDecay, double learningRate) => weightDecay * learningRate;

    /// <summary>The root mean square of a weight that decay 13.a ends at when the learning rate stays as it is: √(α / 2λ).</summary>
    public static double DecayRms(double weightDecay, double learningRate) => Math.Sqrt(learningRate / (2 * weightDecay));

    /// <summary>The steps over which decay 13.a forgets: 1 / (α λ).</summary>
    public static double DecayTime(double weightDecay, double learningRate) => 1 / (learningRate * weightDecay);

    /// <summary>How far above its target norm control holds the norm, relative to the target: (α / RMS)² / 2k.</summary>
    /// <param name="learningRate">The learning rate of the step.</param>
    /// <param name="targetRms">The root mean square of a weight at the target norm.</param>
    /// <param name="rate">k.</param>
    public static double NormOffset(double learningRate, double targetRms, double rate) => Math.Pow(learningRate / targetRms, 2) / (2 * rate);
}
