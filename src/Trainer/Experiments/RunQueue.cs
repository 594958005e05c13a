namespace Trainer.Experiments;

/// <summary>The runs of an experiment, handed out to several threads: each after those of its seed that it builds on.</summary>
/// <param name="runs">All runs.</param>
internal sealed class RunQueue(IEnumerable<(Arm Arm, ulong Seed)> runs)
{
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(0.2);

    private readonly object _lock = new();
    private readonly List<(Arm Arm, ulong Seed)> _waiting = [.. runs];
    private readonly HashSet<(string Arm, ulong Seed)> _finished = [];
    private int _running;

    /// <summary>All runs.</summary>
    public int Total
    {
        get
        {
            lock (_lock)
                return _waiting.Count + _running + _finished.Count;
        }
    }

    /// <summary>The runs that are finished.</summary>
    public int Finished
    {
        get
        {
            lock (_lock)
                return _finished.Count;
        }
    }

    /// <summary>Takes the next run that can begin, and waits for it; null when there are no more.</summary>
    /// <exception cref="OperationCanceledException">It was stopped.</exception>
    public (Arm Arm, ulong Seed)? Next(CancellationToken stop)
    {
        lock (_lock)
        {
            while (true)
            {
                stop.ThrowIfCancellationRequested();
                if (_waiting.Count == 0)
                    return null;
                int ready = _waiting.FindIndex(run => run.Arm.After.All(before => _finished.Contains((before, run.Seed))));
                if (ready >= 0)
                {
                    (Arm, ulong) run = _waiting[ready];
                    _waiting.RemoveAt(ready);
                    _running++;
                    return run;
                }

                Monitor.Wait(_lock, Patience);
            }
        }
    }

    /// <summary>Lets runs begin that waited for this one.</summary>
    public void Done(Arm arm, ulong seed)
    {
        lock (_lock)
        {
            _running--;
            _finished.Add((arm.Name, seed));
            Monitor.PulseAll(_lock);
        }
    }
}
