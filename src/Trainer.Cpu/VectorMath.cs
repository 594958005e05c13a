using System.Runtime.CompilerServices;

namespace Trainer.Cpu;

/// <summary>Elementary functions over vectors of any width.</summary>
internal static class VectorMath
{
    /// <summary>√(2/π), the constant of the tanh GELU.</summary>
    private const float GeluScale = 0.7978845608028654f;
    private const float GeluCubic = 0.044715f;

    /// <summary>
    /// eˣ with a relative error below 2e-7. Arguments are brought to |r| ≤ ln 2 / 2 by powers of two (ln 2 in two parts, so that the
    /// subtraction is exact), then a polynomial of degree 6 with the coefficients of Cephes' expf. Results are held
    /// between 1.2e-38 and 2.4e38, the range of normal numbers; a NaN stays one.
    /// </summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static TVector Exp<TVector>(TVector x)
        where TVector : struct, IVector<TVector>
    {
        var rounder = TVector.Create(12582912f); // 1.5 * 2^23: adding and subtracting it rounds to a whole number
        x = TVector.Min(TVector.Create(88.37f), TVector.Max(TVector.Create(-87.33f), x));
        var n = TVector.MultiplyAdd(x, TVector.Create(1.44269504f), rounder) - rounder;
        var r = TVector.MultiplyAdd(n, TVector.Create(-0.693359375f), x);
        r = TVector.MultiplyAdd(n, TVector.Create(2.12194440e-4f), r);
        var p = TVector.Create(1.9875691500e-4f);
        p = TVector.MultiplyAdd(p, r, TVector.Create(1.3981999507e-3f));
        p = TVector.MultiplyAdd(p, r, TVector.Create(8.3334519073e-3f));
        p = TVector.MultiplyAdd(p, r, TVector.Create(4.1665795894e-2f));
        p = TVector.MultiplyAdd(p, r, TVector.Create(1.6666665459e-1f));
        p = TVector.MultiplyAdd(p, r, TVector.Create(0.5f));
        p = TVector.MultiplyAdd(p, r * r, r + TVector.Create(1f));
        return TVector.ScaleByPowerOfTwo(p, n);
    }

    /// <summary>The tanh GELU as x · σ(2u), u = √(2/π)(x + 0.044715 x³): the same function, since (1 + tanh u) / 2 = σ(2u).</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static TVector Gelu<TVector>(TVector x)
        where TVector : struct, IVector<TVector> => x * (TVector.Create(1f) / (TVector.Create(1f) + ExpOfMinusTwiceU(x)));

    /// <summary>The derivative of <see cref="Gelu"/>: σ + x σ (1 - σ) 2u', u' = √(2/π)(1 + 3 · 0.044715 x²).</summary>
    /// <remarks>
    /// With e = exp(-2u), 1 - σ is taken as e σ: the difference loses all its digits as σ comes near 1, and x 2u' makes 33 roundings of
    /// that at x = 5. Beyond ±30 the derivative is 1 or 0 to the last bit, but x² would overflow there.
    /// </remarks>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static TVector GeluDerivative<TVector>(TVector x)
        where TVector : struct, IVector<TVector>
    {
        x = TVector.Min(TVector.Create(30f), TVector.Max(TVector.Create(-30f), x));
        var e = ExpOfMinusTwiceU(x);
        var sigmoid = TVector.Create(1f) / (TVector.Create(1f) + e);
        var twiceSlope = TVector.MultiplyAdd(x * x, TVector.Create(2f * GeluScale * 3f * GeluCubic), TVector.Create(2f * GeluScale));
        return TVector.MultiplyAdd(x * sigmoid * (e * sigmoid), twiceSlope, sigmoid);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static TVector ExpOfMinusTwiceU<TVector>(TVector x)
        where TVector : struct, IVector<TVector> =>
        Exp(x * TVector.MultiplyAdd(x * x, TVector.Create(-2f * GeluScale * GeluCubic), TVector.Create(-2f * GeluScale)));
}
