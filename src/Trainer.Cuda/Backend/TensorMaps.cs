using System.Runtime.InteropServices;
using Trainer.Cuda.Kernels;

namespace Trainer.Cuda;

/// <summary>The tensor maps that TMA kernels take, each encoded once for a matrix and a box.</summary>
internal sealed unsafe class TensorMaps : IDisposable
{
    private const int MapAlignment = 64;

    // Far more than a training step has; whoever samples at every length gets there, and begins anew.
    private const int MostMaps = 8192;

    private readonly Dictionary<Key, nint> _maps = [];

    /// <summary>A matrix of bf16.</summary>
    /// <param name="address">Its first element, aligned to 16 bytes.</param>
    /// <param name="columns">Elements of a row, a multiple of 8.</param>
    /// <param name="rows">Rows.</param>
    /// <param name="box">The part that one copy moves.</param>
    public TensorMap* Matrix(ulong address, int columns, int rows, TileBox box) => Get(new Key(address, columns, rows, 0, box));

    /// <summary>Matrices of bf16, one behind the other.</summary>
    /// <param name="address">The first element, aligned to 16 bytes.</param>
    /// <param name="columns">Elements of a row, a multiple of 8.</param>
    /// <param name="rows">Rows of each.</param>
    /// <param name="planes">How many.</param>
    /// <param name="box">The part of one of them that one copy moves.</param>
    public TensorMap* Planes(ulong address, int columns, int rows, int planes, TileBox box) => Get(new Key(address, columns, rows, planes, box));

    /// <inheritdoc/>
    public void Dispose()
    {
        foreach (nint map in _maps.Values)
            NativeMemory.AlignedFree((void*)map);
        _maps.Clear();
    }

    private TensorMap* Get(in Key key)
    {
        if (_maps.TryGetValue(key, out nint map))
            return (TensorMap*)map;

        // A launch copies its arguments, so that maps of launches in flight are not needed any more.
        if (_maps.Count == MostMaps)
            Dispose();
        void* memory = NativeMemory.AlignedAlloc((nuint)sizeof(TensorMap), MapAlignment);
        int dimensions = key.Planes == 0 ? 2 : 3;
        ReadOnlySpan<ulong> extents = [(ulong)key.Columns, (ulong)key.Rows, (ulong)key.Planes];
        ReadOnlySpan<ulong> pitches = [(ulong)key.Columns * 2, (ulong)key.Columns * 2 * (ulong)key.Rows];
        ReadOnlySpan<uint> box = [(uint)key.Box.Columns, (uint)key.Box.Rows, 1];
        try
        {
            Driver.EncodeTensorMap(memory, key.Address, extents[..dimensions], pitches[..(dimensions - 1)], box[..dimensions]);
        }
        catch
        {
            NativeMemory.AlignedFree(memory);
            throw;
        }

        _maps.Add(key, (nint)memory);
        return (TensorMap*)memory;
    }

    private readonly record struct Key(ulong Address, int Columns, int Rows, int Planes, TileBox Box);
}
