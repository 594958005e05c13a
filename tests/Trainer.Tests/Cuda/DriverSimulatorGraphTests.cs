using static Trainer.Tests.Cuda.SimulatedCuda;

namespace Trainer.Tests.Cuda;

/// <summary>The simulated driver: capture, graphs and their replay.</summary>
internal sealed class DriverSimulatorGraphTests : SimulatedDriverFixture
{
    [Test]
    public void A_captured_stream_does_nothing_until_its_graph_is_launched()
    {
        ulong y = Put(1f), x = Put(1f);
        Function("selftest_axpy");
        Check(BeginCapture(Stream));
        Assert.That(CaptureStatus(Stream), Is.EqualTo(1));
        Check(Axpy(y, x, 1, 1, Stream));
        Check(Axpy(y, y, 1, 1, Stream));
        Check(EndCapture(Stream, out nint graph));
        Assert.That(CaptureStatus(Stream), Is.Zero);
        Check(Instantiate(out nint executable, graph));
        Check(DestroyGraph(graph));
        Assert.That(Get<float>(y, 1), Is.EqualTo(new[] { 1f }));
        for (int i = 0; i < 3; i++)
            Check(LaunchGraph(executable, Stream));
        Assert.That(Get<float>(y, 1), Is.EqualTo(new[] { 22f }), "((1 + 1) 2 + 1) 2 + 1) 2");
        Assert.That(ExecutedKernels, Is.EqualTo(6));
        Check(DestroyExecutable(executable));
        Fails(LaunchGraph(executable, Stream), InvalidHandle, "the executable graph was destroyed");
    }

    [Test]
    public void Lazy_graphs_run_when_somebody_waits()
    {
        ulong y = Put(1f), x = Put(1f);
        nint executable = Capture(() => Check(Axpy(y, x, 1, 1, Stream)));
        SetLazy(true);
        Check(LaunchGraph(executable, Stream));
        Check(LaunchGraph(executable, Stream));
        Assert.That(ExecutedKernels, Is.Zero);
        Check(Synchronize(Stream));
        Assert.That(Get<float>(y, 1), Is.EqualTo(new[] { 3f }));
    }

    [Test]
    public void With_a_seed_graphs_run_in_any_order_that_their_edges_allow()
    {
        // Two branches of three tickets each: each branch in its order, the two mixed.
        ulong count = Put(0), output = Allocate(24);
        Check(CreateStream(out nint second));
        Check(CreateEvent(out nint fork));
        Check(CreateEvent(out nint join));
        nint executable = Capture(() =>
        {
            Check(Record(fork, Stream));
            Check(Wait(second, fork));
            for (ulong i = 0; i < 3; i++)
            {
                Check(Launch(Function("selftest_ticket"), (1, 1, 1), (1, 1, 1), 0, Stream, output + (4 * i), count));
                Check(Launch(Function("selftest_ticket"), (1, 1, 1), (1, 1, 1), 0, second, output + 12 + (4 * i), count));
            }

            Check(Record(join, second));
            Check(Wait(Stream, join));
        });
        var orders = new HashSet<string>();
        for (ulong seed = 0; seed < 20; seed++)
        {
            SetLazy(false, seed);
            Put(count, 0);
            Check(LaunchGraph(executable, Stream));
            int[] tickets = Get<int>(output, 6);
            Assert.That(tickets, Is.EquivalentTo(new[] { 0, 1, 2, 3, 4, 5 }));
            Assert.That(tickets[..3], Is.Ordered);
            Assert.That(tickets[3..], Is.Ordered);
            if (seed == 0)
                Assert.That(tickets, Is.EqualTo(new[] { 0, 2, 4, 1, 3, 5 }), "without a seed in the order of the capture");
            orders.Add(string.Join(' ', tickets));
        }

        Assert.That(orders, Has.Count.GreaterThan(5));
    }

    [Test]
    public void A_replay_on_freed_memory_fails()
    {
        ulong y = Put(1f), x = Put(1f);
        nint executable = Capture(() => Check(Axpy(y, x, 1, 1, Stream)));
        Check(LaunchGraph(executable, Stream));
        Check(Free(x));
        FailsLater(LaunchGraph(executable, Stream), IllegalAddress, "selftest_axpy: argument 1.*freed allocation");
    }

    [Test]
    public void A_replay_of_copies_checks_them_again()
    {
        ulong y = Put(1f), x = Put(1f);
        nint executable = Capture(() => Check(OnDevice(y, x, 4, Stream)));
        Check(Free(x));
        FailsLater(LaunchGraph(executable, Stream), IllegalAddress, "the source of a copy.*freed allocation");
    }

