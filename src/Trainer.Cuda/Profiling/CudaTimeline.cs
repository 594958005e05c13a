using Trainer.Compute;
using Trainer.Cuda.Kernels;
using Trainer.Profiling;

namespace Trainer.Cuda.Profiling;

/// <summary>
/// Times kernels, products of libraries, copies and fills on the GPU, each by an event before and one after it. Meanwhile a step ends with single
/// launches instead of its graph.
/// </summary>
/// <remarks>
/// Events have a resolution of about half a microsecond, and keep a kernel from beginning while the one before it ends; so the times add up to a little
/// more than a step takes without them. A kernel that the device waits for, because the host is slower, seems to last as long as the waiting.
/// </remarks>
/// <param name="backend">The device; nobody else observes its launches meanwhile.</param>
/// <param name="clock">The clock of the profile.</param>
/// <param name="host">Knows the operation that a launch is for, whose sizes it gets.</param>
public sealed class CudaTimeline(CudaBackend backend, ProfileClock clock, HostTimeline host) : IDeviceTimeline, ILaunchObserver, IDisposable
{
    private readonly CudaContext _context = backend.Context;
    private readonly List<nint> _events = [];
    private readonly List<OperationCost> _costs = [];
    private nint _origin;
    private double _begun;

    /// <inheritdoc/>
    public void Begin()
    {
        _costs.Clear();
        _context.Synchronize();
        if (_origin == 0)
            _origin = Driver.CreateEvent(timing: true);

        // On an idle stream the event happens at once: here the two clocks meet.
        _begun = clock.Now;
        Driver.RecordEvent(_origin, _context.Stream);
        Driver.SynchronizeEvent(_origin);
        backend.LaunchObserver = this;
    }

    /// <inheritdoc/>
    public IReadOnlyList<TimedOperation> End()
    {
        backend.LaunchObserver = null;
        _context.Synchronize();
        var operations = new TimedOperation[_costs.Count];
        double free = _begun;
        for (int i = 0; i < operations.Length; i++)
        {
            // Differences of events are rounded: without the maximum, an operation could begin before the end of the one before it.
            double start = Math.Max(free, _begun + Seconds(_origin, _events[2 * i]));
            operations[i] = new TimedOperation(_costs[i], start, Seconds(_events[2 * i], _events[(2 * i) + 1]));
            free = operations[i].End;
        }

        return operations;
    }

    /// <inheritdoc/>
    void ILaunchObserver.Before(in KernelLaunch launch) => Record(2 * _costs.Count);

    /// <inheritdoc/>
    void ILaunchObserver.After(in KernelLaunch launch)
    {
        Record((2 * _costs.Count) + 1);
        _costs.Add(new OperationCost(launch.Kernel, host.Current.Sizes, launch.Bytes, launch.Flops));
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        backend.LaunchObserver = null;
        foreach (nint recorded in _events)
            _context.Quietly(() => Driver.DestroyEvent(recorded));
        _events.Clear();
        if (_origin != 0)
            _context.Quietly(() => Driver.DestroyEvent(_origin));
        _origin = 0;
    }

    private static double Seconds(nint start, nint end) => Driver.ElapsedMilliseconds(start, end) / 1e3;

    // Events are made when one more is needed than ever before, and used again in the next step.
    private void Record(int index)
    {
        if (index == _events.Count)
            _events.Add(Driver.CreateEvent(timing: true));
        Driver.RecordEvent(_events[index], _context.Stream);
    }
}
