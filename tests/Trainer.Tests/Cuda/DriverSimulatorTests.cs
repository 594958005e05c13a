using System.Runtime.InteropServices;
using static Trainer.Tests.Cuda.SimulatedCuda;

namespace Trainer.Tests.Cuda;

/// <summary>The simulated driver: memory, launches, failures, and what is left at the end.</summary>
internal sealed class DriverSimulatorTests : SimulatedDriverFixture
{
    [Test]
    public void The_device_is_described()
    {
        const int multiprocessors = 16, major = 75, minor = 76, sharedOptIn = 97;
        Assert.That(DeviceName(), Is.EqualTo("Simulated CUDA device"));
        Assert.That((DeviceAttribute(major), DeviceAttribute(minor), DeviceAttribute(multiprocessors)), Is.EqualTo((9, 0, 4)));
        Assert.That(DeviceAttribute(sharedOptIn), Is.EqualTo(227 << 10));
        Assert.That(MemoryInfo(), Is.EqualTo((4L << 30, 4L << 30)));
        SetDevice(86, 12, 1 << 20);
        Assert.That((DeviceAttribute(major), DeviceAttribute(minor), DeviceAttribute(multiprocessors)), Is.EqualTo((8, 6, 12)));
        Assert.That(DeviceAttribute(sharedOptIn), Is.EqualTo(99 << 10));
        Assert.That(MemoryInfo(), Is.EqualTo((1L << 20, 1L << 20)));
    }

    [Test]
    public void New_memory_is_not_zero() => Assert.That(Get<uint>(Allocate(100), 25), Is.All.EqualTo(Poison));

    [Test]
    public void Memory_ends()
    {
        SetDevice(0, 0, 1000);
        ulong first = Allocate(600);
        Fails(SimulatedCuda.Allocate(out _, 401), OutOfMemory, "401 bytes were asked for, and 600 of 1000 are in use");
        Check(Free(first));
        Allocate(1000);
        Fails(SimulatedCuda.Allocate(out _, 0), InvalidValue, "0 bytes");
    }

    [Test]
    public void Copies_stay_inside_of_allocations()
    {
        ulong memory = Allocate(100), other = Allocate(100);
        nint host = Marshal.AllocHGlobal(200);
        Check(ToDevice(memory, host, 100, Stream));
        Fails(ToDevice(memory, host, 101, Stream), InvalidValue, "destination, 101 bytes: .* is byte 0 of allocation 1, which has 100 bytes");
        Fails(ToDevice(memory + 60, host, 41, Stream), InvalidValue, "byte 60 of allocation 1");
        Fails(ToHost(host, memory + 101, 1, Stream), InvalidValue, "byte 101 of allocation 1");
        Fails(ToHost(host, memory - 1, 1, Stream), InvalidValue, "is no device memory");
        Fails(OnDevice(other, memory, 104, Stream), InvalidValue, "destination");
        Fails(OnDevice(other + 4, other, 8, Stream), InvalidValue, "overlap");
        Fails(Fill(other, 0, 26, Stream), InvalidValue, "104 bytes");
        Fails(Fill(other + 2, 0, 1, Stream), InvalidValue, "not a multiple of 4");
        Marshal.FreeHGlobal(host);
    }

    [Test]
    public void Freed_memory_is_dead()
    {
        ulong memory = Allocate(64);
        Check(Fill(memory, 0, 1, Stream));
        Check(Free(memory));
        Fails(Fill(memory, 0, 1, Stream), InvalidValue, "byte 0 of freed allocation 1, which had 64 bytes");
        Fails(Free(memory), InvalidValue, "freed allocation 1");
        ulong next = Allocate(64);
        Assert.That(next, Is.Not.EqualTo(memory), "an address is not given out twice");
        Fails(Free(next + 8), InvalidValue, "byte 8 of allocation 2");
        Check(Free(0));
    }

    [Test]
    public void Pinned_memory_has_bounds()
    {
        ulong memory = Allocate(4096);
        Check(AllocateHost(out nint pinned, 100));
        Check(ToDevice(memory, pinned, 100, Stream));
        Fails(ToDevice(memory, pinned, 101, Stream), InvalidValue, "101 bytes, and 100 are left of allocation 1 of pinned host memory");
        Fails(ToHost(pinned + 50, memory, 51, Stream), InvalidValue, "50 are left");
        Check(FreeHost(pinned));
        Fails(ToDevice(memory, pinned, 4, Stream), InvalidValue, "freed allocation 1 of pinned host memory");
        Fails(FreeHost(pinned), InvalidValue, "was freed");
        Assert.That(UnpinnedCopies, Is.Zero);
        Put(memory, 1);
        Assert.That(UnpinnedCopies, Is.EqualTo(1));
    }

