using System.Runtime.InteropServices;
using Trainer.Cuda.Kernels;

namespace Trainer.KernelTests;

/// <summary>One run of a test's kernels in one order of execution.</summary>
/// <remarks>
/// A test is written once, as a function of a run, and <see cref="InAllOrders"/> calls it for each order: every expectation is checked in every
/// order, buffers that nobody expects anything of must keep their bits, and all buffers must end with the same bits in all orders.
/// </remarks>
internal sealed class KernelRun : IDisposable
{
    private static readonly (Order Order, ulong Seed)[] Orders = [(Order.Forward, 0), (Order.Reversed, 0), (Order.Random, 1), (Order.Random, 2)];

    private readonly Order _order;
    private readonly ulong _seed;
    private readonly List<DeviceBuffer> _buffers = [];
    private readonly HashSet<DeviceBuffer> _changing = [];

    private bool _failed;

    private KernelRun(Order order, ulong seed) => (_order, _seed) = (order, seed);

    public static void InAllOrders(Action<KernelRun> test)
    {
        if (Simulator.Missing is { } reason)
            Assert.Ignore(reason);
        List<byte[]>? first = null;
        foreach (var (order, seed) in Orders)
        {
            using var run = new KernelRun(order, seed);
            test(run);
            if (run._failed)
                continue;
            foreach (var buffer in run._buffers.Where(buffer => !run._changing.Contains(buffer)))
                Assert.That(buffer.Unchanged, $"{buffer.Name} is only read, but has changed");
            var bits = run._buffers.ConvertAll(buffer => buffer.Bytes.ToArray());
            first ??= bits;
            for (int i = 0; i < bits.Count; i++)
                Assert.That(bits[i].AsSpan().SequenceEqual(first[i]), $"{run._buffers[i].Name} has other bits in the order {order} {seed}");
        }
    }

    /// <summary>A run in the forward order alone, for what does not depend on it.</summary>
    public static void Once(Action<KernelRun> test)
    {
        if (Simulator.Missing is { } reason)
            Assert.Ignore(reason);
        using var run = new KernelRun(Order.Forward, 0);
        test(run);
    }

    /// <summary>Skips a test of what a build with AddressSanitizer does not have: races, words that were never written, counts of traffic.</summary>
    public static void RequireSeenAccesses()
    {
        if (Simulator.Missing is { } reason)
            Assert.Ignore(reason);
        if (!Simulator.SeesAccesses)
            Assert.Ignore("in this build AddressSanitizer checks the addresses of loads and stores, and the simulator does not see them");
    }

    /// <summary>A buffer that the kernels overwrite: filled with NaNs.</summary>
    public DeviceBuffer Output(string name, BufferType type, long count) => Add(new(name, type, count), changing: true);

    public DeviceBuffer Bf16(string name, float[] values, bool changing = false) =>
        Add(new(name, Array.ConvertAll(values, Tests.Compute.Bf16.Round)), changing);

    public DeviceBuffer Float(string name, float[] values, bool changing = false) => Add(new(name, values), changing);

    public DeviceBuffer Double(string name, double[] values, bool changing = false) => Add(new(name, values), changing);

    public DeviceBuffer Int(string name, int[] values, bool changing = false) => Add(new(name, values), changing);

    /// <summary>Structures of the kernels' own layout.</summary>
    public DeviceBuffer Structs<T>(string name, ReadOnlySpan<T> values, bool changing = false)
        where T : unmanaged => Add(new(name, MemoryMarshal.Cast<T, int>(values).ToArray()), changing);

    /// <summary>Runs a kernel; an error of the simulator fails the test.</summary>
    public void Launch(KernelLaunch launch, params ReadOnlySpan<KernelArgument> arguments) => Launch(launch, arguments, trace: false);

    /// <summary>Runs a kernel and counts what the memory system would have to do.</summary>
    public Traffic Trace(KernelLaunch launch, params ReadOnlySpan<KernelArgument> arguments)
    {
        RequireSeenAccesses();
        return Launch(launch, arguments, trace: true);
    }

    /// <summary>The error that a launch ends with. What a failed one has left in the buffers is not looked at.</summary>
    public unsafe string? Error(KernelLaunch launch, params ReadOnlySpan<KernelArgument> arguments)
    {
        string? error = Start(launch, arguments, null);
        _failed |= error != null;
        return error;
    }

    /// <summary>Checks what a buffer holds now.</summary>
    public void Expect(DeviceBuffer buffer, double[] values, double[] tolerances)
    {
        _changing.Add(buffer);
        new Expectation(buffer.Name, values, tolerances).Check(buffer.Values());
    }

    public void Dispose()
    {
        foreach (var buffer in _buffers)
            buffer.Dispose();
    }

    private DeviceBuffer Add(DeviceBuffer buffer, bool changing)
    {
        _buffers.Add(buffer);
        if (changing)
            _changing.Add(buffer);
        return buffer;
    }

    private unsafe Traffic Launch(KernelLaunch launch, ReadOnlySpan<KernelArgument> arguments, bool trace)
    {
        Traffic traffic = default;
        if (Start(launch, arguments, trace ? &traffic : null) is { } error)
            Assert.Fail($"{error} (order {_order} {_seed})");
        return traffic;
    }

    private unsafe string? Start(KernelLaunch launch, ReadOnlySpan<KernelArgument> arguments, Traffic* traffic)
    {
        var config = new Simulator.LaunchConfig { SharedBytes = (uint)launch.SharedBytes, Order = _order, Seed = _seed };
        (config.Grid[0], config.Grid[1], config.Grid[2]) = ((uint)launch.Grid.X, (uint)launch.Grid.Y, (uint)launch.Grid.Z);
        (config.Block[0], config.Block[1], config.Block[2]) = ((uint)launch.Block.X, (uint)launch.Block.Y, (uint)launch.Block.Z);
        void** pointers = stackalloc void*[arguments.Length];
        nuint* sizes = stackalloc nuint[arguments.Length];
        long* scalars = stackalloc long[arguments.Length];
        byte* maps = (byte*)NativeMemory.AlignedAlloc((nuint)(TensorMap.Bytes * (arguments.Length + 1)), 64);
        try
        {
            for (int i = 0; i < arguments.Length; i++)
            {
                scalars[i] = arguments[i].Bits;
                pointers[i] = &scalars[i];
                sizes[i] = (nuint)arguments[i].Bytes;
                if (arguments[i].Map is { } map)
                {
                    pointers[i] = maps + (TensorMap.Bytes * i);
                    map.Encode(pointers[i]);
                }
            }

            return Marshal.PtrToStringUTF8((nint)Simulator.Launch(launch.Kernel, config, pointers, sizes, arguments.Length, traffic));
        }
        finally
        {
            NativeMemory.AlignedFree(maps);
        }
    }
}
