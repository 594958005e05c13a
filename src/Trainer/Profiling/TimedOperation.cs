using Trainer.Compute;

namespace Trainer.Profiling;

/// <summary>An operation and when it ran.</summary>
/// <param name="Cost">Which, and what it costs at least.</param>
/// <param name="Start">When it began, in seconds of the profile's clock.</param>
/// <param name="Seconds">How long it took.</param>
public readonly record struct TimedOperation(OperationCost Cost, double Start, double Seconds)
{
    /// <summary>When it ended, in seconds of the profile's clock.</summary>
    public double End => Start + Seconds;
}
