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
internal readonly unsafe struct MicroKernel
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
            Rows = 8, Width = 16, Columns = 48, One = &Multiply8x1<Tile512, Vector512<float>>, Two = &Multiply8x2<Tile512, Vector512<float>>, Three = &Multiply8x3<Tile512, Vector512<float>>,
        },
        CpuInstructionSet.Avx2 => new() { Rows = 6, Width = 8, Columns = 16, One = &Multiply6x1<Tile256, Vector256<float>>, Two = &Multiply6x2<Tile256, Vector256<float>> },
        _ => new() { Rows = 6, Width = 4, Columns = 8, One = &Multiply6x1<Tile128, Vector128<float>>, Two = &Multiply6x2<Tile128, Vector128<float>> },
    };

    /// <summary>The columns, rounded up to whole vectors, of the panel that starts <paramref name="remaining"/> columns before the end.</summary>
    public int PanelColumns(int remaining) => remaining >= Columns ? Columns : (remaining + Width - 1) / Width * Width;

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

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void Multiply8x3<TSimd, TVector>(
        nint depth, float* a, nint rowStride, nint depthStride, int rows, float* b, float* c, nint ldc, bool accumulate)
        where TSimd : ITileVector<TVector>
        where TVector : struct
    {
        int width = TSimd.Width;
        float* a0 = a;
        float* a1 = a + ((nint)Math.Min(1, rows - 1) * rowStride);
        float* a2 = a + ((nint)Math.Min(2, rows - 1) * rowStride);
        float* a3 = a + ((nint)Math.Min(3, rows - 1) * rowStride);
        float* a4 = a + ((nint)Math.Min(4, rows - 1) * rowStride);
        float* a5 = a + ((nint)Math.Min(5, rows - 1) * rowStride);
        float* a6 = a + ((nint)Math.Min(6, rows - 1) * rowStride);
        float* a7 = a + ((nint)Math.Min(7, rows - 1) * rowStride);
        TVector c00 = default, c01 = default, c02 = default;
        TVector c10 = default, c11 = default, c12 = default;
        TVector c20 = default, c21 = default, c22 = default;
        TVector c30 = default, c31 = default, c32 = default;
        TVector c40 = default, c41 = default, c42 = default;
        TVector c50 = default, c51 = default, c52 = default;
        TVector c60 = default, c61 = default, c62 = default;
        TVector c70 = default, c71 = default, c72 = default;
        Prefetch(c, ldc, 8, 3 * width);
        nint at = 0, end = depth * depthStride;
        do
        {
            var b0 = TSimd.Load(b);
            var b1 = TSimd.Load(b + width);
            var b2 = TSimd.Load(b + (2 * width));
            var x0 = TSimd.Create(a0[at]);
            c00 = TSimd.MultiplyAdd(x0, b0, c00);
            c01 = TSimd.MultiplyAdd(x0, b1, c01);
            c02 = TSimd.MultiplyAdd(x0, b2, c02);
            var x1 = TSimd.Create(a1[at]);
            c10 = TSimd.MultiplyAdd(x1, b0, c10);
            c11 = TSimd.MultiplyAdd(x1, b1, c11);
            c12 = TSimd.MultiplyAdd(x1, b2, c12);
            var x2 = TSimd.Create(a2[at]);
            c20 = TSimd.MultiplyAdd(x2, b0, c20);
            c21 = TSimd.MultiplyAdd(x2, b1, c21);
            c22 = TSimd.MultiplyAdd(x2, b2, c22);
            var x3 = TSimd.Create(a3[at]);
            c30 = TSimd.MultiplyAdd(x3, b0, c30);
            c31 = TSimd.MultiplyAdd(x3, b1, c31);
            c32 = TSimd.MultiplyAdd(x3, b2, c32);
            var x4 = TSimd.Create(a4[at]);
            c40 = TSimd.MultiplyAdd(x4, b0, c40);
            c41 = TSimd.MultiplyAdd(x4, b1, c41);
            c42 = TSimd.MultiplyAdd(x4, b2, c42);
            var x5 = TSimd.Create(a5[at]);
            c50 = TSimd.MultiplyAdd(x5, b0, c50);
            c51 = TSimd.MultiplyAdd(x5, b1, c51);
            c52 = TSimd.MultiplyAdd(x5, b2, c52);
            var x6 = TSimd.Create(a6[at]);
            c60 = TSimd.MultiplyAdd(x6, b0, c60);
            c61 = TSimd.MultiplyAdd(x6, b1, c61);
            c62 = TSimd.MultiplyAdd(x6, b2, c62);
            var x7 = TSimd.Create(a7[at]);
            c70 = TSimd.MultiplyAdd(x7, b0, c70);
            c71 = TSimd.MultiplyAdd(x7, b1, c71);
            c72 = TSimd.MultiplyAdd(x7, b2, c72);
            at += depthStride;
            b += 3 * width;
        }
        while (at != end);

        if (accumulate)
        {
            c00 = TSimd.Add(TSimd.Load(c), c00);
            c01 = TSimd.Add(TSimd.Load(c + width), c01);
            c02 = TSimd.Add(TSimd.Load(c + (2 * width)), c02);
            c10 = TSimd.Add(TSimd.Load(c + ldc), c10);
            c11 = TSimd.Add(TSimd.Load(c + ldc + width), c11);
            c12 = TSimd.Add(TSimd.Load(c + ldc + (2 * width)), c12);
            c20 = TSimd.Add(TSimd.Load(c + (2 * ldc)), c20);
            c21 = TSimd.Add(TSimd.Load(c + (2 * ldc) + width), c21);
            c22 = TSimd.Add(TSimd.Load(c + (2 * ldc) + (2 * width)), c22);
            c30 = TSimd.Add(TSimd.Load(c + (3 * ldc)), c30);
            c31 = TSimd.Add(TSimd.Load(c + (3 * ldc) + width), c31);
            c32 = TSimd.Add(TSimd.Load(c + (3 * ldc) + (2 * width)), c32);
            c40 = TSimd.Add(TSimd.Load(c + (4 * ldc)), c40);
            c41 = TSimd.Add(TSimd.Load(c + (4 * ldc) + width), c41);
            c42 = TSimd.Add(TSimd.Load(c + (4 * ldc) + (2 * width)), c42);
            c50 = TSimd.Add(TSimd.Load(c + (5 * ldc)), c50);
            c51 = TSimd.Add(TSimd.Load(c + (5 * ldc) + width), c51);
            c52 = TSimd.Add(TSimd.Load(c + (5 * ldc) + (2 * width)), c52);
            c60 = TSimd.Add(TSimd.Load(c + (6 * ldc)), c60);
            c61 = TSimd.Add(TSimd.Load(c + (6 * ldc) + width), c61);
            c62 = TSimd.Add(TSimd.Load(c + (6 * ldc) + (2 * width)), c62);
            c70 = TSimd.Add(TSimd.Load(c + (7 * ldc)), c70);
            c71 = TSimd.Add(TSimd.Load(c + (7 * ldc) + width), c71);
            c72 = TSimd.Add(TSimd.Load(c + (7 * ldc) + (2 * width)), c72);
        }

        TSimd.Store(c00, c);
        TSimd.Store(c01, c + width);
        TSimd.Store(c02, c + (2 * width));
        TSimd.Store(c10, c + ldc);
        TSimd.Store(c11, c + ldc + width);
        TSimd.Store(c12, c + ldc + (2 * width));
        TSimd.Store(c20, c + (2 * ldc));
        TSimd.Store(c21, c + (2 * ldc) + width);
        TSimd.Store(c22, c + (2 * ldc) + (2 * width));
        TSimd.Store(c30, c + (3 * ldc));
        TSimd.Store(c31, c + (3 * ldc) + width);
        TSimd.Store(c32, c + (3 * ldc) + (2 * width));
        TSimd.Store(c40, c + (4 * ldc));
        TSimd.Store(c41, c + (4 * ldc) + width);
        TSimd.Store(c42, c + (4 * ldc) + (2 * width));
        TSimd.Store(c50, c + (5 * ldc));
        TSimd.Store(c51, c + (5 * ldc) + width);
        TSimd.Store(c52, c + (5 * ldc) + (2 * width));
        TSimd.Store(c60, c + (6 * ldc));
        TSimd.Store(c61, c + (6 * ldc) + width);
        TSimd.Store(c62, c + (6 * ldc) + (2 * width));
        TSimd.Store(c70, c + (7 * ldc));
        TSimd.Store(c71, c + (7 * ldc) + width);
        TSimd.Store(c72, c + (7 * ldc) + (2 * width));
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void Multiply8x2<TSimd, TVector>(
        nint depth, float* a, nint rowStride, nint depthStride, int rows, float* b, float* c, nint ldc, bool accumulate)
        where TSimd : ITileVector<TVector>
        where TVector : struct
    {
        int width = TSimd.Width;
        float* a0 = a;
        float* a1 = a + ((nint)Math.Min(1, rows - 1) * rowStride);
        float* a2 = a + ((nint)Math.Min(2, rows - 1) * rowStride);
        float* a3 = a + ((nint)Math.Min(3, rows - 1) * rowStride);
        float* a4 = a + ((nint)Math.Min(4, rows - 1) * rowStride);
        float* a5 = a + ((nint)Math.Min(5, rows - 1) * rowStride);
        float* a6 = a + ((nint)Math.Min(6, rows - 1) * rowStride);
        float* a7 = a + ((nint)Math.Min(7, rows - 1) * rowStride);
        TVector c00 = default, c01 = default;
        TVector c10 = default, c11 = default;
        TVector c20 = default, c21 = default;
        TVector c30 = default, c31 = default;
        TVector c40 = default, c41 = default;
        TVector c50 = default, c51 = default;
        TVector c60 = default, c61 = default;
        TVector c70 = default, c71 = default;
        Prefetch(c, ldc, 8, 2 * width);
        nint at = 0, end = depth * depthStride;
        do
        {
            var b0 = TSimd.Load(b);
            var b1 = TSimd.Load(b + width);
            var x0 = TSimd.Create(a0[at]);
            c00 = TSimd.MultiplyAdd(x0, b0, c00);
            c01 = TSimd.MultiplyAdd(x0, b1, c01);
            var x1 = TSimd.Create(a1[at]);
            c10 = TSimd.MultiplyAdd(x1, b0, c10);
            c11 = TSimd.MultiplyAdd(x1, b1, c11);
            var x2 = TSimd.Create(a2[at]);
            c20 = TSimd.MultiplyAdd(x2, b0, c20);
            c21 = TSimd.MultiplyAdd(x2, b1, c21);
            var x3 = TSimd.Create(a3[at]);
            c30 = TSimd.MultiplyAdd(x3, b0, c30);
            c31 = TSimd.MultiplyAdd(x3, b1, c31);
            var x4 = TSimd.Create(a4[at]);
            c40 = TSimd.MultiplyAdd(x4, b0, c40);
            c41 = TSimd.MultiplyAdd(x4, b1, c41);
            var x5 = TSimd.Create(a5[at]);
            c50 = TSimd.MultiplyAdd(x5, b0, c50);
            c51 = TSimd.MultiplyAdd(x5, b1, c51);
            var x6 = TSimd.Create(a6[at]);
            c60 = TSimd.MultiplyAdd(x6, b0, c60);
            c61 = TSimd.MultiplyAdd(x6, b1, c61);
            var x7 = TSimd.Create(a7[at]);
            c70 = TSimd.MultiplyAdd(x7, b0, c70);
            c71 = TSimd.MultiplyAdd(x7, b1, c71);
            at += depthStride;
            b += 2 * width;
        }
        while (at != end);

        if (accumulate)
        {
            c00 = TSimd.Add(TSimd.Load(c), c00);
            c01 = TSimd.Add(TSimd.Load(c + width), c01);
            c10 = TSimd.Add(TSimd.Load(c + ldc), c10);
            c11 = TSimd.Add(TSimd.Load(c + ldc + width), c11);
            c20 = TSimd.Add(TSimd.Load(c + (2 * ldc)), c20);
            c21 = TSimd.Add(TSimd.Load(c + (2 * ldc) + width), c21);
            c30 = TSimd.Add(TSimd.Load(c + (3 * ldc)), c30);
            c31 = TSimd.Add(TSimd.Load(c + (3 * ldc) + width), c31);
            c40 = TSimd.Add(TSimd.Load(c + (4 * ldc)), c40);
            c41 = TSimd.Add(TSimd.Load(c + (4 * ldc) + width), c41);
            c50 = TSimd.Add(TSimd.Load(c + (5 * ldc)), c50);
            c51 = TSimd.Add(TSimd.Load(c + (5 * ldc) + width), c51);
            c60 = TSimd.Add(TSimd.Load(c + (6 * ldc)), c60);
            c61 = TSimd.Add(TSimd.Load(c + (6 * ldc) + width), c61);
            c70 = TSimd.Add(TSimd.Load(c + (7 * ldc)), c70);
            c71 = TSimd.Add(TSimd.Load(c + (7 * ldc) + width), c71);
        }

        TSimd.Store(c00, c);
        TSimd.Store(c01, c + width);
        TSimd.Store(c10, c + ldc);
        TSimd.Store(c11, c + ldc + width);
        TSimd.Store(c20, c + (2 * ldc));
        TSimd.Store(c21, c + (2 * ldc) + width);
        TSimd.Store(c30, c + (3 * ldc));
        TSimd.Store(c31, c + (3 * ldc) + width);
        TSimd.Store(c40, c + (4 * ldc));
        TSimd.Store(c41, c + (4 * ldc) + width);
        TSimd.Store(c50, c + (5 * ldc));
        TSimd.Store(c51, c + (5 * ldc) + width);
        TSimd.Store(c60, c + (6 * ldc));
        TSimd.Store(c61, c + (6 * ldc) + width);
        TSimd.Store(c70, c + (7 * ldc));
        TSimd.Store(c71, c + (7 * ldc) + width);
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void Multiply8x1<TSimd, TVector>(
        nint depth, float* a, nint rowStride, nint depthStride, int rows, float* b, float* c, nint ldc, bool accumulate)
        where TSimd : ITileVector<TVector>
        where TVector : struct
    {
        int width = TSimd.Width;
        float* a0 = a;
        float* a1 = a + ((nint)Math.Min(1, rows - 1) * rowStride);
        float* a2 = a + ((nint)Math.Min(2, rows - 1) * rowStride);
        float* a3 = a + ((nint)Math.Min(3, rows - 1) * rowStride);
        float* a4 = a + ((nint)Math.Min(4, rows - 1) * rowStride);
        float* a5 = a + ((nint)Math.Min(5, rows - 1) * rowStride);
        float* a6 = a + ((nint)Math.Min(6, rows - 1) * rowStride);
        float* a7 = a + ((nint)Math.Min(7, rows - 1) * rowStride);
        TVector c00 = default;
        TVector c10 = default;
        TVector c20 = default;
        TVector c30 = default;
        TVector c40 = default;
        TVector c50 = default;
        TVector c60 = default;
        TVector c70 = default;
        Prefetch(c, ldc, 8, width);
        nint at = 0, end = depth * depthStride;
        do
        {
            var b0 = TSimd.Load(b);
            var x0 = TSimd.Create(a0[at]);
            c00 = TSimd.MultiplyAdd(x0, b0, c00);
            var x1 = TSimd.Create(a1[at]);
            c10 = TSimd.MultiplyAdd(x1, b0, c10);
            var x2 = TSimd.Create(a2[at]);
            c20 = TSimd.MultiplyAdd(x2, b0, c20);
            var x3 = TSimd.Create(a3[at]);
            c30 = TSimd.MultiplyAdd(x3, b0, c30);
            var x4 = TSimd.Create(a4[at]);
            c40 = TSimd.MultiplyAdd(x4, b0, c40);
            var x5 = TSimd.Create(a5[at]);
            c50 = TSimd.MultiplyAdd(x5, b0, c50);
            var x6 = TSimd.Create(a6[at]);
            c60 = TSimd.MultiplyAdd(x6, b0, c60);
            var x7 = TSimd.Create(a7[at]);
            c70 = TSimd.MultiplyAdd(x7, b0, c70);
            at += depthStride;
            b += width;
        }
        while (at != end);

        if (accumulate)
        {
            c00 = TSimd.Add(TSimd.Load(c), c00);
            c10 = TSimd.Add(TSimd.Load(c + ldc), c10);
            c20 = TSimd.Add(TSimd.Load(c + (2 * ldc)), c20);
            c30 = TSimd.Add(TSimd.Load(c + (3 * ldc)), c30);
            c40 = TSimd.Add(TSimd.Load(c + (4 * ldc)), c40);
            c50 = TSimd.Add(TSimd.Load(c + (5 * ldc)), c50);
            c60 = TSimd.Add(TSimd.Load(c + (6 * ldc)), c60);
            c70 = TSimd.Add(TSimd.Load(c + (7 * ldc)), c70);
        }

        TSimd.Store(c00, c);
        TSimd.Store(c10, c + ldc);
        TSimd.Store(c20, c + (2 * ldc));
        TSimd.Store(c30, c + (3 * ldc));
        TSimd.Store(c40, c + (4 * ldc));
        TSimd.Store(c50, c + (5 * ldc));
        TSimd.Store(c60, c + (6 * ldc));
        TSimd.Store(c70, c + (7 * ldc));
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void Multiply6x2<TSimd, TVector>(
        nint depth, float* a, nint rowStride, nint depthStride, int rows, float* b, float* c, nint ldc, bool accumulate)
        where TSimd : ITileVector<TVector>
        where TVector : struct
    {
        int width = TSimd.Width;
        float* a0 = a;
        float* a1 = a + ((nint)Math.Min(1, rows - 1) * rowStride);
        float* a2 = a + ((nint)Math.Min(2, rows - 1) * rowStride);
        float* a3 = a + ((nint)Math.Min(3, rows - 1) * rowStride);
        float* a4 = a + ((nint)Math.Min(4, rows - 1) * rowStride);
        float* a5 = a + ((nint)Math.Min(5, rows - 1) * rowStride);
        TVector c00 = default, c01 = default;
        TVector c10 = default, c11 = default;
        TVector c20 = default, c21 = default;
        TVector c30 = default, c31 = default;
        TVector c40 = default, c41 = default;
        TVector c50 = default, c51 = default;
        Prefetch(c, ldc, 6, 2 * width);
        nint at = 0, end = depth * depthStride;
        do
        {
            var b0 = TSimd.Load(b);
            var b1 = TSimd.Load(b + width);
            var x0 = TSimd.Create(a0[at]);
            c00 = TSimd.MultiplyAdd(x0, b0, c00);
            c01 = TSimd.MultiplyAdd(x0, b1, c01);
            var x1 = TSimd.Create(a1[at]);
            c10 = TSimd.MultiplyAdd(x1, b0, c10);
            c11 = TSimd.MultiplyAdd(x1, b1, c11);
            var x2 = TSimd.Create(a2[at]);
            c20 = TSimd.MultiplyAdd(x2, b0, c20);
            c21 = TSimd.MultiplyAdd(x2, b1, c21);
            var x3 = TSimd.Create(a3[at]);
            c30 = TSimd.MultiplyAdd(x3, b0, c30);
            c31 = TSimd.MultiplyAdd(x3, b1, c31);
            var x4 = TSimd.Create(a4[at]);
            c40 = TSimd.MultiplyAdd(x4, b0, c40);
            c41 = TSimd.MultiplyAdd(x4, b1, c41);
            var x5 = TSimd.Create(a5[at]);
            c50 = TSimd.MultiplyAdd(x5, b0, c50);
            c51 = TSimd.MultiplyAdd(x5, b1, c51);
            at += depthStride;
            b += 2 * width;
        }
        while (at != end);

        if (accumulate)
        {
            c00 = TSimd.Add(TSimd.Load(c), c00);
            c01 = TSimd.Add(TSimd.Load(c + width), c01);
            c10 = TSimd.Add(TSimd.Load(c + ldc), c10);
            c11 = TSimd.Add(TSimd.Load(c + ldc + width), c11);
            c20 = TSimd.Add(TSimd.Load(c + (2 * ldc)), c20);
            c21 = TSimd.Add(TSimd.Load(c + (2 * ldc) + width), c21);
            c30 = TSimd.Add(TSimd.Load(c + (3 * ldc)), c30);
            c31 = TSimd.Add(TSimd.Load(c + (3 * ldc) + width), c31);
            c40 = TSimd.Add(TSimd.Load(c + (4 * ldc)), c40);
            c41 = TSimd.Add(TSimd.Load(c + (4 * ldc) + width), c41);
            c50 = TSimd.Add(TSimd.Load(c + (5 * ldc)), c50);
            c51 = TSimd.Add(TSimd.Load(c + (5 * ldc) + width), c51);
        }

        TSimd.Store(c00, c);
        TSimd.Store(c01, c + width);
        TSimd.Store(c10, c + ldc);
        TSimd.Store(c11, c + ldc + width);
        TSimd.Store(c20, c + (2 * ldc));
        TSimd.Store(c21, c + (2 * ldc) + width);
        TSimd.Store(c30, c + (3 * ldc));
        TSimd.Store(c31, c + (3 * ldc) + width);
        TSimd.Store(c40, c + (4 * ldc));
        TSimd.Store(c41, c + (4 * ldc) + width);
        TSimd.Store(c50, c + (5 * ldc));
        TSimd.Store(c51, c + (5 * ldc) + width);
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void Multiply6x1<TSimd, TVector>(
        nint depth, float* a, nint rowStride, nint depthStride, int rows, float* b, float* c, nint ldc, bool accumulate)
        where TSimd : ITileVector<TVector>
        where TVector : struct
    {
        int width = TSimd.Width;
        float* a0 = a;
        float* a1 = a + ((nint)Math.Min(1, rows - 1) * rowStride);
        float* a2 = a + ((nint)Math.Min(2, rows - 1) * rowStride);
        float* a3 = a + ((nint)Math.Min(3, rows - 1) * rowStride);
        float* a4 = a + ((nint)Math.Min(4, rows - 1) * rowStride);
        float* a5 = a + ((nint)Math.Min(5, rows - 1) * rowStride);
        TVector c00 = default;
        TVector c10 = default;
        TVector c20 = default;
        TVector c30 = default;
        TVector c40 = default;
        TVector c50 = default;
        Prefetch(c, ldc, 6, width);
        nint at = 0, end = depth * depthStride;
        do
        {
            var b0 = TSimd.Load(b);
            var x0 = TSimd.Create(a0[at]);
            c00 = TSimd.MultiplyAdd(x0, b0, c00);
            var x1 = TSimd.Create(a1[at]);
            c10 = TSimd.MultiplyAdd(x1, b0, c10);
            var x2 = TSimd.Create(a2[at]);
            c20 = TSimd.MultiplyAdd(x2, b0, c20);
            var x3 = TSimd.Create(a3[at]);
            c30 = TSimd.MultiplyAdd(x3, b0, c30);
            var x4 = TSimd.Create(a4[at]);
            c40 = TSimd.MultiplyAdd(x4, b0, c40);
            var x5 = TSimd.Create(a5[at]);
            c50 = TSimd.MultiplyAdd(x5, b0, c50);
            at += depthStride;
            b += width;
        }
        while (at != end);

        if (accumulate)
        {
            c00 = TSimd.Add(TSimd.Load(c), c00);
            c10 = TSimd.Add(TSimd.Load(c + ldc), c10);
            c20 = TSimd.Add(TSimd.Load(c + (2 * ldc)), c20);
            c30 = TSimd.Add(TSimd.Load(c + (3 * ldc)), c30);
            c40 = TSimd.Add(TSimd.Load(c + (4 * ldc)), c40);
            c50 = TSimd.Add(TSimd.Load(c + (5 * ldc)), c50);
        }

        TSimd.Store(c00, c);
        TSimd.Store(c10, c + ldc);
        TSimd.Store(c20, c + (2 * ldc));
        TSimd.Store(c30, c + (3 * ldc));
        TSimd.Store(c40, c + (4 * ldc));
        TSimd.Store(c50, c + (5 * ldc));
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