    [Test]
    public void Kernels_compute()
    {
        ulong y = Put(1f, 2f, 3f), x = Put(10f, 20f, 30f);
        Check(Axpy(y, x, 0.5f, 3, Stream));
        Assert.That(Get<float>(y, 3), Is.EqualTo(new[] { 6f, 12f, 18f }));
        Assert.That(ExecutedKernels, Is.EqualTo(1));
    }

    [Test]
    public void Every_kind_of_argument_arrives()
    {
        ulong output = Allocate(7 * sizeof(double));
        ulong pair = BitConverter.SingleToUInt32Bits(-3.5f) | (65535ul << 32);
        Check(Launch(Function("selftest_arguments"), (1, 1, 1), (32, 1, 1), 0, Stream, output, -7, 60000, -(1L << 40), 0.25f, 1e300, pair));
        Assert.That(Get<double>(output, 7), Is.EqualTo(new[] { -7, 60000, -(double)(1L << 40), 0.25, 1e300, -3.5, 65535 }));
    }

    [Test]
    public void A_launch_on_freed_memory_fails_and_the_error_stays()
    {
        ulong y = Allocate(64), x = Allocate(64);
        Check(Free(x));
        FailsLater(Axpy(y, x, 1, 1, Stream), IllegalAddress, "selftest_axpy: argument 1.*freed allocation 2");
    }

    [Test]
    public void A_pointer_to_host_memory_is_no_argument()
    {
        Check(AllocateHost(out nint pinned, 64));
        FailsLater(Axpy((ulong)pinned, (ulong)pinned, 1, 1, Stream), IllegalAddress, "argument 0.*is pinned host memory");
    }

    [Test]
    public void A_kernel_that_leaves_its_buffer_fails()
    {
        ulong output = Allocate(64), input = Put(new int[16]);
        FailsLater(
            Launch(Function("selftest_out_of_bounds"), (1, 1, 1), (32, 1, 1), 0, Stream, output, input, 0, 16),
            IllegalAddress,
            @"selftest_out_of_bounds: block \(0, 0, 0\), thread \(5, 0, 0\): reads 4 bytes at offset 64 of buffer 'allocation 2'|AddressSanitizer");
    }

    [Test]
    public void Races_are_looked_for_or_not()
    {
        ulong output = Allocate(4);
        if (!SeesAccesses)
            Assert.Ignore("this build has AddressSanitizer in place of the check for races");
        SetRaceChecks(false);
        Check(Launch(Function("selftest_block_race"), (2, 1, 1), (1, 1, 1), 0, Stream, output));
        Check(Synchronize(Stream));
        SetRaceChecks(true);
        FailsLater(Launch(Function("selftest_block_race"), (2, 1, 1), (1, 1, 1), 0, Stream, output), LaunchFailed, "race on byte 0");
    }

    [Test]
    public void Blocks_run_in_the_order_asked_for()
    {
        int[] Tickets()
        {
            ulong output = Allocate(32), count = Put(0);
            Check(Launch(Function("selftest_ticket"), (8, 1, 1), (1, 1, 1), 0, Stream, output, count));
            return Get<int>(output, 8);
        }

        int[] forward = [0, 1, 2, 3, 4, 5, 6, 7];
        Assert.That(Tickets(), Is.EqualTo(forward));
        SetKernelOrder(1);
        Assert.That(Tickets(), Is.EqualTo(forward.Reverse()));
        SetKernelOrder(2, 5);
        Assert.That(Tickets(), Is.EquivalentTo(forward).And.Not.EqualTo(forward));
    }

    [Test]
    public void Work_on_destroyed_objects_is_refused()
    {
        ulong memory = Allocate(4);
        Check(CreateEvent(out nint e));
        Check(DestroyEvent(e));
        Fails(Record(e, Stream), InvalidHandle, "the event was destroyed");
        Check(CreateStream(out nint stream));
        Check(DestroyStream(stream));
        Fails(Fill(memory, 0, 1, stream), InvalidHandle, "the stream was destroyed");
        Fails(DestroyStream(stream), InvalidHandle, "the stream was destroyed");
        Fails(Synchronize(12345), InvalidHandle, "is no stream");
        nint function = Function("selftest_ticket");
        Check(UnloadModule(LoadedModule));
        Fails(Launch(function, (1, 1, 1), (1, 1, 1), 0, Stream, memory, memory), InvalidHandle, "the function was destroyed");
        Fails(GetFunction(out _, LoadedModule, "selftest_ticket"), InvalidHandle, "the module was destroyed");
    }

