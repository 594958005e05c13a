namespace Trainer.Tests.Cli;

/// <summary>A clock that a test moves.</summary>
internal sealed class SteppedClock : TimeProvider
{
    private long _milliseconds = 1_000_000;

    public override long TimestampFrequency => 1000;

    public override long GetTimestamp() => _milliseconds;

    public void Advance(double seconds) => _milliseconds += (long)(1000 * seconds);
}
