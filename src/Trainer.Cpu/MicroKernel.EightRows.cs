using System.Runtime.CompilerServices;

namespace Trainer.Cpu;

/// <content>Tiles of 8 rows, for 32 vector registers.</content>
internal readonly unsafe partial struct MicroKernel
{
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
}
