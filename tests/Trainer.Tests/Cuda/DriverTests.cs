using System.Text;
using Trainer.Cuda;
using Trainer.Cuda.Kernels;

namespace Trainer.Tests.Cuda;

/// <summary>The driver layer on the simulated driver. Run in both flavours, which have nothing else to tell them apart.</summary>
public sealed unsafe class DriverTests
{
    private nint _stream;

    [OneTimeSetUp]
    public void Start()
    {
        SimulatedDriver.Require();
        Driver.Initialize();
        SimulatedDriver.SetPrinting(false);
    }

    [OneTimeTearDown]
    public void Stop() => SimulatedDriver.SetPrinting(true);

    [SetUp]
    public void CreateStream()
    {
        Driver.SetContext(Driver.RetainContext(Driver.GetDevice(0)));
        _stream = Driver.CreateStream();
    }

    [TearDown]
    public void DestroyStream()
    {
        SimulatedDriver.SetFailures(string.Empty);
        Driver.DestroyStream(_stream);
        Driver.ReleaseContext(Driver.GetDevice(0));
    }

    [Test]
    public void A_device_is_described()
    {
        int device = Driver.GetDevice(0);
        Assert.Multiple(() =>
        {
            Assert.That(Driver.Version(), Is.GreaterThanOrEqualTo(12000));
            Assert.That(Driver.DeviceCount(), Is.Positive);
            Assert.That(Driver.DeviceName(device), Is.Not.Empty);
            Assert.That(Driver.DeviceMemory(device), Is.EqualTo(Driver.MemoryInfo().Total));
            Assert.That(Driver.DeviceAttribute(DeviceAttribute.ComputeCapabilityMajor, device), Is.GreaterThanOrEqualTo(8));
            Assert.That(Driver.DeviceAttribute(DeviceAttribute.MaxThreadsPerBlock, device), Is.EqualTo(1024));
        });
    }

    [Test]
    public void Memory_goes_there_and_back()
    {
        const int count = 1000;
        long free = Driver.MemoryInfo().Free;
        ulong source = Driver.Allocate(count), target = Driver.Allocate(count);
        nint pinned = Driver.AllocateHost(count);
        Assert.That(Driver.MemoryInfo().Free, Is.LessThanOrEqualTo(free - (2 * count)));

        var host = new Span<byte>((void*)pinned, count);
        for (int i = 0; i < count; i++)
            host[i] = (byte)(i * 7);
        byte[] expected = [.. host[..500], .. Enumerable.Repeat((byte)9, 500)];
        Driver.CopyToDevice(source, (void*)pinned, count, _stream);
        Driver.Copy(target, source, count, _stream);
        Driver.Fill(target + 500, 9, 500, _stream);
        Driver.Synchronize(_stream);
        host.Clear();
        Driver.CopyToHost((void*)pinned, target, count, _stream);
        Driver.Synchronize(_stream);
        Assert.That(host.ToArray(), Is.EqualTo(expected));

        Driver.FreeHost(pinned);
        Driver.Free(source);
        Driver.Free(target);
        Assert.That(Driver.MemoryInfo().Free, Is.EqualTo(free));
    }

    [Test]
    public void Events_order_streams_and_take_the_time()
    {
        nint other = Driver.CreateStream(), start = Driver.CreateEvent(timing: true), end = Driver.CreateEvent(timing: true);
        Driver.RecordEvent(start, other);
        Driver.WaitEvent(_stream, start);
        Driver.RecordEvent(end, _stream);
        Driver.SynchronizeEvent(end);
        Assert.That((Driver.IsDone(start), Driver.IsDone(end)), Is.EqualTo((true, true)));
        Assert.That(Driver.ElapsedMilliseconds(start, end), Is.GreaterThanOrEqualTo(0f));
        Driver.DestroyEvent(start);
        Driver.DestroyEvent(end);
        Driver.DestroyStream(other);

        nint untimed = Driver.CreateEvent(timing: false);
        Driver.RecordEvent(untimed, _stream);
        Driver.SynchronizeEvent(untimed);
        Assert.That(() => Driver.ElapsedMilliseconds(untimed, untimed), Throws.TypeOf<CudaException>()
            .With.Message.StartsWith("cuEventElapsedTime failed: CUDA_ERROR_"));
        Driver.DestroyEvent(untimed);
    }

    [Test]
    public void An_event_that_is_not_done_is_no_error()
    {
        nint e = Driver.CreateEvent(timing: false);
        SimulatedDriver.SetFailures("cuEventQuery:1=600");
        Assert.That(Driver.IsDone(e), Is.False);
        SimulatedDriver.SetFailures("cuEventQuery:1=1");
        Assert.That(() => Driver.IsDone(e), Throws.TypeOf<CudaException>().With.Message.StartsWith("cuEventQuery failed: CUDA_ERROR_INVALID_VALUE (1), "));
        Driver.DestroyEvent(e);
    }

    [Test]
    public void An_error_names_call_value_and_text()
    {
        SimulatedDriver.SetFailures("cuMemAlloc_v2:1=2");
        Assert.That(() => Driver.Allocate(1), Throws.TypeOf<CudaException>()
            .With.Message.EqualTo("cuMemAlloc_v2 failed: CUDA_ERROR_OUT_OF_MEMORY (2), out of memory")
            .And.Property(nameof(CudaException.Call)).EqualTo("cuMemAlloc_v2").And.Property(nameof(CudaException.Code)).EqualTo(2)
            .And.Property(nameof(CudaException.Name)).EqualTo("CUDA_ERROR_OUT_OF_MEMORY"));
    }

