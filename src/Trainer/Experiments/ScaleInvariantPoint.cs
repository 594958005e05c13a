namespace Trainer.Experiments;

/// <summary>What a <see cref="ScaleInvariantToy"/> did since the point before.</summary>
/// <param name="Step">The last step that counts, from 1.</param>
/// <param name="Loss">The mean loss of the batches, each before its update, in nats.</param>
/// <param name="SquaredNorm">|w|² after the step.</param>
/// <param name="EffectiveRate">η / |w|² after the step: what SGD's rate amounts to on the unit sphere (Labatie).</param>
/// <param name="Angle">The root mean square of the angles between the weights before and after each step, in radians.</param>
public readonly record struct ScaleInvariantPoint(long Step, double Loss, double SquaredNorm, double EffectiveRate, double Angle);