    [Test]
    public void A_replay_of_an_unloaded_kernel_fails()
    {
        ulong y = Put(1f), x = Put(1f);
        nint executable = Capture(() => Check(Axpy(y, x, 1, 1, Stream)));
        Check(UnloadModule(LoadedModule));
        FailsLater(LaunchGraph(executable, Stream), IllegalAddress, "whose module was unloaded");
    }

    [Test]
    public void A_capture_has_one_begin_and_one_end()
    {
        Fails(EndCapture(Stream, out _), IllegalState, "does not capture");
        Check(BeginCapture(Stream));
        Fails(BeginCapture(Stream), IllegalState, "captures already");
        Assert.That(LiveObjects.Text, Does.Contain("a capture that was not ended"));
        Check(EndCapture(Stream, out nint graph));
        Check(DestroyGraph(graph));
        Fails(DestroyGraph(graph), InvalidHandle, "the graph was destroyed");
        Fails(BeginCapture(0), CaptureUnsupported, "default stream");
    }

    [Test]
    public void Nobody_waits_or_allocates_during_a_capture()
    {
        ulong memory = Allocate(4);
        foreach (var call in new Func<int>[]
        {
            () => Synchronize(Stream), SynchronizeContext, () => SimulatedCuda.Allocate(out _, 4), () => Free(memory), () => AllocateHost(out _, 4),
            () => LoadModule(Ptx, out _, out _),
        })
        {
            Check(BeginCapture(Stream));
            Check(Fill(memory, 1, 1, Stream));
            Fails(call(), CaptureUnsupported, "captures");
            Assert.That(CaptureStatus(Stream), Is.EqualTo(2));
            Fails(Fill(memory, 1, 1, Stream), CaptureInvalidated, "an earlier error");
            Fails(EndCapture(Stream, out _), CaptureInvalidated, "an earlier error");
            Assert.That(CaptureStatus(Stream), Is.Zero, "the stream can be used again");
        }

        Check(BeginCapture(Stream, 2));
        Allocate(4);
        Check(EndCapture(Stream, out _));
    }

    [Test]
    public void Streams_of_a_capture_are_joined()
    {
        ulong memory = Allocate(4);
        Check(CreateStream(out nint second));
        Check(CreateEvent(out nint outside));
        Check(CreateEvent(out nint fork));
        Check(Record(outside, second));
        Check(BeginCapture(Stream));
        Fails(Wait(Stream, outside), CaptureIsolation, "outside of its capture");
        Fails(EndCapture(Stream, out _), CaptureInvalidated, "earlier error");

        Check(BeginCapture(Stream));
        Check(Fill(memory, 1, 1, Stream));
        Check(Record(fork, Stream));
        Check(Wait(second, fork));
        Check(Fill(memory, 2, 1, second));
        Fails(EndCapture(second, out _), CaptureUnmatched, "began in another stream");
        Fails(EndCapture(Stream, out _), CaptureInvalidated, "earlier error");

        Check(BeginCapture(Stream));
        Check(Record(fork, Stream));
        Check(Wait(second, fork));
        Check(Fill(memory, 2, 1, second));
        Fails(EndCapture(Stream, out _), CaptureUnjoined, "has not waited for the work of another");

        Check(BeginCapture(Stream));
        Check(Record(fork, Stream));
        Fails(Query(fork), CapturedEvent, "recorded in a capture");
        Fails(EndCapture(Stream, out _), CaptureInvalidated, "earlier error");
    }

    [Test]
    public void The_default_stream_cannot_wait_for_a_capture()
    {
        ulong memory = Allocate(4);
        Check(CreateStream(out nint blocking, 0));
        Check(BeginCapture(blocking));
        Fails(Fill(memory, 1, 1, 0), CaptureImplicit, "blocking stream captures");
        Fails(EndCapture(blocking, out _), CaptureInvalidated, "earlier error");
    }

    [Test]
    public void A_stream_is_not_destroyed_while_it_captures()
    {
        Check(BeginCapture(Stream));
        Fails(DestroyStream(Stream), CaptureInvalidated, "destroyed while it captured");
        Assert.That(LiveObjects.Text, Does.Not.Contain("capture"));
    }

    private nint Capture(Action work)
    {
        Function("selftest_axpy");
        Check(BeginCapture(Stream));
        work();
        Check(EndCapture(Stream, out nint graph));
        Check(Instantiate(out nint executable, graph));
        Check(DestroyGraph(graph));
        return executable;
    }
}
