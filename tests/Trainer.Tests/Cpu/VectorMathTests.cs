using Trainer.Cpu;
using Trainer.Tests.Compute;

namespace Trainer.Tests.Cpu;

/// <remarks>The widths run on any processor: where the vectors are missing, the runtime computes them in halves.</remarks>
public sealed unsafe class VectorMathTests
{
    private static readonly float[] Special =
    [
        0f, -0f, 1e-45f, -1e-45f, 1e-38f, -1e-38f, 1e-20f, 1f, -1f, 87f, -87f, 88f, -88f, 88.4f, -88.4f, 89f, -89f, 100f, -100f, 1000f, -1000f, 1e10f, -1e10f,
        1e15f, -1e15f, 1e20f, -1e20f, float.MaxValue, float.MinValue,
    ];

    [Test]
    public void Exp_is_within_its_documented_error()
    {
        foreach (float[] values in EveryWidth(Grid(-87.33f, 88.37f, 400_000), VectorOf<Exponential>.Functions))
            Check(values, Grid(-87.33f, 88.37f, 400_000), Math.Exp, (_, exact) => 2e-7 * exact);
    }

    [Test]
    public void Exp_saturates_beyond_its_range_and_keeps_what_is_not_a_number()
    {
        float[] x = [-87.4f, -88, -100, -1000, float.MinValue, float.NegativeInfinity, 88.38f, 89, 100, 1000, float.MaxValue, float.PositiveInfinity, float.NaN, -float.NaN, 0, -0f];
        foreach (float[] y in EveryWidth(x, VectorOf<Exponential>.Functions))
        {
            Assert.That(y[..6], Is.All.InRange(1.17549435e-38f, 1.3e-38f));
            Assert.That(y[6..12], Is.All.InRange(2.3e38f, 2.5e38f));
            Assert.That(y[12..14], Is.All.NaN);
            Assert.That(y[14..], Is.All.EqualTo(1f));
        }
    }

    [Test]
    public void Gelu_is_within_rounding()
    {
        float[] x = [.. Grid(-12, 12, 400_000), .. Grid(-1e-3f, 1e-3f, 1001), .. Special];
        foreach (float[] y in EveryWidth(x, VectorOf<GeluFunction>.Functions))
            Check(y, x, ExactGelu, (at, _) => GeluTolerances.OfCpu(at));
    }

    [Test]
    public void GeluDerivative_is_within_rounding()
    {
        float[] x = [.. Grid(-12, 12, 400_000), .. Grid(-1e-3f, 1e-3f, 1001), .. Special];
        foreach (float[] y in EveryWidth(x, VectorOf<GeluDerivativeFunction>.Functions))
            Check(y, x, ExactGeluDerivative, (at, _) => GeluTolerances.OfDerivativeOnCpu(at));
    }

    [Test]
    public void Gelu_shows_what_is_not_finite()
    {
        float[] x = [float.NaN, -float.NaN, float.PositiveInfinity];
        foreach (float[] y in EveryWidth(x, VectorOf<GeluFunction>.Functions))
            Assert.That(y, Is.All.Matches<float>(value => !float.IsFinite(value)));
        foreach (float[] y in EveryWidth(x[..2], VectorOf<GeluDerivativeFunction>.Functions))
            Assert.That(y, Is.All.NaN);
    }

    [Test]
    public void Gelu_of_minus_zero_is_minus_zero()
    {
        foreach (float[] y in EveryWidth([-0f, 0f], VectorOf<GeluFunction>.Functions))
            Assert.That(y.Select(float.IsNegative), Is.EqualTo(new[] { true, false }));
    }

    [Test]
    public void Widths_give_the_same_bits()
    {
        // The ends of rows are computed with other vectors than their beginnings.
        float[] x = Grid(-90, 90, 100_000);
        foreach (var functions in new[] { VectorOf<Exponential>.Functions, VectorOf<GeluFunction>.Functions, VectorOf<GeluDerivativeFunction>.Functions })
        {
            var all = EveryWidth(x, functions).Select(y => Array.ConvertAll(y, BitConverter.SingleToInt32Bits)).ToArray();
            foreach (int[] bits in all)
                Assert.That(bits.AsSpan().SequenceEqual(all[0]));
        }
    }

