using System.Runtime.InteropServices;
using static Trainer.Tests.Cuda.SimulatedCuda;

namespace Trainer.Tests.Cuda;

/// <summary>The simulated driver: when work runs, and what waits for what.</summary>
internal sealed class DriverSimulatorStreamTests : SimulatedDriverFixture
{
    [Test]
    public void Eager_work_runs_at_once_and_lazy_work_when_somebody_waits()
    {
        ulong memory = Allocate(4);
        SetLazy(true);
        Check(Fill(memory, 1, 1, Stream));
        Assert.That(Peek(memory), Is.EqualTo(Poison), "a copy of the default stream does not wait for a stream that does not block");
        Check(Synchronize(Stream));
        Assert.That(Peek(memory), Is.EqualTo(1));
        SetLazy(false);
        Check(Fill(memory, 2, 1, Stream));
        Assert.That(Peek(memory), Is.EqualTo(2));
    }

    [Test]
    public void Lazy_kernels_take_their_arguments_with_them()
    {
        ulong y = Put(0f), x = Put(1f);
        SetLazy(true);
        for (int i = 1; i <= 3; i++)
            Check(Axpy(y, x, i, 1, Stream));
        Assert.That(ExecutedKernels, Is.Zero);
        Check(SynchronizeContext());
        Assert.That(Get<float>(y, 1), Is.EqualTo(new[] { 6f }));
    }

    [Test]
    public unsafe void Pinned_memory_is_read_when_the_copy_runs_and_other_memory_before_the_call_returns()
    {
        ulong fromPinned = Allocate(4), fromOther = Allocate(4);
        Check(AllocateHost(out nint pinned, 4));
        nint other = Marshal.AllocHGlobal(4);
        SetLazy(true);
        *(int*)pinned = *(int*)other = 1;
        Check(ToDevice(fromPinned, pinned, 4, Stream));
        Check(ToDevice(fromOther, other, 4, Stream));
        *(int*)pinned = *(int*)other = 2;
        Check(Synchronize(Stream));
        Assert.That((Peek(fromPinned), Peek(fromOther)), Is.EqualTo((2u, 1u)));

        Check(ToHost(pinned, fromOther, 4, Stream));
        Assert.That(*(int*)pinned, Is.EqualTo(2), "nobody has waited");
        Check(ToHost(other, fromPinned, 4, Stream));
        Assert.That((*(int*)pinned, *(int*)other), Is.EqualTo((1, 2)), "a copy to memory that is not pinned waits for itself");
        Assert.That(UnpinnedCopies, Is.EqualTo(2));
        Marshal.FreeHGlobal(other);
    }

    [Test]
    public void Streams_wait_only_for_events()
    {
        ulong from = Put(5), without = Allocate(4), with = Allocate(4);
        Check(CreateStream(out nint second));
        Check(CreateEvent(out nint e));
        SetLazy(true);
        Check(Fill(from, 6, 1, Stream));
        Check(OnDevice(without, from, 4, second));
        Check(Synchronize(second));
        Assert.That(Peek(without), Is.EqualTo(5), "the copy overtakes the fill");
        Check(Record(e, Stream));
        Check(Fill(from, 7, 1, Stream));
        Check(Wait(second, e));
        Check(OnDevice(with, from, 4, second));
        Check(Synchronize(second));
        Assert.That(Peek(with), Is.EqualTo(6), "the copy waits for the first fill and not for the second");
    }

    [Test]
    public void With_a_seed_other_streams_take_steps_of_their_own()
    {
        ulong from = Put(1), to = Allocate(4);
        Check(CreateStream(out nint second));
        var seen = new HashSet<uint>();
        for (ulong seed = 1; seed <= 20; seed++)
        {
            Put(from, 1);
            SetLazy(true, seed);
            Check(Fill(from, 2, 1, second));
            Check(OnDevice(to, from, 4, Stream));
            Check(Synchronize(Stream));
            seen.Add(Peek(to));
            SetLazy(false);
        }

        Assert.That(seen, Is.EquivalentTo(new[] { 1u, 2u }), "the copy runs before the fill of the other stream, or behind it");
    }

    [Test]
    public void The_default_stream_waits_for_blocking_streams()
    {
        ulong memory = Allocate(4);
        Check(CreateStream(out nint blocking, 0));
        SetLazy(true);
        Check(Fill(memory, 3, 1, blocking));
        Assert.That(Peek(memory), Is.EqualTo(3));
    }

    [Test]
    public void Events_are_asked_and_waited_for()
    {
        ulong memory = Allocate(4);
        Check(CreateEvent(out nint e));
        Check(Query(e));
        SetLazy(true);
        Check(Fill(memory, 1, 1, Stream));
        Check(Fill(memory, 2, 1, Stream));
        Check(Record(e, Stream));
        Assert.That(Query(e), Is.EqualTo(NotReady));
        int queries = 1;
        while (Query(e) == NotReady)
            Assert.That(++queries, Is.LessThan(10), "who asks often enough gets there");
        Assert.That(Peek(memory), Is.EqualTo(2));
        Check(Fill(memory, 3, 1, Stream));
        Check(Record(e, Stream));
        Check(SynchronizeEvent(e));
        Assert.That(Peek(memory), Is.EqualTo(3));
    }

    [Test]
    public void Events_take_the_time()
    {
        ulong memory = Allocate(64 << 20);
        Check(CreateEvent(out nint start));
        Check(CreateEvent(out nint end));
        Check(CreateEvent(out nint withoutTime, 2));
        Check(Record(start, Stream));
        Check(Fill(memory, 1, 16 << 20, Stream));
        Check(Record(end, Stream));
        Check(Elapsed(out float milliseconds, start, end));
        Assert.That(milliseconds, Is.GreaterThan(0));
        Check(Elapsed(out float backwards, end, start));
        Assert.That(backwards, Is.EqualTo(-milliseconds));
        Check(Record(withoutTime, Stream));
        Fails(Elapsed(out _, start, withoutTime), InvalidHandle, "without timing");
        Check(CreateEvent(out nint never));
        Fails(Elapsed(out _, start, never), InvalidHandle, "never recorded");
        SetLazy(true);
        Check(Record(end, Stream));
        Assert.That(Elapsed(out _, start, end), Is.EqualTo(NotReady));
    }

    [Test]
    public void Memory_that_pending_work_uses_is_freed_after_it()
    {
        ulong from = Put(9), to = Allocate(4);
        SetLazy(true);
        Check(OnDevice(to, from, 4, Stream));
        Check(Free(from));
        Assert.That(Peek(to), Is.EqualTo(9));
    }

    [Test]
    public void A_lazy_error_shows_at_the_wait()
    {
        ulong y = Put(0f), x = Put(1f);
        SetLazy(true);
        Assert.That(SetFailures("cuMemsetD32Async:1=~719"), Is.EqualTo(1));
        Check(Axpy(y, x, 1, 1, Stream));
        Check(Fill(x, 0, 1, Stream));
        Assert.That(Synchronize(Stream), Is.EqualTo(LaunchFailed));
        Assert.That(ExecutedKernels, Is.Zero, "nothing runs after an error");
    }

    // By the default stream, which waits for nothing here.
    private static unsafe uint Peek(ulong address)
    {
        uint value;
        Check(((delegate* unmanaged<void*, ulong, nuint, int>)Export("cuMemcpyDtoH_v2"))(&value, address, 4));
        return value;
    }
}
