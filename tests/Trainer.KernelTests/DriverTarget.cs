using System.Runtime.InteropServices;
using Trainer.Cuda;
using Trainer.Cuda.Kernels;
using DeviceArgument = Trainer.Cuda.KernelArgument;

namespace Trainer.KernelTests;

/// <summary>
/// A device: the PTX that the program ships, compiled, launched and given tensor maps by the program's own driver layer. A test is run twice there, and
/// both runs must leave the same bits. What a kernel writes around a buffer is found afterwards.
/// </summary>
internal sealed unsafe class DriverTarget : IKernelTarget
{
    // On either side of a buffer. What a kernel reads there is not a number, neither as bf16, float nor double, and no index.
    private const int GuardBytes = 4096;
    private const ushort Guard = 0xffa5;

    private readonly Dictionary<nint, Buffer> _buffers = [];
    private readonly TensorMaps _maps = new();
    private CudaContext? _context;
    private CudaKernels? _kernels;
    private HashSet<string> _hopperKernels = [];
    private string? _missing;

    public string? Missing
    {
        get
        {
            if (_kernels == null && _missing == null)
                Open();
            return _missing;
        }
    }

    public string Blindness => "a device does not tell of loads, stores and races as the simulator does";

    public IReadOnlyList<Execution> Executions { get; } = [new("the first run"), new("the second run")];

    public nint Allocate(string name, ReadOnlySpan<byte> content)
    {
        _context!.MakeCurrent();
        var buffer = new Buffer(name, content.Length);
        ushort[] whole = new ushort[buffer.WholeBytes / sizeof(ushort)];
        Array.Fill(whole, Guard);
        content.CopyTo(MemoryMarshal.AsBytes(whole.AsSpan())[GuardBytes..]);
        ulong address = Driver.Allocate((nuint)buffer.WholeBytes);
        fixed (ushort* from = whole)
            Driver.CopyToDevice(address, from, (nuint)buffer.WholeBytes, _context.Stream);
        _context.Synchronize();
        nint begin = (nint)address + GuardBytes;
        _buffers.Add(begin, buffer);
        return begin;
    }

    public void Read(nint address, Span<byte> content)
    {
        _context!.MakeCurrent();
        fixed (byte* to = content)
            Driver.CopyToHost(to, (ulong)address, (nuint)content.Length, _context.Stream);
        _context.Synchronize();
    }

    public string? Damage(nint address)
    {
        Buffer buffer = _buffers[address];
        ushort[] whole = new ushort[buffer.WholeBytes / sizeof(ushort)];
        Span<byte> bytes = MemoryMarshal.AsBytes(whole.AsSpan());
        Read(address - GuardBytes, bytes);
        bytes.Slice(GuardBytes, buffer.Bytes).Clear();
        for (int i = 0; i < whole.Length; i++)
        {
            int offset = (i * sizeof(ushort)) - GuardBytes;
            bool inside = offset >= 0 && offset < buffer.Bytes;
            if (!inside && whole[i] != Guard)
                return $"something was written at offset {offset} of buffer '{buffer.Name}', which has {buffer.Bytes} bytes";
        }

        return null;
    }

    public bool Free(nint address)
    {
        if (!_buffers.Remove(address))
            return false;
        _context!.Quietly(() => Driver.Free((ulong)(address - GuardBytes)));
        return true;
    }

    public string? Launch(in KernelLaunch launch, ReadOnlySpan<KernelArgument> arguments, Execution execution, Traffic* traffic)
    {
        if (_hopperKernels.Contains(launch.Kernel) && !_context!.IsHopper)
            Assert.Ignore($"the kernels for compute capability 9.0 do not run on this device, of {_context.ComputeCapability}");
        var values = new DeviceArgument[arguments.Length];
        for (int i = 0; i < values.Length; i++)
            values[i] = Argument(arguments[i]);
        try
        {
            _kernels!.Prepare(launch).Launch(values);
            _context!.Synchronize();
            return null;
        }
        catch (CudaException exception)
        {
            // An error of a kernel stays for as long as the process lives.
            _missing = $"the device has failed in an earlier test: {launch.Kernel}: {exception.Message}";
            return $"{launch.Kernel}: {exception.Message}";
        }
    }

    public void Dispose()
    {
        _maps.Dispose();
        _kernels?.Dispose();
        _context?.Dispose();
        (_kernels, _context, _missing) = (null, null, "the device was given back");
    }

    private void Open()
    {
        try
        {
            _context = new CudaContext(0);
            _kernels = new CudaKernels(_context);
            _hopperKernels = [.. PtxModules.All().Where(module => module.Target == "sm_90a").SelectMany(module => module.Kernels).Select(kernel => kernel.Name)];
        }
        catch (Exception exception) when (exception is DllNotFoundException or CudaException or RequestException)
        {
            _missing = exception.Message;
        }
    }

    private DeviceArgument Argument(KernelArgument argument)
    {
        if (argument.Map is { } map)
        {
            var box = new TileBox(map.BoxColumns, map.BoxRows);
            ulong address = (ulong)map.Buffer.Address;
            return map.Planes == 0 ? _maps.Matrix(address, map.Columns, map.Rows, box) : _maps.Planes(address, map.Columns, map.Rows, map.Planes, box);
        }

        return argument.Bytes == sizeof(int) ? (DeviceArgument)(uint)argument.Bits : (DeviceArgument)(ulong)argument.Bits;
    }

    private sealed record Buffer(string Name, int Bytes)
    {
        // Rounded up, so that it is a whole number of guard words.
        public int WholeBytes => (GuardBytes * 2) + (Bytes + (Bytes % sizeof(ushort)));
    }
}
