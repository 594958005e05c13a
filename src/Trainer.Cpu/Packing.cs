using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;

namespace Trainer.Cpu;

/// <summary>
/// Brings blocks of a matrix into the order in which the micro-kernel reads them: panels of a tile's width, for each k the panel's
/// elements side by side, the missing ones as zeros.
/// </summary>
internal static unsafe class Packing
{
    /// <summary>The k that are packed at a time over all panels: their cache lines fit the first-level cache.</summary>
    private const int PackedDepths = 16;

    /// <summary>
    /// Packs B(depths, columns) into panels of the tile's columns, the last one as narrow as whole vectors allow. Where rows of B are
    /// contiguous, a few are taken at a time over all panels: memory is then read in long stretches, not in steps of a whole row.
    /// </summary>
    public static void PackB(in MicroKernel kernel, MatrixOperand b, int depths, int columns, float* destination)
    {
        int step = b.ColumnStride == 1 ? PackedDepths : depths;
        for (int k = 0; k < depths; k += step)
        {
            int few = Math.Min(step, depths - k);
            int panelColumns;
            for (int j = 0; j < columns; j += panelColumns)
            {
                panelColumns = kernel.PanelColumns(columns - j);
                var part = b.From(k, j);
                float* panel = destination + ((nint)j * depths) + ((nint)k * panelColumns);
                PackPanel(part.Data, part.RowStride, part.ColumnStride, few, Math.Min(panelColumns, columns - j), panelColumns, panel);
            }
        }
    }

    /// <summary>
    /// Packs A(rows, depths) into panels of the tile's rows, a few k at a time over all panels, so that each cache line of A, which
    /// holds the rows of more than one panel, is read once.
    /// </summary>
    public static void PackA(in MicroKernel kernel, MatrixOperand a, int rows, int depths, float* destination)
    {
        for (int k = 0; k < depths; k += PackedDepths)
        {
            int few = Math.Min(PackedDepths, depths - k);
            for (int i = 0; i < rows; i += kernel.Rows)
            {
                var part = a.From(i, k);
                float* panel = destination + ((nint)i * depths) + ((nint)k * kernel.Rows);
                PackPanel(part.Data, part.ColumnStride, part.RowStride, few, Math.Min(kernel.Rows, rows - i), kernel.Rows, panel);
            }
        }
    }

    /// <summary><c>destination[k · width + p] = source[k · depthStride + p · sideStride]</c> for p below <paramref name="real"/>, else 0.</summary>
    private static void PackPanel(float* source, nint depthStride, nint sideStride, int depths, int real, int width, float* destination)
    {
        if (sideStride == 1)
            CopyPanel(source, depthStride, depths, real, width, destination);
        else if (depthStride == 1)
            TransposePanel(source, sideStride, depths, real, width, destination);
        else
            throw new ArgumentException("one stride of a packed matrix must be 1", nameof(sideStride));
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void CopyPanel(float* source, nint depthStride, int depths, int real, int width, float* destination)
    {
        if (real == width && width % 16 == 0)
        {
            for (int k = 0; k < depths; k++, source += depthStride, destination += width)
            {
                for (int p = 0; p < width; p += 16)
                    Vector512.Load(source + p).Store(destination + p);
            }

            return;
        }

        for (int k = 0; k < depths; k++, source += depthStride, destination += width)
        {
            int p = 0;
            for (; p <= real - 4; p += 4)
                Vector128.Load(source + p).Store(destination + p);
            for (; p < real; p++)
                destination[p] = source[p];
            for (; p < width; p++)
                destination[p] = 0;
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void TransposePanel(float* source, nint sideStride, int depths, int real, int width, float* destination)
    {
        int p = 0;
        for (; p <= real - 8; p += 8)
        {
            float* rows = source + (p * sideStride);
            int k = 0;
            for (; k <= depths - 8; k += 8)
                Transpose8x8(rows + k, sideStride, destination + ((nint)k * width) + p, width);
            for (; k < depths; k++)
            {
                for (int i = 0; i < 8; i++)
                    destination[((nint)k * width) + p + i] = rows[(i * sideStride) + k];
            }
        }

        for (; p < real; p++)
        {
            for (int k = 0; k < depths; k++)
                destination[((nint)k * width) + p] = source[(p * sideStride) + k];
        }

        for (; p < width; p++)
        {
            for (int k = 0; k < depths; k++)
                destination[((nint)k * width) + p] = 0;
        }
    }

    /// <summary>Transposes an 8 x 8 block by interleaving at widths of 1, 2 and 4 floats.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Transpose8x8(float* source, nint sourceStride, float* destination, nint destinationStride)
    {
        // Rows i and i + 4 side by side in one vector: then only steps within 128 bits are left.
        for (int half = 0; half < 2; half++, source += 4, destination += 4 * destinationStride)
        {
            var r0 = Pair(source, 4 * sourceStride);
            var r1 = Pair(source + sourceStride, 4 * sourceStride);
            var r2 = Pair(source + (2 * sourceStride), 4 * sourceStride);
            var r3 = Pair(source + (3 * sourceStride), 4 * sourceStride);
            var low01 = InterleaveLow(r0, r1);
            var high01 = InterleaveHigh(r0, r1);
            var low23 = InterleaveLow(r2, r3);
            var high23 = InterleaveHigh(r2, r3);
            InterleavePairsLow(low01, low23).Store(destination);
            InterleavePairsHigh(low01, low23).Store(destination + destinationStride);
            InterleavePairsLow(high01, high23).Store(destination + (2 * destinationStride));
            InterleavePairsHigh(high01, high23).Store(destination + (3 * destinationStride));
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector256<float> Pair(float* lower, nint distance) => Vector256.Create(Vector128.Load(lower), Vector128.Load(lower + distance));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector256<float> InterleaveLow(Vector256<float> a, Vector256<float> b) =>
        System.Runtime.Intrinsics.X86.Avx.IsSupported
            ? System.Runtime.Intrinsics.X86.Avx.UnpackLow(a, b)
            : Vector256.Create(a[0], b[0], a[1], b[1], a[4], b[4], a[5], b[5]);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector256<float> InterleaveHigh(Vector256<float> a, Vector256<float> b) =>
        System.Runtime.Intrinsics.X86.Avx.IsSupported
            ? System.Runtime.Intrinsics.X86.Avx.UnpackHigh(a, b)
            : Vector256.Create(a[2], b[2], a[3], b[3], a[6], b[6], a[7], b[7]);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector256<float> InterleavePairsLow(Vector256<float> a, Vector256<float> b) =>
        System.Runtime.Intrinsics.X86.Avx.IsSupported
            ? System.Runtime.Intrinsics.X86.Avx.Shuffle(a, b, 0x44)
            : Vector256.Create(a[0], a[1], b[0], b[1], a[4], a[5], b[4], b[5]);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector256<float> InterleavePairsHigh(Vector256<float> a, Vector256<float> b) =>
        System.Runtime.Intrinsics.X86.Avx.IsSupported
            ? System.Runtime.Intrinsics.X86.Avx.Shuffle(a, b, 0xEE)
            : Vector256.Create(a[2], a[3], b[2], b[3], a[6], a[7], b[6], b[7]);
}
