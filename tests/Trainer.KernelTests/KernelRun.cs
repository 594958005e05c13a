using System.Runtime.InteropServices;
using Trainer.Cuda.Kernels;

namespace Trainer.KernelTests;

/// <summary>One run of a test's kernels in one order of execution, on the target of the process.</summary>
/// <remarks>
/// A test is written once, as a function of a run, and <see cref="InAllOrders"/> calls it for each order, on a device as often as that is asked: every
/// expectation is checked every time, buffers that nobody expects anything of must keep their bits, and all buffers must end with the same bits.
/// </remarks>
internal sealed class KernelRun : IDisposable
{
    private readonly Execution _execution;
    private readonly List<DeviceBuffer> _buffers = [];
    private readonly HashSet<DeviceBuffer> _changing = [];

    private bool _failed;

    private KernelRun(Execution execution) => _execution = execution;

    public static void InAllOrders(Action<KernelRun> test)
    {
        RequireTarget();
        List<byte[]>? first = null;
        foreach (Execution execution in KernelTarget.Current.Executions)
        {
            using var run = new KernelRun(execution);
            test(run);
            if (run._failed)
                continue;
            run.ExpectNoDamage();
            foreach (var buffer in run._buffers.Where(buffer => !run._changing.Contains(buffer)))
                Assert.That(buffer.Unchanged, $"{buffer.Name} is only read, but has changed");
            var bits = run._buffers.ConvertAll(buffer => buffer.Bytes());
            first ??= bits;
            for (int i = 0; i < bits.Count; i++)
                Assert.That(bits[i].AsSpan().SequenceEqual(first[i]), $"{run._buffers[i].Name} has other bits in {execution.Name}");
        }
    }

    /// <summary>A run in the forward order alone, for what does not depend on it.</summary>
    public static void Once(Action<KernelRun> test)
    {
        RequireTarget();
        using var run = new KernelRun(KernelTarget.Current.Executions[0]);
        test(run);
        if (!run._failed)
            run.ExpectNoDamage();
    }

    /// <summary>Skips a test of what the target does not tell: races, words that were never written, counts of traffic.</summary>
    public static void RequireSeenAccesses()
    {
        RequireTarget();
        if (KernelTarget.Current.Blindness is { } reason)
            Assert.Ignore(reason);
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

    /// <summary>Runs a kernel; an error of the target fails the test.</summary>
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
        string? error = KernelTarget.Current.Launch(launch, arguments, _execution, null);
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

    private static void RequireTarget()
    {
        if (KernelTarget.Current.Missing is { } reason)
            Assert.Ignore(reason);
    }

    private void ExpectNoDamage()
    {
        foreach (DeviceBuffer buffer in _buffers)
            Assert.That(KernelTarget.Current.Damage(buffer.Address), Is.Null);
    }

    private unsafe Traffic Launch(KernelLaunch launch, ReadOnlySpan<KernelArgument> arguments, bool trace)
    {
        Traffic traffic = default;
        if (KernelTarget.Current.Launch(launch, arguments, _execution, trace ? &traffic : null) is { } error)
            Assert.Fail($"{error} ({_execution.Name})");
        return traffic;
    }
}
