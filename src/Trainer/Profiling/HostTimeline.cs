using Trainer.Compute;

namespace Trainer.Profiling;

/// <summary>
/// Times the calls of a backend's operations on the host. On a CPU these are the operations themselves; of a device that works on its own, the time
/// that it takes to ask for them.
/// </summary>
/// <param name="backend">The backend; nobody else observes it meanwhile.</param>
/// <param name="clock">The clock of the profile.</param>
/// <param name="next">Is told of the operations too, outside of what is timed; or null.</param>
public sealed class HostTimeline(IBackend backend, ProfileClock clock, IOperationObserver? next = null) : IDeviceTimeline, IOperationObserver
{
    private readonly List<TimedOperation> _operations = [];
    private OperationCost _cost;
    private double _start;

    /// <summary>The operation whose call has not yet returned; the default value if none.</summary>
    public OperationCost Current => _cost;

    /// <inheritdoc/>
    public void Begin()
    {
        _operations.Clear();
        backend.Synchronize();
        backend.Observer = this;
    }

    /// <inheritdoc/>
    public IReadOnlyList<TimedOperation> End()
    {
        backend.Observer = null;
        backend.Synchronize();
        return [.. _operations];
    }

    /// <inheritdoc/>
    public void Before(in OperationCost cost)
    {
        next?.Before(cost);
        _cost = cost;
        _start = clock.Now;
    }

    /// <inheritdoc/>
    public void After()
    {
        _operations.Add(new TimedOperation(_cost, _start, clock.Now - _start));
        _cost = default;
        next?.After();
    }
}
