using System.Diagnostics;

namespace Trainer.Profiling;

/// <summary>The clock of a profile: seconds since it was started.</summary>
public sealed class ProfileClock
{
    private readonly long _origin = Stopwatch.GetTimestamp();

    /// <summary>The seconds so far.</summary>
    public double Now => Stopwatch.GetElapsedTime(_origin).TotalSeconds;
}
