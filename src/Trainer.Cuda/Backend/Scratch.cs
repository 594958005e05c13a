using Trainer.Compute;

namespace Trainer.Cuda;

/// <summary>
/// Device memory that an operation works in until the next one does: everything is on one stream, so there is never more than one that needs it.
/// It is what a model has planned; for more than that, or without a plan, it grows.
/// </summary>
internal sealed class Scratch(CudaContext context) : IDisposable
{
    private Tensor _planned;
    private ulong _own;
    private long _ownBytes;

    /// <summary>Uses planned memory from now on; none for none.</summary>
    public void Use(Tensor planned) => _planned = planned;

    /// <summary>The address of so many bytes, aligned to <see cref="Arena.Alignment"/>.</summary>
    public ulong Take(long bytes)
    {
        if (!_planned.IsNone && bytes <= _planned.Count)
            return (ulong)_planned.Address;
        if (bytes > _ownBytes)
            Grow(bytes);
        return _own;
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        if (_own != 0)
            context.Quietly(() => Driver.Free(_own));
        (_own, _ownBytes) = (0, 0);
    }

    private void Grow(long bytes)
    {
        context.Synchronize();
        Dispose();
        _own = Driver.Allocate((nuint)bytes);
        _ownBytes = bytes;
    }
}
