namespace Trainer.Cuda.Kernels;

/// <summary>The extent of a grid in blocks or of a block in threads.</summary>
internal readonly record struct Dim3(int X, int Y = 1, int Z = 1);

/// <summary>How a kernel of <c>cuda/</c> is launched for one shape, and what it costs at least.</summary>
/// <param name="Kernel">The name of the entry point.</param>
/// <param name="Grid">The blocks.</param>
/// <param name="Block">The threads of each.</param>
/// <param name="SharedBytes">Dynamic shared memory of each block; above 48 KiB the function's limit has to be raised first.</param>
/// <param name="Bytes">The different bytes of device memory that it reads and writes: what it would move with perfect caches.</param>
/// <param name="Flops">Its floating-point operations, two for a multiply-add; of matrix products those of the tiles it computes.</param>
internal readonly record struct KernelLaunch(string Kernel, Dim3 Grid, Dim3 Block, int SharedBytes, long Bytes, long Flops)
{
    /// <summary>The blocks.</summary>
    /// <exception cref="ArgumentException">There is none: a shape without elements, which needs no launch and which the device would refuse.</exception>
    public Dim3 Grid { get; init; } = Grid is { X: > 0, Y: > 0, Z: > 0 }
        ? Grid
        : throw new ArgumentException($"{Kernel} has nothing to do: {Grid}", nameof(Grid));

    /// <summary>What the driver or a library puts into the stream, whose kernels and their launches are its own: only name and cost are known.</summary>
    internal static KernelLaunch OfDriver(string operation, long bytes, long flops = 0) => new(operation, new(1), new(1), 0, bytes, flops);

    /// <summary>The blocks of <paramref name="part"/> that cover <paramref name="whole"/>.</summary>
    /// <exception cref="ArgumentOutOfRangeException"><paramref name="whole"/> is negative, or so large that a grid cannot cover it.</exception>
    internal static int Blocks(long whole, int part)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(whole);
        long blocks = (whole / part) + (whole % part == 0 ? 0 : 1);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(blocks, int.MaxValue, nameof(whole));
        return (int)blocks;
    }
}
