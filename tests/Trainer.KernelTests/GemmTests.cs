using Trainer.Cuda.Kernels;

namespace Trainer.KernelTests;

/// <summary>The matrix products of a linear layer, every version of them, against double precision.</summary>
/// <remarks>
/// Tolerances. A product of two bf16 is exact in fp32, and one of two fp32 is part of a fused multiply-add. Each term passes through at most one
/// addition for each term of its sum (one for the bias, one for each split), and a tensor core may cut off what round to nearest would keep: relative to
/// the sum of the magnitudes, 2 U for each. An output is rounded once more, to its type. In tf32 the factors are rounded first, by 2^-11 at most, and then
/// their products are exact: references take the rounded factors, so that the same bound holds.
/// </remarks>
[TestFixture("mma")]
[TestFixture("f32")]
[TestFixture("tf32")]
[TestFixture("wgmma 128")]
[TestFixture("wgmma 192")]
[TestFixture("wgmma 256")]
[Category("Device")]
internal sealed class GemmTests(string name)
{
    private const double U = TestValues.UnitRoundoff;

    private readonly GemmImplementation _gemm = GemmImplementation.Create(name);

    private KernelType Type => _gemm.Type;

    // At, below and above the tiles of 128 to 256 by 128 and their depths of 32 and 64, in each of the three directions.
    private static readonly LayerShape[] Shapes =
    [
        new(1, 8, 8), new(1, 264, 136), new(128, 128, 128), new(127, 120, 248), new(129, 136, 264), new(31, 8, 392), new(63, 256, 64), new(64, 192, 192),
        new(65, 200, 184), new(33, 72, 32), new(260, 520, 40),

        // More tiles than the eight that the order of tiles takes together, in each direction.
        new(1100, 8, 16), new(8, 1104, 16),
    ];

    private static readonly double[] Magnitudes = [1e17, 1e-15];

    [Test]
    public void Forward([ValueSource(nameof(Shapes))] LayerShape shape) => CheckForward(shape, bias: true, gelu: false, magnitude: 1);

    [Test]
    public void Forward_gelu([ValueSource(nameof(Shapes))] LayerShape shape) => CheckForward(shape, bias: true, gelu: true, magnitude: 1);

    [Test]
    public void Forward_without_bias([Values] bool gelu) => CheckForward(new(40, 136, 72), bias: false, gelu, magnitude: 1);

    [Test]
    public void Forward_of_large_and_tiny_numbers([ValueSource(nameof(Magnitudes))] double magnitude, [Values] bool gelu) =>
        CheckForward(new(40, 136, 72), bias: true, gelu, magnitude);

    [Test]
    public void Backward_input([ValueSource(nameof(Shapes))] LayerShape shape, [Values] bool gelu) => CheckBackwardInput(shape, gelu, magnitude: 1);

    [Test]
    public void Backward_input_of_large_and_tiny_numbers([ValueSource(nameof(Magnitudes))] double magnitude, [Values] bool gelu) =>
        CheckBackwardInput(new(40, 72, 136), gelu, magnitude);

    [Test]
    public void Backward_weight([ValueSource(nameof(Shapes))] LayerShape shape) =>
        CheckBackwardWeight(shape, bias: true, splits: 1, accumulate: true, magnitude: 1);

    // 200 rows are seven tiles of 32 or four of 64.
    [Test]
    public void Backward_weight_in_splits([Values(1, 2, 3)] int splits, [Values] bool bias, [Values] bool accumulate) =>
        CheckBackwardWeight(new(200, 136, 72), bias, splits, accumulate, magnitude: 1);

    [Test]
    public void Backward_weight_in_splits_of_many_tiles() => CheckBackwardWeight(new(130, 264, 264), bias: true, splits: 2, accumulate: false, magnitude: 1);

    [Test]
    public void Backward_weight_of_large_and_tiny_numbers([ValueSource(nameof(Magnitudes))] double magnitude, [Values(1, 2)] int splits) =>
        CheckBackwardWeight(new(70, 72, 136), bias: true, splits, accumulate: true, magnitude);

    /// <summary>The NaN of a GPU's arithmetic, all bits but the sign, which rounding by integers would turn into a zero.</summary>
    [Test]
    public void Not_a_number_spoils_its_row_and_no_other() => KernelRun.InAllOrders(run =>
    {
        LayerShape shape = new(3, 8, 24);
        float[] x = Values(shape.R * shape.K, 11, 1);
        x[shape.K + 5] = BitConverter.Int32BitsToSingle(0x7fffffff);
        var y = run.Output("y", Type.Buffer(), shape.R * shape.N);
        var call = _gemm.Forward(shape, y, null, run.Values(Type, "x", x), run.Values(Type, "weight", Values(shape.N * shape.K, 12, 1)), null);
        run.Launch(call.Launch, call.Arguments);
        Assert.That(y.Values().Select(double.IsNaN), Is.EqualTo(Enumerable.Range(0, shape.R * shape.N).Select(i => i / shape.N == 1)));
    });