    [Test]
    public void A_kernel_runs_directly_and_from_a_graph_and_makes_no_garbage()
    {
        const int count = 64;
        nint module = LoadKernels(), function = Driver.GetFunction(module, "fill");
        Assert.That(Driver.FunctionAttribute(function, FunctionAttribute.MaxThreadsPerBlock), Is.GreaterThanOrEqualTo(256));
        Driver.SetFunctionAttribute(function, FunctionAttribute.MaxDynamicSharedBytes, 1024);
        Assert.That(Driver.FunctionAttribute(function, FunctionAttribute.MaxDynamicSharedBytes), Is.EqualTo(1024));
        ulong memory = Driver.Allocate(count * sizeof(float));

        LaunchFill(function, memory, count, 1.5f);
        Assert.That(Read(memory, count), Is.All.EqualTo(1.5f));

        Driver.BeginCapture(_stream);
        LaunchFill(function, memory, count, 2.5f);
        nint graph = Driver.EndCapture(_stream);
        nint executable = Driver.Instantiate(graph);
        Driver.DestroyGraph(graph);
        Assert.That(Read(memory, count), Is.All.EqualTo(1.5f), "recorded, not run");

        // Once before the count starts, so that it does not count what the first call of a method makes.
        Driver.LaunchGraph(executable, _stream);
        long before = GC.GetAllocatedBytesForCurrentThread();
        for (int i = 0; i < 100; i++)
        {
            LaunchFill(function, memory, count, i);
            Driver.LaunchGraph(executable, _stream);
        }

        Driver.Synchronize(_stream);
        Assert.That(GC.GetAllocatedBytesForCurrentThread() - before, Is.Zero);
        Assert.That(Read(memory, count), Is.All.EqualTo(2.5f));

        Driver.DestroyExecutable(executable);
        Driver.Free(memory);
        Driver.UnloadModule(module);
    }

    [Test]
    public void What_is_wrong_with_a_module_is_said()
    {
        Assert.That(() => Driver.LoadModule("no PTX\0"u8, out _), Throws.TypeOf<CudaException>()
            .With.Message.Matches(@"^cuModuleLoadDataEx failed: CUDA_ERROR_INVALID_(PTX|IMAGE) \(\d+\), .+\n.+"), "the compiler's log is the last line");
        Assert.That(() => Driver.LoadModule("no zero at the end"u8, out _), Throws.ArgumentException);

        nint module = LoadKernels();
        Assert.That(() => Driver.GetFunction(module, "no_such_kernel"), Throws.TypeOf<CudaException>()
            .With.Message.StartsWith("cuModuleGetFunction failed: CUDA_ERROR_NOT_FOUND (500), ").And.Message.EndsWith(": no_such_kernel"));
        Driver.UnloadModule(module);
    }

    [Test]
    public void A_tensor_map_is_written_and_one_that_contradicts_itself_is_refused()
    {
        const int rows = 8, columns = 64, pitch = columns * 2;
        ulong memory = Driver.Allocate(rows * pitch);
        ulong* space = stackalloc ulong[16 + 8];
        var map = (ulong*)(((nint)space + 63) / 64 * 64);
        new Span<ulong>(map, 16).Clear();
        Driver.EncodeTensorMap(map, memory, [columns, rows], [pitch], [columns, rows]);
        Assert.That(new Span<ulong>(map, 16).ToArray(), Has.Some.Not.Zero);

        // A pitch has to be a multiple of 16 bytes; the second has a pitch too many.
        ArgumentException? shape = null;
        CudaException? value = null;
        try
        {
            Driver.EncodeTensorMap(map, memory, [columns, rows], [pitch + 2], [columns, rows]);
        }
        catch (CudaException exception)
        {
            value = exception;
        }

        try
        {
            Driver.EncodeTensorMap(map, memory, [columns, rows], [pitch, pitch], [columns, rows]);
        }
        catch (ArgumentException exception)
        {
            shape = exception;
        }

        Assert.That(value, Has.Message.StartsWith("cuTensorMapEncodeTiled failed: CUDA_ERROR_INVALID_VALUE (1), "));
        Assert.That(shape, Has.Message.EqualTo("2 extents need 1 pitches and 2 box extents, not 2 and 2"));
        Driver.Free(memory);
    }

    private static nint LoadKernels()
    {
        if (PtxModules.All().FirstOrDefault(module => module.Name == "elementwise") is not { } kernels)
        {
            Assert.Ignore("the kernels were not compiled to PTX; ./build.sh --target=Kernels does it or says what it needs");
            return 0;
        }

        return Driver.LoadModule(Encoding.UTF8.GetBytes(kernels.Text + '\0'), out _);
    }

    private void LaunchFill(nint function, ulong memory, long count, float value)
    {
        KernelLaunch launch = ElementwiseKernels.Fill(count);
        Driver.Launch(function, launch.Grid, launch.Block, launch.SharedBytes, _stream, [(nint)(&memory), (nint)(&count), (nint)(&value)]);
    }

    private float[] Read(ulong memory, int count)
    {
        float[] values = new float[count];
        fixed (float* value = values)
        {
            Driver.CopyToHost(value, memory, (nuint)count * sizeof(float), _stream);
            Driver.Synchronize(_stream);
        }

        return values;
    }
}
