using System.Diagnostics;
using System.Runtime.CompilerServices;
using System.Runtime.ExceptionServices;

namespace Trainer.Cpu;

/// <summary>One piece of work that a <see cref="ThreadTeam"/> divides: a struct of pointers and sizes, run once for each item.</summary>
internal interface ITeamJob
{
    /// <summary>Does one item.</summary>
    /// <param name="item">The item, from 0.</param>
    /// <param name="worker">Which thread does it, from 0: the index of its scratch memory.</param>
    void Run(int item, int worker);
}

/// <summary>
/// A fixed team of threads that share out the items of one job at a time. Which thread does which item is left to chance; therefore an
/// item's result must not depend on it, and every reduction over items is made afterwards, in order. Nothing is allocated per job.
/// </summary>
/// <remarks>
/// A job is over when its items are done, not when every thread has seen it: on a machine that others use too, a thread may get no
/// processor for longer than the job takes, and then the others do its share. The ticket makes that safe: an item is claimed by an
/// exchange that fails once the generation has moved on, and the job's fields stay as they are while a claimed item is not done.
/// </remarks>
internal sealed unsafe class ThreadTeam : IDisposable
{
    /// <summary>
    /// How long an idle thread spins before it sleeps: longer than what comes between two operations of a step, or between steps. On two
    /// cores, products that followed a sleep ran for up to some tenths of a second as if on one; with threads bound to processors they did not.
    /// </summary>
    private static readonly long SpinTicks = Stopwatch.Frequency / 50;

    private readonly Thread[] _threads;
    private readonly SemaphoreSlim _wake = new(0);
    private readonly Lock _sleepers = new();
    private delegate*<void*, int, int, void> _run;
    private void* _job;
    private int _items;
    private int _unfinished;
    private int _asleep;

    /// <summary>The generation of the job in the upper half, the number of its items not yet claimed in the lower.</summary>
    private long _ticket;
    private volatile bool _stop;
    private ExceptionDispatchInfo? _failure;

    public ThreadTeam(int threads)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(threads, 1);
        Threads = threads;
        _threads = new Thread[threads - 1];
        for (int i = 0; i < _threads.Length; i++)
        {
            int worker = i + 1;
            _threads[i] = new Thread(() => Work(worker)) { IsBackground = true, Name = $"trainer cpu {worker}" };
            _threads[i].Start();
        }
    }

    /// <summary>The number of threads, the caller's included.</summary>
    public int Threads { get; }

    /// <summary>
    /// Runs a job's items on all threads and returns when all are done. If one throws, no more are begun, and the exception is thrown
    /// here once no thread is at work on the job any more.
    /// </summary>
    public void Run<TJob>(TJob job, int items)
        where TJob : struct, ITeamJob
    {
        if (items <= 1 || Threads == 1)
        {
            for (int item = 0; item < items; item++)
                job.Run(item, 0);
            return;
        }

        _run = &Trampoline<TJob>;
        _job = Unsafe.AsPointer(ref job);
        _items = items;
        _unfinished = items;
        Publish(items);
        TakeItems(0);
        var spin = default(SpinWait);
        while (Volatile.Read(ref _unfinished) > 0)
            spin.SpinOnce(sleep1Threshold: -1);
        if (_failure is { } failure)
        {
            _failure = null;
            failure.Throw();
        }
    }

    public void Dispose()
    {
        _stop = true;
        Publish(0);
        foreach (var thread in _threads)
            thread.Join();
        _wake.Dispose();
    }

    private static void Trampoline<TJob>(void* job, int item, int worker)
        where TJob : struct, ITeamJob => Unsafe.AsRef<TJob>(job).Run(item, worker);

    private static int Generation(long ticket) => (int)(ticket >> 32);

    /// <summary>Begins the next generation and wakes whoever sleeps.</summary>
    private void Publish(int items)
    {
        Volatile.Write(ref _ticket, ((long)(Generation(_ticket) + 1) << 32) | (uint)items);
        lock (_sleepers)
        {
            if (_asleep > 0)
                _wake.Release(_asleep);
            _asleep = 0;
        }
    }

    private void Work(int worker)
    {
        int seen = 0;
        while (true)
        {
            Await(seen);
            seen = Generation(Volatile.Read(ref _ticket));
            if (_stop)
                return;
            TakeItems(worker);
        }
    }

    private void Await(int seen)
    {
        long end = Stopwatch.GetTimestamp() + SpinTicks;
        while (Stopwatch.GetTimestamp() < end)
        {
            if (Generation(Volatile.Read(ref _ticket)) != seen)
                return;
            Thread.SpinWait(10);
        }

        lock (_sleepers)
        {
            if (Generation(Volatile.Read(ref _ticket)) != seen)
                return;
            _asleep++;
        }

        _wake.Wait();
    }

    private void TakeItems(int worker)
    {
        long ticket;
        while ((int)(ticket = Volatile.Read(ref _ticket)) != 0)
        {
            if (Interlocked.CompareExchange(ref _ticket, ticket - 1, ticket) != ticket)
                continue;
            try
            {
                if (Volatile.Read(ref _failure) == null)
                    _run(_job, _items - (int)ticket, worker);
            }
            catch (Exception exception)
            {
                // On a worker it would end the process; on the caller's thread it would leave the job, which lies on the caller's stack,
                // while workers still use it.
                Interlocked.CompareExchange(ref _failure, ExceptionDispatchInfo.Capture(exception), null);
            }

            Interlocked.Decrement(ref _unfinished);
        }
    }
}