    [TestCase(1)]
    [TestCase(3)]
    public void Each_launch_costs_what_it_says(int splits) => KernelRun.Once(run =>
    {
        LayerShape shape = new(200, 272, 144);
        var (r, n, k) = shape;
        DeviceBuffer x = run.Values(Type, "x", new float[r * k]), weight = run.Values(Type, "weight", new float[n * k]);
        DeviceBuffer bias = run.Values(Type, "bias", new float[n]);
        DeviceBuffer y = run.Output("y", Type.Buffer(), r * n), pre = run.Values(Type, "pre", new float[r * k]), dx = run.Output("dx", Type.Buffer(), r * k);
        DeviceBuffer dy = run.Values(Type, "dy", new float[r * n]), beforeGelu = run.Output("pre of y", Type.Buffer(), r * n);
        DeviceBuffer dWeight = run.Float("dweight", new float[n * k], changing: true), dBias = run.Float("dbias", new float[n], changing: true);
        var partial = splits > 1 ? run.Output("partial", BufferType.Float, GemmKernels.PartialCount(n, k, splits)) : null;
        KernelCall[] calls =
        [
            _gemm.Forward(shape, y, null, x, weight, bias), _gemm.Forward(shape, y, null, x, weight, null),
            _gemm.Forward(shape, y, beforeGelu, x, weight, bias),
            _gemm.BackwardInput(shape, dx, dy, weight, null), _gemm.BackwardInput(shape, dx, dy, weight, pre),
            _gemm.BackwardWeight(shape, dWeight, dBias, partial, dy, x, splits, accumulate: true),
            _gemm.BackwardWeight(shape, dWeight, dBias, partial, dy, x, splits, accumulate: false),
            _gemm.BackwardWeight(shape, dWeight, null, partial, dy, x, splits, accumulate: true),
        ];
        foreach (var call in calls)
        {
            var traffic = run.Trace(call.Launch, call.Arguments);
            if (_gemm.TensorFlops(traffic) is { } flops)
                Assert.That(flops, Is.EqualTo((ulong)call.Launch.Flops), $"{call.Launch.Kernel}: operations of tensor cores");
            Assert.That(traffic.LoadedBytes + traffic.StoredBytes, Is.EqualTo((ulong)call.Launch.Bytes), $"{call.Launch.Kernel}: bytes of device memory");
            Assert.That(traffic.SharedConflicts, Is.Zero, $"{call.Launch.Kernel}: conflicts between banks of shared memory");
            Assert.That(traffic.StoreSectors * 32, Is.EqualTo(traffic.StoredBytes), $"{call.Launch.Kernel}: whole sectors");
        }

        if (splits > 1)
        {
            foreach (bool accumulate in new[] { true, false })
            {
                var reduce = GemmImplementation.ReduceSplits(shape, dWeight, dBias, partial!, splits, accumulate);
                var traffic = run.Trace(reduce.Launch, reduce.Arguments);
                Assert.That(traffic.LoadedBytes + traffic.StoredBytes, Is.EqualTo((ulong)reduce.Launch.Bytes));
                Assert.That((traffic.LoadSectors + traffic.StoreSectors) * 32, Is.EqualTo((ulong)reduce.Launch.Bytes));
            }
        }
    });

    private void CheckForward(LayerShape shape, bool bias, bool gelu, double magnitude)
    {
        var (r, n, k) = shape;
        float[] x = Values(r * k, 1, magnitude), weight = Values(n * k, 2, magnitude / Math.Sqrt(k)), b = Values(n, 3, magnitude * magnitude);
        double[] sums = ReferenceOperations.LinearForward(Factors(x), Factors(weight), bias ? b.Doubles() : null, r, n, k);
        double[] terms = ReferenceOperations.LinearForward(FactorMagnitudes(x), FactorMagnitudes(weight), bias ? b.Magnitudes() : null, r, n, k);
        double[] errors = terms.Scaled(2 * U * (k + 1)), activations = Array.ConvertAll(sums, ReferenceOperations.Gelu);
        double[] activationErrors = [.. sums.Zip(errors, (sum, error) => (GeluTolerances.LargestSlope * error) + GeluTolerances.OfGpu(sum))];
        KernelRun.InAllOrders(run =>
        {
            var (y, pre) = (run.Output("y", Type.Buffer(), r * n), gelu ? run.Output("pre", Type.Buffer(), r * n) : null);
            var call = _gemm.Forward(shape, y, pre, run.Values(Type, "x", x), run.Values(Type, "weight", weight), bias ? run.Values(Type, "bias", b) : null);
            run.Launch(call.Launch, call.Arguments);
            if (pre != null)
                run.Expect(pre, sums, Rounded(sums, errors));
            run.Expect(y, gelu ? activations : sums, gelu ? Rounded(activations, activationErrors) : Rounded(sums, errors));
        });
    }

