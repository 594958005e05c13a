using Trainer.Optimization;
using static Trainer.Cuda.Kernels.KernelLaunch;

namespace Trainer.Cuda.Kernels;

/// <summary>The table of all parameter tensors that kernels over parameters, gradients and moments read: cuda/include/tensors.cuh.</summary>
internal sealed class TensorTable
{
    /// <summary>The elements of a chunk: the work of one block.</summary>
    public const int ChunkElements = 8192;

    private readonly TensorSpan[] _spans;

    /// <summary>Cuts tensors into chunks.</summary>
    /// <param name="tensors">Where they lie; offsets and counts are multiples of 8; none overlaps another.</param>
    /// <param name="units">The unit of the regulariser that each belongs to, -1 for none.</param>
    /// <exception cref="ArgumentException">An offset or a count is negative or not a multiple of 8, or there is not one unit for each tensor.</exception>
    public TensorTable(ReadOnlySpan<Segment> tensors, ReadOnlySpan<int> units)
    {
        if (units.Length != tensors.Length)
            throw new ArgumentException($"{units.Length} units for {tensors.Length} tensors", nameof(units));
        _spans = new TensorSpan[tensors.Length];
        for (int i = 0; i < tensors.Length; i++)
        {
            var (offset, count) = tensors[i];
            if (offset < 0 || count < 0 || offset % 8 != 0 || count % 8 != 0)
                throw new ArgumentException($"tensor {i} has offset {offset} and {count} elements; both must be multiples of 8, from 0", nameof(tensors));
            _spans[i] = new TensorSpan { Offset = offset, Count = count, FirstChunk = Chunks, Unit = units[i] };
            Chunks += Blocks(count, ChunkElements);
            Elements += count;
            UnitElements += units[i] >= 0 ? count : 0;
        }
    }

    /// <summary>The table.</summary>
    public ReadOnlySpan<TensorSpan> Spans => _spans;

    /// <summary>The chunks of all tensors.</summary>
    public int Chunks { get; }

    /// <summary>The elements of all tensors.</summary>
    public long Elements { get; }

    /// <summary>The elements of the tensors that belong to a unit.</summary>
    public long UnitElements { get; }
}