    [Test]
    public void Failures_come_when_they_are_asked_for()
    {
        Assert.That(SetFailures("cuMemAlloc_v2:2=2,cuStreamCreate:1=999"), Is.EqualTo(2));
        Allocate(4);
        Fails(SimulatedCuda.Allocate(out _, 4), OutOfMemory, "cuMemAlloc_v2: a failure that was asked for");
        Allocate(4);
        Assert.That(CreateStream(out _), Is.EqualTo(999));
        Check(CreateStream(out _));
        Assert.That(SetFailures("cuMemAlloc_v2:0=2"), Is.EqualTo(-1));
        Assert.That(SetFailures("cuMemAlloc_v2"), Is.EqualTo(-1));
        Assert.That(SetFailures("cuMemAlloc_v2:1=2x"), Is.EqualTo(-1));
        Assert.That(SetFailures("cuLaunchKernel:3=~719"), Is.EqualTo(1));
        ulong y = Put(0f), x = Put(1f);
        Check(Axpy(y, x, 1, 1, Stream));
        Check(Axpy(y, x, 1, 1, Stream));
        FailsLater(Axpy(y, x, 1, 1, Stream), LaunchFailed, "cuLaunchKernel: a failure that was asked for");
    }

    [Test]
    public void Calls_are_counted()
    {
        long before = Calls("cuMemAlloc_v2");
        Allocate(4);
        Assert.That(SimulatedCuda.Allocate(out _, 0), Is.Not.Zero);
        Assert.That(Calls("cuMemAlloc_v2"), Is.EqualTo(before + 2));
        Assert.That(Calls("cuNothing"), Is.Zero);
    }

    [Test]
    public void Empty_kernels_are_checked_and_do_nothing()
    {
        ulong y = Put(1f), x = Put(1f);
        SetEmptyKernels(true);
        Check(Axpy(y, x, 1, 1, Stream));
        Check(Fill(y, 0, 1, Stream));
        Check(OnDevice(x, y, 4, Stream));
        Assert.That(Launch(Function("selftest_axpy"), (1, 1, 1), (65, 1, 1), 0, Stream, y, x, 1f, 1), Is.EqualTo(InvalidValue));
        Assert.That(ExecutedKernels, Is.EqualTo(1));
        Assert.That(Get<float>(y, 1), Is.EqualTo(new[] { 1f }), "copies to the host still happen");
        Check(Free(x));
        FailsLater(Axpy(y, x, 1, 1, Stream), IllegalAddress, "freed allocation");
    }

    [Test]
    public void What_is_left_is_listed_and_what_a_context_leaves_is_counted()
    {
        Assert.That(LiveObjects, Is.EqualTo((2, "stream 1\na reference to the primary context\n")));
        Allocate(100);
        Check(AllocateHost(out _, 200));
        Check(CreateEvent(out _));
        Function("selftest_axpy");
        Assert.That(LiveObjects.Text.Split('\n'), Is.EqualTo(new[]
        {
            "allocation 1 of device memory, 100 bytes", "allocation 1 of pinned host memory, 200 bytes", "stream 1", "event 1",
            "module 1, with kernel selftest_arguments", "a reference to the primary context", "",
        }));
        Check(ReleaseContext());
        Assert.That(LeakedObjects, Is.EqualTo(5));
        Assert.That(Message, Does.Contain("5 objects were live when the primary context was released"));
        Assert.That(LiveObjects.Count, Is.Zero);
    }

    [Test]
    public void A_released_context_is_dead_and_the_next_one_knows_nothing_of_it()
    {
        Check(DestroyStream(Stream));
        Check(ReleaseContext());
        Fails(SimulatedCuda.Allocate(out _, 4), ContextIsDestroyed, "was released");
        Assert.That(ReleaseContext(), Is.Not.Zero);
        for (int i = 0; i < 10; i++)
        {
            Check(RetainContext(out nint context));
            Assert.That(SimulatedCuda.Allocate(out _, 4), Is.EqualTo(ContextIsDestroyed), "current on this thread is an earlier one");
            Check(SetContext(context));
            Check(CreateStream(out nint stream));
            ulong memory = Allocate(1 << 20);
            Check(Fill(memory, (uint)i, 4, stream));
            Check(Synchronize(stream));
            Check(Free(memory));
            Check(DestroyStream(stream));
            Check(ReleaseContext());
        }

        Assert.That(LiveObjects.Count, Is.Zero);
        Assert.That(LeakedObjects, Is.Zero);
    }

    [Test]
    public void A_reset_forgets_everything_but_the_initialization()
    {
        Allocate(4);
        SetFailures("cuMemAlloc_v2:1=2");
        SetDevice(80, 1, 5000);
        SetLazy(true);
        Reset();
        SetPrinting(false);
        Assert.That((LiveObjects.Count, Calls("cuMemAlloc_v2"), LeakedObjects), Is.EqualTo((0, 0L, 0L)));
        Fails(SimulatedCuda.Allocate(out _, 4), ContextIsDestroyed, "released");
        Check(RetainContext(out nint context));
        Check(SetContext(context));
        Assert.That(MemoryInfo().Total, Is.EqualTo(4L << 30));
        Check(CreateStream(out nint stream));
        ulong memory = Allocate(4);
        Check(Fill(memory, 7, 1, stream));
        Check(Synchronize(stream));
    }
}
