using System.Runtime.InteropServices;
using Trainer.Cuda.Kernels;

namespace Trainer.KernelTests;

/// <summary>The simulator in this process: it sees every access of a kernel, and runs it in the orders that it is asked for.</summary>
internal sealed unsafe class SimulatorTarget : IKernelTarget
{
    public string? Missing => Simulator.Missing;

    public string? Blindness => Simulator.SeesAccesses
        ? null
        : "in this build AddressSanitizer checks the addresses of loads and stores, and the simulator does not see them";

    public IReadOnlyList<Execution> Executions { get; } =
    [
        new("order Forward 0"), new("order Reversed 0", Order.Reversed), new("order Random 1", Order.Random, 1), new("order Random 2", Order.Random, 2),
    ];

    public nint Allocate(string name, ReadOnlySpan<byte> content)
    {
        nint address = Simulator.Allocate((nuint)content.Length, name);
        Assert.That(address, Is.Not.Zero, "no device memory left");
        content.CopyTo(new Span<byte>((void*)address, content.Length));
        return address;
    }

    public void Read(nint address, Span<byte> content) => new ReadOnlySpan<byte>((void*)address, content.Length).CopyTo(content);

    // It reports an access outside of a buffer as an error of the launch.
    public string? Damage(nint address) => null;

    public bool Free(nint address) => Simulator.Free(address) == 0;

    public string? Launch(in KernelLaunch launch, ReadOnlySpan<KernelArgument> arguments, Execution execution, Traffic* traffic)
    {
        var config = new Simulator.LaunchConfig { SharedBytes = (uint)launch.SharedBytes, Order = execution.Order, Seed = execution.Seed };
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
                    Encode(map, pointers[i]);
                }
            }

            return Marshal.PtrToStringUTF8((nint)Simulator.Launch(launch.Kernel, config, pointers, sizes, arguments.Length, traffic));
        }
        finally
        {
            NativeMemory.AlignedFree(maps);
        }
    }

    public void Dispose()
    {
    }

    private static void Encode(TensorMap view, void* map)
    {
        const uint swizzle128 = 3;
        ulong* extent = stackalloc ulong[3] { (ulong)view.Columns, (ulong)view.Rows, (ulong)view.Planes };
        ulong* pitch = stackalloc ulong[2] { (ulong)view.Columns * 2, (ulong)view.Columns * 2 * (ulong)view.Rows };
        uint* box = stackalloc uint[3] { (uint)view.BoxColumns, (uint)view.BoxRows, 1 };
        byte* error = Simulator.EncodeTensorMap(map, view.Buffer.Address, view.Planes == 0 ? 2u : 3, extent, pitch, box, swizzle128);
        if (error != null)
            throw new ArgumentException($"tensor map of {view.Buffer.Name}: {Marshal.PtrToStringUTF8((nint)error)}");
    }
}