    private void CheckBackwardInput(LayerShape shape, bool gelu, double magnitude)
    {
        var (r, n, k) = shape;
        float[] dy = Values(r * n, 4, magnitude), weight = Values(n * k, 5, magnitude / Math.Sqrt(n)), pre = Values(r * k, 6, 2 * magnitude);
        double[] dx = ReferenceOperations.LinearBackwardInput(Factors(dy), Factors(weight), gelu ? pre.Doubles() : null, r, n, k);
        double[] errors = ReferenceOperations.LinearBackwardInput(FactorMagnitudes(dy), FactorMagnitudes(weight), null, r, n, k).Scaled(2 * U * n);
        for (int i = 0; gelu && i < errors.Length; i++)
        {
            // errors[i] / (2 U n) bounds the sum that the derivative is multiplied with.
            double sum = errors[i] / (2 * U * n);
            errors[i] = (GeluTolerances.LargestSlope * errors[i]) + (sum * (GeluTolerances.OfDerivativeOnGpu(pre[i]) + (2 * U)));
        }

        KernelRun.InAllOrders(run =>
        {
            var output = run.Output("dx", Type.Buffer(), r * k);
            var before = gelu ? run.Values(Type, "pre", pre) : null;
            var call = _gemm.BackwardInput(shape, output, run.Values(Type, "dy", dy), run.Values(Type, "weight", weight), before);
            run.Launch(call.Launch, call.Arguments);
            run.Expect(output, dx, Rounded(dx, errors));
        });
    }

    private void CheckBackwardWeight(LayerShape shape, bool bias, int splits, bool accumulate, double magnitude)
    {
        var (r, n, k) = shape;
        float[] dy = Values(r * n, 7, magnitude), x = Values(r * k, 8, magnitude);
        float[] old = Floats(n * k, 9, magnitude * magnitude), oldBias = Floats(n, 10, magnitude);
        double[] expected = accumulate ? old.Doubles() : new double[n * k], expectedBias = accumulate ? oldBias.Doubles() : new double[n];
        double[] terms = accumulate ? old.Magnitudes() : new double[n * k], biasTerms = accumulate ? oldBias.Magnitudes() : new double[n];
        ReferenceOperations.LinearBackwardWeight(expected, null, Factors(dy), Factors(x), r, n, k);
        ReferenceOperations.LinearBackwardWeight(terms, null, FactorMagnitudes(dy), FactorMagnitudes(x), r, n, k);
        for (int i = 0; i < r * n; i++)
        {
            expectedBias[i % n] += dy[i];
            biasTerms[i % n] += Math.Abs((double)dy[i]);
        }

        double factor = 2 * U * (r + splits);
        KernelRun.InAllOrders(run =>
        {
            DeviceBuffer Gradient(string what, float[] values) =>
                accumulate ? run.Float(what, values, changing: true) : run.Output(what, BufferType.Float, values.Length);
            var (dWeight, dBias) = (Gradient("dweight", old), bias ? Gradient("dbias", oldBias) : null);
            var partial = splits > 1 ? run.Output("partial", BufferType.Float, GemmKernels.PartialCount(n, k, splits)) : null;
            var call = _gemm.BackwardWeight(shape, dWeight, dBias, partial, run.Values(Type, "dy", dy), run.Values(Type, "x", x), splits, accumulate);
            run.Launch(call.Launch, call.Arguments);
            if (partial != null)
            {
                var reduce = GemmImplementation.ReduceSplits(shape, dWeight, dBias, partial, splits, accumulate);
                run.Launch(reduce.Launch, reduce.Arguments);
            }

            run.Expect(dWeight, expected, terms.Scaled(factor));
            if (dBias != null)
                run.Expect(dBias, expectedBias, biasTerms.Scaled(factor));
        });
    }

    private static float[] Floats(int count, ulong stream, double deviation) => TestValues.Normal(count, stream, deviation);

    private float[] Values(int count, ulong stream, double deviation) => Floats(count, stream, deviation).RoundedTo(Type);

    private double[] Factors(float[] values) => _gemm.Factors(values).Doubles();

    private double[] FactorMagnitudes(float[] values) => _gemm.Factors(values).Magnitudes();

    private double[] Rounded(double[] values, double[] errors) =>
        [.. values.Zip(errors, (value, error) => error + (Type.UnitRoundoff() * (Math.Abs(value) + error)) + Bf16.Tiny)];
}
