using System.Runtime.CompilerServices;
using Trainer.Cpu;

namespace Trainer.Tests.Cpu;

public sealed unsafe class ThreadTeamTests
{
    [TestCase(1)]
    [TestCase(2)]
    [TestCase(3)]
    [TestCase(5)]
    public void Every_item_runs_exactly_once(int threads)
    {
        using var team = new ThreadTeam(threads);
        for (int items = 0; items < 100; items++)
        {
            var counts = new int[items];
            fixed (int* pinned = counts)
                team.Run(new CountJob { Counts = pinned, Threads = threads }, items);
            Assert.That(counts, Is.All.EqualTo(1), $"{items} items");
        }
    }

    [Test]
    public void Many_tiny_jobs_lose_nothing()
    {
        const int jobs = 100_000, items = 3;
        using var team = new ThreadTeam(2);
        var counts = new int[items];
        fixed (int* pinned = counts)
        {
            for (int i = 0; i < jobs; i++)
                team.Run(new CountJob { Counts = pinned, Threads = 2 }, items);
        }

        Assert.That(counts, Is.All.EqualTo(jobs));
    }

    [Test]
    public void A_job_sees_what_the_caller_wrote_and_the_caller_what_the_job_wrote()
    {
        // Plain memory and no locks: only the hand-over orders the accesses.
        const int items = 8;
        using var team = new ThreadTeam(2);
        var values = new int[items];
        fixed (int* pinned = values)
        {
            for (int round = 1; round <= 5_000; round++)
            {
                team.Run(new IncrementJob { Values = pinned, Expected = round - 1 }, items);
                for (int i = 0; i < items; i++)
                {
                    if (pinned[i] != round)
                        Assert.Fail($"item {i} is {pinned[i]} in round {round}");
                }
            }
        }
    }

    [TestCase(1)]
    [TestCase(2)]
    [TestCase(3)]
    public void A_failure_reaches_the_caller_and_the_team_stays_usable(int threads)
    {
        using var team = new ThreadTeam(threads);
        const int items = 64;
        for (int round = 0; round < 64; round++)
        {
            int finished = 0;
            var job = new FailingJob { Finished = &finished, FailAt = round % items };
            var failure = Assert.Catch(() => team.Run(job, items))!;
            Assert.That(failure, Is.TypeOf<TimeoutException>().With.Message.EqualTo("item"));

            // No thread may still be at work on a job whose caller has gone on.
            int then = Volatile.Read(ref finished);
            Thread.SpinWait(100);
            Assert.That(Volatile.Read(ref finished), Is.EqualTo(then));
            Assert.That(then, Is.LessThan(items));

            var counts = new int[items];
            fixed (int* pinned = counts)
                team.Run(new CountJob { Counts = pinned, Threads = threads }, items);
            Assert.That(counts, Is.All.EqualTo(1));
        }
    }

    [Test]
    public void A_failure_of_one_thread_waits_for_the_others()
    {
        using var team = new ThreadTeam(2);
        for (int failing = 0; failing < 2; failing++)
        {
            int started = 0, finished = 0;
            var job = new SlowFailingJob { Started = &started, Finished = &finished, FailAtWorker = failing };
            Assert.Catch<TimeoutException>(() => team.Run(job, 2));
            Assert.That(Volatile.Read(ref finished), Is.EqualTo(1), $"worker {failing} failed");
        }
    }

    [Test]
    public void Disposing_works_at_once_after_work_and_asleep()
    {
        for (int i = 0; i < 20; i++)
        {
            new ThreadTeam(3).Dispose();
            int count = 0;
            var worked = new ThreadTeam(3);
            worked.Run(new CountAllJob { Count = &count }, 10);
            worked.Dispose();
            Assert.That(count, Is.EqualTo(10));
        }

        int woken = 0;
        var slept = new ThreadTeam(3);
        Thread.Sleep(100);
        slept.Run(new CountAllJob { Count = &woken }, 10);
        Thread.Sleep(100);
        slept.Dispose();
        Assert.That(woken, Is.EqualTo(10));
    }

    [Test]
    public void A_team_has_at_least_one_thread() => Assert.Throws<ArgumentOutOfRangeException>(() => new ThreadTeam(0).Dispose());

    private struct CountJob : ITeamJob
    {
        public required int* Counts;
        public required int Threads;

        public readonly void Run(int item, int worker)
        {
            if (worker < 0 || worker >= Threads)
                throw new InvalidOperationException($"worker {worker} of {Threads}");
            Interlocked.Increment(ref Counts[item]);
        }
    }

    private struct CountAllJob : ITeamJob
    {
        public required int* Count;

        public readonly void Run(int item, int worker) => Interlocked.Increment(ref *Count);
    }

    private struct IncrementJob : ITeamJob
    {
        public required int* Values;
        public required int Expected;

        public readonly void Run(int item, int worker) => Values[item] = Values[item] == Expected ? Expected + 1 : int.MinValue;
    }

    private struct FailingJob : ITeamJob
    {
        public required int* Finished;
        public required int FailAt;

        public readonly void Run(int item, int worker)
        {
            if (item == FailAt)
                Throw();
            Interlocked.Increment(ref *Finished);
        }
    }

    /// <summary>Each of two threads takes one item; one throws at once, the other is still busy then.</summary>
    private struct SlowFailingJob : ITeamJob
    {
        public required int* Started, Finished;
        public required int FailAtWorker;

        public readonly void Run(int item, int worker)
        {
            Interlocked.Increment(ref *Started);
            while (Volatile.Read(ref *Started) < 2)
                Thread.Yield();
            if (worker == FailAtWorker)
                Throw();
            Thread.Sleep(50);
            Interlocked.Increment(ref *Finished);
        }
    }

    [MethodImpl(MethodImplOptions.NoInlining)]
    private static void Throw() => throw new TimeoutException("item");
}
