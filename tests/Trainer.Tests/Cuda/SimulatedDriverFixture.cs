using System.Runtime.InteropServices;
using static Trainer.Tests.Cuda.SimulatedCuda;

namespace Trainer.Tests.Cuda;

/// <summary>A context of the simulated driver and a stream; each test begins with a driver as new and leaves one.</summary>
internal abstract class SimulatedDriverFixture
{
    protected const uint Poison = 0xffffffff;

    /// <summary>Declarations of kernels of native/simt/selftest, as a compiler would write them. Bodies do not matter.</summary>
    protected const string Ptx =
        """
        .version 8.4
        .target sm_80
        .address_size 64
        .visible .entry selftest_axpy(.param .u64 y, .param .u64 x, .param .f32 a, .param .u32 n)
        .maxntid 64, 1, 1
        { ret; }
        .visible .entry selftest_ticket(.param .u64 out, .param .u64 count) { ret; }
        .visible .entry selftest_block_race(.param .u64 out) { ret; }
        .visible .entry selftest_out_of_bounds(.param .u64 out, .param .u64 in, .param .u32 store, .param .u32 load) { ret; }
        .visible .entry selftest_arguments(
            .param .u64 out, .param .u8 c, .param .u16 s, .param .u64 l, .param .f32 f, .param .f64 d, .param .align 4 .b8 pair[8])
        { ret; }
        """;

    private nint _context;
    private Dictionary<string, nint> _functions = [];

    protected nint Stream { get; private set; }

    protected nint LoadedModule { get; private set; }

    [SetUp]
    public void Begin()
    {
        if (Missing is { } reason)
            Assert.Ignore(reason);
        Reset();
        SetPrinting(false);
        Check(Init());
        Check(RetainContext(out _context));
        Check(SetContext(_context));
        Check(CreateStream(out nint stream));
        Stream = stream;
        _functions = [];
        LoadedModule = 0;
    }

    [TearDown]
    public void End()
    {
        if (Missing == null)
            Reset();
    }

    protected nint Function(string name)
    {
        if (_functions.TryGetValue(name, out nint function))
            return function;
        if (LoadedModule == 0)
        {
            Check(LoadModule(Ptx, out nint module, out _));
            LoadedModule = module;
        }

        Check(GetFunction(out function, LoadedModule, name));
        return _functions[name] = function;
    }

    /// <summary>y += a x, for n numbers.</summary>
    protected int Axpy(ulong y, ulong x, float a, int n, nint stream) =>
        Launch(Function("selftest_axpy"), ((uint)(n + 63) / 64, 1, 1), (64, 1, 1), 0, stream, y, x, a, n);

    protected static ulong Allocate(long bytes)
    {
        Check(SimulatedCuda.Allocate(out ulong address, bytes));
        return address;
    }

    /// <summary>Device memory with these values.</summary>
    protected ulong Put<T>(params T[] values)
        where T : unmanaged
    {
        long bytes = values.Length * (long)Marshal.SizeOf<T>();
        ulong address = Allocate(bytes);
        Put(address, values);
        return address;
    }

    protected unsafe void Put<T>(ulong address, params T[] values)
        where T : unmanaged
    {
        fixed (T* from = values)
            Check(ToDevice(address, (nint)from, values.Length * (long)sizeof(T), Stream));
        Check(Synchronize(Stream));
    }

    /// <summary>What the stream leaves in device memory.</summary>
    protected unsafe T[] Get<T>(ulong address, int count)
        where T : unmanaged
    {
        var values = new T[count];
        fixed (T* to = values)
            Check(ToHost((nint)to, address, count * (long)sizeof(T), Stream));
        Check(Synchronize(Stream));
        return values;
    }

    protected static void Fails(int result, int code, string message)
    {
        Assert.That(result, Is.EqualTo(code), () => Message);
        Assert.That(Message, Does.Match(message));
    }

    /// <summary>The error of a device: it shows when somebody waits, stays, and goes with the context.</summary>
    protected void FailsLater(int result, int code, string message)
    {
        Check(result);
        Fails(Synchronize(Stream), code, message);
        Assert.That(SimulatedCuda.Allocate(out _, 4), Is.EqualTo(code), "every later call says the same");
        Check(ReleaseContext());
        Check(RetainContext(out _context));
        Check(SetContext(_context));
        Check(SimulatedCuda.Allocate(out _, 4));
    }
}
