namespace Trainer.Profiling;

/// <summary>Times what a device does, operation by operation.</summary>
public interface IDeviceTimeline
{
    /// <summary>Begins to time operations, when the device has nothing left to do.</summary>
    void Begin();

    /// <summary>Waits for the device, and times no more.</summary>
    /// <returns>The operations since <see cref="Begin"/>, in the order in which they ran.</returns>
    IReadOnlyList<TimedOperation> End();
}
