using System.Runtime.CompilerServices;

namespace Trainer.Cpu;

/// <content>Tiles of 6 rows, for 16 vector registers.</content>
internal readonly unsafe partial struct MicroKernel
{
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
}
