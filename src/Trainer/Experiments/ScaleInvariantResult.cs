namespace Trainer.Experiments;

/// <summary>Averages over the second half of the steps of a <see cref="ScaleInvariantToy"/>.</summary>
/// <param name="Loss">The mean loss of the batches, in nats.</param>
/// <param name="SquaredNorm">The mean of |w|².</param>
/// <param name="EffectiveRate">The mean of η / |w|².</param>
/// <param name="Angle">The root mean square of the angle of a step, in radians.</param>
/// <param name="FinalNorm">|w| after the last step.</param>
/// <param name="NormRatio"><paramref name="FinalNorm"/> over |w| at the start.</param>
/// <param name="SquaredNormToTheory">|w|² / √(η/λ), the same for all η and λ in equilibrium; NaN without decay.</param>
/// <param name="EffectiveRateToTheory">(η / |w|²) / √(η λ), the same for all η and λ in equilibrium; NaN without decay.</param>
/// <param name="AngleToTheory">angle / √(2 η λ), 1 in equilibrium; NaN without decay.</param>
/// <param name="GrowthExponent">
/// p of |w|² ∝ t^p, by least squares of log |w|² on log t over the last nine tenths of the steps, at points evenly apart in log t: 1/2 without
/// decay (spiral-out), 0 in equilibrium.
/// </param>
public sealed record ScaleInvariantResult(
    double Loss,
    double SquaredNorm,
    double EffectiveRate,
    double Angle,
    double FinalNorm,
    double NormRatio,
    double SquaredNormToTheory,
    double EffectiveRateToTheory,
    double AngleToTheory,
    double GrowthExponent);
