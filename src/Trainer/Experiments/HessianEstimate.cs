namespace Trainer.Experiments;

/// <summary>What <see cref="HessianTrace"/> found.</summary>
/// <param name="Trace">The mean of zᵀHz over the probes.</param>
/// <param name="StandardError">Of <paramref name="Trace"/>, from the spread over the probes: of the random probes alone, not of rounding.</param>
/// <param name="NormalizedTrace">Trace · |θ|² / C, which for a scale-invariant loss does not depend on |θ|.</param>
/// <param name="TopEigenvalue">The eigenvalue of largest magnitude, as far as the power iteration came; NaN without one.</param>
public readonly record struct HessianEstimate(double Trace, double StandardError, double NormalizedTrace, double TopEigenvalue);
