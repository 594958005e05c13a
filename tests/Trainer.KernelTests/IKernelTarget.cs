using Trainer.Cuda.Kernels;

namespace Trainer.KernelTests;

/// <summary>One of the times that a test is run on a target.</summary>
/// <param name="Name">How messages speak of it.</param>
/// <param name="Order">The order of lanes, warps and blocks, where the target lets one choose.</param>
/// <param name="Seed">Of a random order.</param>
internal readonly record struct Execution(string Name, Order Order = Order.Forward, ulong Seed = 0);

/// <summary>What the kernels of the tests run on: the simulator, or a device through the CUDA driver.</summary>
internal unsafe interface IKernelTarget : IDisposable
{
    /// <summary>Why nothing can run there; null when it can.</summary>
    string? Missing { get; }

    /// <summary>Why it does not tell of loads, stores and races; null when it does.</summary>
    string? Blindness { get; }

    /// <summary>How often a test is run, and how.</summary>
    IReadOnlyList<Execution> Executions { get; }

    /// <summary>Device memory with this content. Its address is aligned to 256 bytes.</summary>
    nint Allocate(string name, ReadOnlySpan<byte> content);

    /// <summary>Copies device memory to the host.</summary>
    void Read(nint address, Span<byte> content);

    /// <summary>What was written around a buffer, where kernels could do so unnoticed; null for nothing.</summary>
    string? Damage(nint address);

    /// <summary>Frees device memory. It does not throw: a test that fails frees what it has.</summary>
    /// <returns>Whether there was such memory.</returns>
    bool Free(nint address);

    /// <summary>Runs a kernel to its end.</summary>
    /// <param name="launch">The kernel.</param>
    /// <param name="arguments">Its arguments.</param>
    /// <param name="execution">How.</param>
    /// <param name="traffic">Receives what the memory system would have to do; null if nobody asks.</param>
    /// <returns>The error that it ended with; null for none.</returns>
    string? Launch(in KernelLaunch launch, ReadOnlySpan<KernelArgument> arguments, Execution execution, Traffic* traffic);
}