    [Test]
    public void Lanes_are_added_and_compared_completely()
    {
        CheckLanes<Float1>();
        CheckLanes<Float4>();
        CheckLanes<Float8>();
        CheckLanes<Float16>();
    }

    private static void CheckLanes<T>()
        where T : struct, IVector<T>
    {
        for (int lane = 0; lane < T.Width; lane++)
        {
            var values = new float[T.Width];
            Array.Fill(values, -5f);
            values[lane] = 3;
            fixed (float* x = values)
            {
                var vector = T.Load(x);
                var squares = System.Runtime.Intrinsics.Vector512<double>.Zero;
                T.AddSquares(vector, ref squares);
                Assert.That(T.Sum(vector), Is.EqualTo(3 - (5f * (T.Width - 1))));
                Assert.That(T.MaxLane(vector), Is.EqualTo(3f));
                Assert.That(System.Runtime.Intrinsics.Vector512.Sum(squares), Is.EqualTo(9 + (25.0 * (T.Width - 1))));
            }
        }
    }

    /// <summary>0.5 x (1 + tanh u) without the cancellation that the tanh form has far below zero.</summary>
    private static double ExactGelu(double x) => x * Sigmoid(2 * U(x));

    private static double ExactGeluDerivative(double x)
    {
        if (Math.Abs(x) > 100)
            return x > 0 ? 1 : 0;
        double sigmoid = Sigmoid(2 * U(x));
        return sigmoid + (x * sigmoid * Sigmoid(-2 * U(x)) * 2 * Math.Sqrt(2 / Math.PI) * (1 + (3 * 0.044715 * x * x)));
    }

    private static double U(double x) => Math.Sqrt(2 / Math.PI) * (x + (0.044715 * x * x * x));

    private static double Sigmoid(double x) => 1 / (1 + Math.Exp(-x));

    private static float[] Grid(float from, float to, int count) =>
        [.. Enumerable.Range(0, count).Select(i => (float)Math.Clamp(from + (((double)to - from) * i / (count - 1)), from, to))];

    private static void Check(float[] actual, float[] x, Func<double, double> exact, Func<double, double, double> tolerance)
    {
        for (int i = 0; i < x.Length; i++)
        {
            double expected = exact(x[i]), error = Math.Abs(actual[i] - expected);
            if (!(error <= tolerance(x[i], expected)))
                Assert.Fail($"f({x[i]:R}) is {actual[i]:R} instead of {expected:R}, off by {error:G3} and not at most {tolerance(x[i], expected):G3}");
        }
    }

    private static IEnumerable<float[]> EveryWidth(float[] x, Action<float[], float[]>[] functions)
    {
        foreach (var function in functions)
        {
            var padded = new float[(x.Length + 15) / 16 * 16];
            var y = new float[padded.Length];
            x.CopyTo(padded, 0);
            function(padded, y);
            yield return y[..x.Length];
        }
    }

    private interface IFunction
    {
        static abstract T Apply<T>(T x)
            where T : struct, IVector<T>;
    }

    private readonly struct Exponential : IFunction
    {
        public static T Apply<T>(T x)
            where T : struct, IVector<T> => VectorMath.Exp(x);
    }

    private readonly struct GeluFunction : IFunction
    {
        public static T Apply<T>(T x)
            where T : struct, IVector<T> => VectorMath.Gelu(x);
    }

    private readonly struct GeluDerivativeFunction : IFunction
    {
        public static T Apply<T>(T x)
            where T : struct, IVector<T> => VectorMath.GeluDerivative(x);
    }

    /// <summary>A function at every width, over arrays of whole vectors.</summary>
    private static class VectorOf<TFunction>
        where TFunction : IFunction
    {
        public static readonly Action<float[], float[]>[] Functions = [Apply<Float1>, Apply<Float4>, Apply<Float8>, Apply<Float16>];

        private static void Apply<T>(float[] x, float[] y)
            where T : struct, IVector<T>
        {
            fixed (float* source = x, destination = y)
            {
                for (int i = 0; i < x.Length; i += T.Width)
                    T.Store(TFunction.Apply(T.Load(source + i)), destination + i);
            }
        }
    }
}
