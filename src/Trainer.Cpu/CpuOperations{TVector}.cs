namespace Trainer.Cpu;

/// <summary>The operations with vectors of one width; one file for each family.</summary>
internal sealed unsafe partial class CpuOperations<TVector>(ThreadTeam team, MicroKernel kernel, MantissaRounding mantissa)
    : CpuOperations(team, kernel, mantissa)
    where TVector : struct, IVector<TVector>
{
    /// <summary>Rows that one item of a row-wise operation covers: enough work to outweigh handing it out.</summary>
    private const int RowsPerItem = 8;

    /// <summary>Elements that one item of an elementwise operation covers: a multiple of every vector's width.</summary>
    private const int ElementsPerItem = 1 << 14;

    private readonly Scratch<float> _partialSums = new();

    protected override void Dispose(bool disposing)
    {
        _partialSums.Dispose();
        _attention.Dispose();
        _blocks.Dispose();
        _blockSums.Dispose();
        _blockTotals.Dispose();
        base.Dispose(disposing);
    }

    private static int Blocks(int count, int size) => (count + size - 1) / size;
}
