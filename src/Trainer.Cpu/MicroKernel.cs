using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;

namespace Trainer.Cpu;

/// <summary>
/// The innermost loops of a matrix product: a tile of C, up to <see cref="Rows"/> x <see cref="Columns"/>, in registers,
/// <c>C = (C +) A · B</c> over the whole depth of a block.
/// </summary>
/// <remarks>
/// A is read in place, element (i, k) at <c>a + i · rowStride + k · depthStride</c>; rows beyond <c>rows</c> repeat the last one and
/// their results are meant to be thrown away. B is a packed panel: for each k, the tile's columns side by side. The tile shapes: with
/// 32 vector registers 8 rows x 3 vectors (24 accumulators, 3 of B, 1 of A), with 16 registers 6 x 2. Narrower tiles end a matrix
/// without padding it to a whole tile. No calls and no branches in the loop: one call would spill every accumulator.
/// </remarks>
internal readonly unsafe partial struct MicroKernel
{
    /// <summary>The rows of a tile.</summary>
    public required int Rows { get; init; }

    /// <summary>The floats in a vector: the columns of a tile are a multiple of it.</summary>
    public required int Width { get; init; }

    /// <summary>The columns of a whole tile.</summary>
    public required int Columns { get; init; }

    private delegate*<nint, float*, nint, nint, int, float*, float*, nint, bool, void> One { get; init; }

    private delegate*<nint, float*, nint, nint, int, float*, float*, nint, bool, void> Two { get; init; }

    private delegate*<nint, float*, nint, nint, int, float*, float*, nint, bool, void> Three { get; init; }

    /// <summary>The kernels for an instruction set.</summary>
    public static MicroKernel For(CpuInstructionSet set) => set switch
    {
        CpuInstructionSet.Avx512 => new()
        {
            Rows = 8,
            Width = Tile512.Width,
            Columns = 3 * Tile512.Width,
            One = &Multiply8x1<Tile512, Vector512<float>>,
            Two = &Multiply8x2<Tile512, Vector512<float>>,
            Three = &Multiply8x3<Tile512, Vector512<float>>,
        },
        CpuInstructionSet.Avx2 => new()
        {
            Rows = 6,
            Width = Tile256.Width,
            Columns = 2 * Tile256.Width,
            One = &Multiply6x1<Tile256, Vector256<float>>,
            Two = &Multiply6x2<Tile256, Vector256<float>>,
        },
        _ => new()
        {
            Rows = 6,
            Width = Tile128.Width,
            Columns = 2 * Tile128.Width,
            One = &Multiply6x1<Tile128, Vector128<float>>,
            Two = &Multiply6x2<Tile128, Vector128<float>>,
        },
    };

    /// <summary>The columns, rounded up to whole vectors, of the panel that starts <paramref name="remaining"/> columns before the end.</summary>
    public int PanelColumns(int remaining) => remaining >= Columns ? Columns : (remaining + Width - 1) / Width * Width;

    /// <summary>The columns of all panels that pack so many columns.</summary>
    public int PackedColumns(int columns) => (columns / Columns * Columns) + (columns % Columns == 0 ? 0 : PanelColumns(columns % Columns));

    /// <summary>Multiplies any number of rows of A by one packed panel of B: <c>C = (C +) A · B</c>.</summary>
    /// <param name="rows">The rows of A and C.</param>
    /// <param name="columns">The columns of C, at most <paramref name="panelColumns"/>.</param>
    /// <param name="panelColumns">The columns of the panel: one, two or three vectors.</param>
    /// <param name="depth">K, at least 1.</param>
    /// <param name="a">Element (0, 0) of A.</param>
    /// <param name="tileRowStride">Floats from one tile's rows of A to the next tile's.</param>
    /// <param name="rowStride">Floats from row to row of A within a tile.</param>
    /// <param name="depthStride">Floats from column to column of A.</param>
    /// <param name="b">The packed panel of B.</param>
    /// <param name="c">Element (0, 0) of C, row-major.</param>
    /// <param name="ldc">Floats from row to row of C.</param>
    /// <param name="accumulate">Whether to add to C.</param>
    /// <param name="edge">Room for one tile, through which the edges of C are written.</param>
    public void MultiplyPanel(int rows, int columns, int panelColumns, nint depth, float* a, nint tileRowStride, nint rowStride, nint depthStride,
        float* b, float* c, nint ldc, bool accumulate, float* edge)
    {
        int vectors = panelColumns / Width;
        var kernel = vectors == 3 ? Three : vectors == 2 ? Two : One;
        for (int i = 0; i < rows; i += Rows, a += tileRowStride, c += Rows * ldc)
        {
            int realRows = Math.Min(Rows, rows - i);
            if (realRows == Rows && columns == panelColumns)
            {
                kernel(depth, a, rowStride, depthStride, realRows, b, c, ldc, accumulate);
            }
            else
            {
                kernel(depth, a, rowStride, depthStride, realRows, b, edge, panelColumns, false);
                CopyEdge(edge, panelColumns, c, ldc, realRows, columns, accumulate);
            }
        }
    }

    private static void CopyEdge(float* tile, nint tileStride, float* c, nint ldc, int rows, int columns, bool accumulate)
    {
        for (int i = 0; i < rows; i++, tile += tileStride, c += ldc)
        {
            for (int j = 0; j < columns; j++)
                c[j] = accumulate ? c[j] + tile[j] : tile[j];
        }
    }

    /// <summary>Asks for the tile of C while the loop runs; a line it does not need costs nothing.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Prefetch(float* c, nint ldc, int rows, int columns)
    {
        const int CacheLineFloats = 16;
        if (!Sse.IsSupported)
            return;
        for (int i = 0; i < rows; i++, c += ldc)
        {
            for (int j = 0; j < columns; j += CacheLineFloats)
                Sse.Prefetch0(c + j);
        }
    }
}
