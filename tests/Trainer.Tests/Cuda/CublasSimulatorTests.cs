using static Trainer.Tests.Cuda.SimulatedBlas;
using static Trainer.Tests.Cuda.SimulatedCuda;

namespace Trainer.Tests.Cuda;

/// <summary>The simulated cuBLASLt and cuBLAS against products in double precision.</summary>
internal sealed class CublasSimulatorTests : SimulatedDriverFixture
{
    // Neither is a multiple of a tile, and k has two blocks of the direct algorithm.
    private const int M = 70, N = 37, K = 300;
    private const uint Default = 1, WithBias = 4, Gelu = 32, GeluBias = 36, GeluAuxiliary = 160, GeluAuxiliaryBias = 164;
    private const uint GeluGradient = 192, GeluGradientBias = 208, BiasGradientA = 256, BiasGradientB = 512;
    private const int AuxiliaryLd = 72;
    private const int WorkspaceBytes = 1 << 20;

    private static readonly uint[] Epilogues =
        [Default, WithBias, Gelu, GeluBias, GeluAuxiliary, GeluAuxiliaryBias, GeluGradient, GeluGradientBias, BiasGradientA, BiasGradientB];

    [Test]
    public void Products_are_right_for_every_layout_type_epilogue_and_algorithm(
        [Values] bool transposeA, [Values] bool transposeB, [Values(Float32, BFloat16)] int input, [Values(Float32, BFloat16)] int result,
        [ValueSource(nameof(Epilogues))] uint epilogue, [Values(0f, 1f)] float beta)
    {
        // Multiples of 1/8 up to 1: products and sums are exact in fp32 in any order, so nothing but GELU and the rounding to bf16 has an error.
        if (input == Float32 && result == BFloat16)
            return;
        var random = new Random(1);
        double[] Values(int count) => [.. Enumerable.Range(0, count).Select(_ => random.Next(-8, 9) / 8.0)];
        var (aValues, bValues, cValues, bias, auxiliary) = (Values(M * K), Values(K * N), Values(M * N), Values(Math.Max(M, N)), Values(AuxiliaryLd * N));
        double A(int row, int l) => aValues[row + (l * M)];
        double B(int l, int column) => bValues[l + (column * K)];
        var a = transposeA ? Place(input, K, M, K + 3, (row, column) => A(column, row)) : Place(input, M, K, M + 3, A);
        var b = transposeB ? Place(input, N, K, N + 5, (row, column) => B(column, row)) : Place(input, K, N, K, B);
        var d = Place(result, M, N, M + 2, (row, column) => cValues[row + (column * M)]);
        ulong biasAddress = PutAs(result, bias), auxiliaryAddress = PutAs(result, auxiliary), workspace = Allocate(WorkspaceBytes);
        double[] original = Read(d.Address, result, d.Ld * N);
        using var product = new SimulatedBlas(Compute32, transposeA, transposeB, a, b, d, d);
        product.SetEpilogue(epilogue, biasAddress, auxiliaryAddress, AuxiliaryLd);
        product.SetPreference(WorkspaceBytes);
        Check(product.Heuristic(out var candidates));
        Assert.That(candidates, Has.Length.EqualTo(3));
        foreach (ref readonly var candidate in candidates.AsSpan())
        {
            PutAs(result, original, d.Address);
            PutAs(result, bias, biasAddress);
            PutAs(result, auxiliary, auxiliaryAddress);
            Check(product.Run(candidate, 0.5f, beta, workspace, WorkspaceBytes, Stream));
            double[] stored = Read(d.Address, result, d.Ld * N), storedBias = Read(biasAddress, result, bias.Length);
            double[] storedAuxiliary = Read(auxiliaryAddress, result, auxiliary.Length);
            var rowSums = new double[M];
            for (int column = 0; column < N; column++)
            {
                for (int row = 0; row < M; row++)
                {
                    double sum = 0;
                    for (int l = 0; l < K; l++)
                        sum += A(row, l) * B(l, column);
                    sum = (0.5 * sum) + (beta * cValues[row + (column * M)]);
                    if ((epilogue & WithBias) != 0)
                        sum += bias[row];
                    int at = row + (column * AuxiliaryLd);
                    if (epilogue is GeluAuxiliary or GeluAuxiliaryBias)
                        Near(storedAuxiliary[at], sum, result, 0);
                    var (expected, error) = epilogue switch
                    {
                        GeluGradient or GeluGradientBias => (sum * GeluDerivative(auxiliary[at]), GeluError(sum)),
                        Gelu or GeluBias or GeluAuxiliary or GeluAuxiliaryBias => (GeluOf(sum), GeluError(sum)),
                        _ => (sum, 0),
                    };
                    Near(stored[row + (column * d.Ld)], expected, result, error);
                    rowSums[row] += expected;
                }

                var between = ((column * d.Ld) + M)..((column + 1) * d.Ld);
                Assert.That(stored[between], Is.EqualTo(original[between]), "between the columns");
            }

            for (int i = 0; i < bias.Length; i++)
            {
                // Of the sum over N terms: their errors, and one rounding of a partial sum for each.
                if (epilogue == GeluGradientBias && i < M)
                    Near(storedBias[i], rowSums[i], result, N * (GeluError(100) + (100 * N * Rounding)));
                else if (epilogue == BiasGradientA && i < M)
                    Near(storedBias[i], Enumerable.Range(0, K).Sum(l => A(i, l)), result, 0);
                else if (epilogue == BiasGradientB && i < N)
                    Near(storedBias[i], Enumerable.Range(0, K).Sum(l => B(l, i)), result, 0);
                else
                    Assert.That(storedBias[i], Is.EqualTo(bias[i]));
            }
        }
    }

    [Test]
    public void Algorithms_differ_in_rounding_and_say_how_they_sum()
    {
        var random = new Random(2);
        float[] Values(int count) => [.. Enumerable.Range(0, count).Select(_ => random.NextSingle() - 0.5f)];
        float[] aValues = Values(K * M), bValues = Values(K * N);
        ulong workspace = Allocate(WorkspaceBytes);
        var a = new Matrix(Put(aValues), Float32, K, M, K);
        var b = new Matrix(Put(bValues), Float32, K, N, K);
        var d = new Matrix(Allocate(M * N * 4), Float32, M, N, M);
        using var product = new SimulatedBlas(Compute32, true, false, a, b, d, d);
        product.SetPreference(WorkspaceBytes);
        Check(product.Heuristic(out var candidates));
        var results = new List<float[]>();
        foreach (ref readonly var candidate in candidates.AsSpan())
        {
            Check(product.Run(candidate, 1, 0, workspace, WorkspaceBytes, Stream));
            results.Add(Get<float>(d.Address, M * N));
            double difference = results[^1].Zip(results[0], (x, y) => Math.Abs(x - y)).Max();
            Assert.That(difference, Is.LessThan(2 * K * Rounding * K / 4), "of two sums of K terms of at most 1/4");
            Assert.That(product.CheckAlgorithm(candidate), Is.Zero);
        }

        Assert.That(candidates.Select(c => Setting(c, AlgorithmId)), Is.EqualTo(new[] { 2, 1, 3 }));
        Assert.That(candidates.Select(c => Setting(c, SplitNumber)), Is.EqualTo(new[] { 1, 1, 4 }));
        Assert.That(candidates.Select(c => Setting(c, ReductionScheme)), Is.EqualTo(new[] { 0, 0, 2 }));
        Assert.That(candidates.Select(c => c.WorkspaceBytes), Is.EqualTo(new nuint[] { 64 << 10, 0, 4 * M * N * 4 }));
        Assert.That(results[1], Is.Not.EqualTo(results[0]));
        Assert.That(results[2], Is.Not.EqualTo(results[1]));

        product.SetPreference(WorkspaceBytes, schemes: 0);
        Check(product.Heuristic(out candidates));
        Assert.That(candidates.Select(c => Setting(c, AlgorithmId)), Is.EqualTo(new[] { 2, 1 }), "without splitting K");
        product.SetPreference(0);
        Check(product.Heuristic(out candidates));
        Assert.That(candidates.Select(c => Setting(c, AlgorithmId)), Is.EqualTo(new[] { 1 }), "without a workspace");
    }

    [Test]
    public void Tf32_rounds_its_inputs_and_nothing_else_does()
    {
        // 1 + 2^-11 lies between two numbers of 10 bits, and goes away from zero; 1 + 2^-12 goes to 1.
        float[] inputs = [1 + MathF.Pow(2, -11), 1 + MathF.Pow(2, -12), -1 - MathF.Pow(2, -11)];
        float[] rounded = [1 + MathF.Pow(2, -10), 1, -1 - MathF.Pow(2, -10)];
        var a = new Matrix(Put(inputs), Float32, 3, 1, 3);
        var b = new Matrix(Put(1f), Float32, 1, 1, 1);
        var d = new Matrix(Allocate(12), Float32, 3, 1, 3);
        foreach (var (compute, expected) in new[] { (Compute32, inputs), (ComputePedantic, inputs), (ComputeTf32, rounded) })
        {
            using var product = new SimulatedBlas(compute, false, false, a, b, d, d);
            Check(product.Heuristic(out var candidates));
            Check(product.Run(candidates[0], 1, 0, 0, 0, Stream));
            Assert.That(Get<float>(d.Address, 3), Is.EqualTo(expected));
        }
    }

    [Test]
    public void Batches_are_products_one_after_the_other()
    {
        var a = new Matrix(Put(1f, 2f, 3f, 4f), Float32, 1, 1, 1);
        var b = new Matrix(Put(10f, 20f, 30f, 40f), Float32, 1, 1, 1);
        var d = new Matrix(Allocate(16), Float32, 1, 1, 1);
        using var product = new SimulatedBlas(Compute32, false, false, a, b, d, d, batch: 4, stride: 1);
        Check(product.Heuristic(out var candidates));
        Check(product.Run(candidates[0], 1, 0, 0, 0, Stream));
        Assert.That(Get<float>(d.Address, 4), Is.EqualTo(new[] { 10f, 40f, 90f, 160f }));
    }

    [Test]
    public void Products_follow_streams_and_graphs()
    {
        var a = new Matrix(Put(2f), Float32, 1, 1, 1);
        var d = new Matrix(Put(3f), Float32, 1, 1, 1);
        using var product = new SimulatedBlas(Compute32, false, false, a, a, d, d);
        Check(product.Heuristic(out var candidates));
        SetLazy(true);
        Check(product.Run(candidates[0], 1, 1, 0, 0, Stream));
        Assert.That(ExecutedKernels, Is.Zero);
        Check(Synchronize(Stream));
        Check(BeginCapture(Stream));
        Check(product.Run(candidates[0], 1, 1, 0, 0, Stream));
        Check(EndCapture(Stream, out nint graph));
        Check(Instantiate(out nint executable, graph));
        Check(LaunchGraph(executable, Stream));
        Check(LaunchGraph(executable, Stream));
        Assert.That(Get<float>(d.Address, 1), Is.EqualTo(new[] { 15f }), "3 + 3 times 2 2");
        SetEmptyKernels(true);
        Check(LaunchGraph(executable, Stream));
        Assert.That(Get<float>(d.Address, 1), Is.EqualTo(new[] { 15f }));
        Assert.That(ExecutedKernels, Is.EqualTo(4));
        Check(Free(a.Address));
        Check(LaunchGraph(executable, Stream));
        Fails(Synchronize(Stream), IllegalAddress, "matrix A, 4 bytes: .*freed allocation");
        Assert.That(product.Run(candidates[0], 1, 1, 0, 0, Stream), Is.EqualTo(ExecutionFailed));
    }

    [Test]
    public void Mistakes_are_refused()
    {
        ulong memory = Allocate(4096), workspace = Allocate(WorkspaceBytes);
        Matrix At(long offset, int rows, int columns, int type = Float32, int? ld = null) => new(memory + (ulong)offset, type, rows, columns, ld ?? rows);
        void Expect(int status, string message, Matrix a, Matrix b, Matrix d, Action<SimulatedBlas>? change = null, int compute = Compute32)
        {
            using var product = new SimulatedBlas(compute, false, false, a, b, d, d);
            change?.Invoke(product);
            int result = product.Heuristic(out var candidates);
            if (result == 0)
                result = product.Run(candidates[0], 1, 1, workspace, 0, Stream);
            Fails(result, status, message);
        }

        Expect(InvalidStatus, "A has not as many columns as B has rows", At(0, 4, 4), At(256, 5, 4), At(512, 4, 4));
        Expect(InvalidStatus, "C or D has another shape", At(0, 4, 4), At(256, 4, 4), At(512, 4, 5));
        Expect(InvalidStatus, "leading dimension of matrix A", At(0, 4, 4, ld: 3), At(256, 4, 4), At(512, 4, 4));
        Expect(NotSupportedStatus, "a bf16 result of fp32 matrices", At(0, 4, 4), At(256, 4, 4), At(512, 4, 4, BFloat16));
        Expect(NotSupportedStatus, "A and B.*have different elements", At(0, 4, 4), At(256, 4, 4, BFloat16), At(512, 4, 4));
        Expect(NotSupportedStatus, "TF32 of matrices that are not fp32", At(0, 4, 4, BFloat16), At(256, 4, 4, BFloat16), At(512, 4, 4), compute: ComputeTf32);
        Expect(NotSupportedStatus, "elements of type 2", At(0, 4, 4, 2), At(256, 4, 4), At(512, 4, 4));
        Expect(NotSupportedStatus, "epilogue 2 ", At(0, 4, 4), At(256, 4, 4), At(512, 4, 4), p => p.SetEpilogue(2));
        Expect(
            InvalidStatus, "leading dimension of at least its rows, divisible by 8", At(0, 4, 4), At(256, 4, 4), At(512, 4, 4),
            p => p.SetEpilogue(GeluAuxiliary, 0, memory + 1024, 4));
        Expect(InvalidStatus, "matrix C, 64 bytes: .*byte 4096 of allocation 1", At(0, 4, 4), At(256, 4, 4), At(4096, 4, 4));
        Expect(InvalidStatus, "the bias, 16 bytes: 0x1 is no device memory", At(0, 4, 4), At(256, 4, 4), At(512, 4, 4), p => p.SetEpilogue(WithBias, 1));
        Expect(InvalidStatus, "matrix D, which is written, overlaps matrix B", At(0, 4, 4), At(256, 4, 4), At(256, 4, 4));
        Expect(InvalidStatus, "matrix A .* is not aligned to the 256 bytes that the preference promised", At(64, 4, 4), At(256, 4, 4), At(512, 4, 4));
        Expect(
            InvalidStatus, "needs a workspace of 65536 bytes, and there are 0", At(0, 4, 4), At(256, 4, 4), At(512, 4, 4),
            p => p.SetPreference(WorkspaceBytes));
        using var aligned = new SimulatedBlas(Compute32, false, false, At(64, 4, 4), At(256, 4, 4), At(512, 4, 4), At(512, 4, 4));
        aligned.SetPreference(0, alignmentOfA: 16);
        Check(aligned.Heuristic(out var candidates));
        Check(aligned.Run(candidates[0], 1, 0, 0, 0, Stream));
        using var other = new SimulatedBlas(Compute32, false, false, At(0, 8, 4), At(256, 4, 4), At(512, 8, 4), At(512, 8, 4));
        Fails(other.CheckAlgorithm(candidates[0]), InvalidStatus, "chosen for another product");
        Fails(other.Run(candidates[0], 1, 0, 0, 0, Stream), InvalidStatus, "chosen for another product");
        Fails(other.CheckAlgorithm(default), InvalidStatus, "none of this library's");
    }

    [Test]
    public void Objects_are_counted_and_failures_injected()
    {
        var a = new Matrix(Put(2f), Float32, 1, 1, 1);
        var d = new Matrix(Put(3f), Float32, 1, 1, 1);
        int before = LiveObjects.Count;
        var product = new SimulatedBlas(Compute32, false, false, a, a, d, d);
        Assert.That(LiveObjects.Count, Is.EqualTo(before + 7));
        Assert.That(LiveObjects.Text, Does.Contain("cuBLASLt handle 1").And.Contain("cuBLASLt matrix layout 4").And.Contain("cuBLASLt preference 1"));
        SetFailures("cublasLtMatmulAlgoGetHeuristic:1=15,cublasLtMatmul:1=13");
        Fails(product.Heuristic(out _), NotSupportedStatus, "a failure that was asked for");
        Check(product.Heuristic(out var candidates));
        Fails(product.Run(candidates[0], 1, 0, 0, 0, Stream), ExecutionFailed, "a failure that was asked for");
        Check(product.Run(candidates[0], 1, 0, 0, 0, Stream));
        Assert.That(Calls("cublasLtMatmul"), Is.EqualTo(2));
        product.Dispose();
        Assert.That(LiveObjects.Count, Is.EqualTo(before));
        Assert.That(product.Heuristic(out _), Is.EqualTo(NotInitialized));
        Assert.That(Message, Does.Contain("was destroyed"));
    }

    [Test]
    public unsafe void The_classical_library_computes_the_same()
    {
        nint blas;
        Check(((delegate* unmanaged<nint*, int>)Export("cublasCreate_v2"))(&blas));
        var setStream = (delegate* unmanaged<nint, nint, int>)Export("cublasSetStream_v2");
        var setWorkspace = (delegate* unmanaged<nint, ulong, nuint, int>)Export("cublasSetWorkspace_v2");
        var setMath = (delegate* unmanaged<nint, int, int>)Export("cublasSetMathMode");
        var gemm = (delegate* unmanaged<nint, int, int, int, int, int, float*, ulong, int, int, ulong, int, int, float*, ulong, int, int, int, int, int>)
            Export("cublasGemmEx");
        float[] aValues = [1, 2, 3, 4, 5, 6], bValues = [1, 0, 2, 0, 1, 3];
        ulong a = Put(aValues), b = Put(bValues), c = Put(100f, 200f, 300f, 400f), workspace = Allocate(256);
        float one = 1, zero = 0;
        int Gemm(nint handle)
        {
            float alpha = 1, beta = 1;
            return gemm(handle, 1, 0, 2, 2, 3, &alpha, a, Float32, 3, b, Float32, 3, &beta, c, Float32, 2, Compute32, -1);
        }

        // A is 3 x 2 and transposed: its columns are the rows of op(A).
        float[] expected = [107, 216, 311, 423];
        Check(setStream(blas, Stream));
        Check(Gemm(blas));
        Assert.That(Get<float>(c, 4), Is.EqualTo(expected));

        Check(BeginCapture(Stream));
        Fails(Gemm(blas), NotSupportedStatus, "captured without cublasSetWorkspace");
        Check(EndCapture(Stream, out _));
        Check(setWorkspace(blas, workspace, 256));
        Check(BeginCapture(Stream));
        Check(Gemm(blas));
        Check(EndCapture(Stream, out _));
        Fails(setWorkspace(blas, workspace, 257), InvalidStatus, "257 bytes");
        int tooNarrow = gemm(blas, 0, 0, 2, 2, 3, &one, a, Float32, 1, b, Float32, 3, &zero, c, Float32, 2, Compute32, -1);
        Fails(tooNarrow, InvalidStatus, "leading dimension of matrix A");

        Put(a, 1 + MathF.Pow(2, -12));
        Check(setMath(blas, 3));
        Check(gemm(blas, 0, 0, 1, 1, 1, &one, a, Float32, 1, b, Float32, 1, &zero, c, Float32, 1, Compute32, -1));
        Assert.That(Get<float>(c, 1), Is.EqualTo(new[] { 1f }), "TF32");
        int version;
        Check(((delegate* unmanaged<nint, int*, int>)Export("cublasGetVersion_v2"))(blas, &version));
        Assert.That(version, Is.EqualTo(120405));
        Assert.That(LiveObjects.Text, Does.Contain("cuBLAS handle 1"));
        var destroy = (delegate* unmanaged<nint, int>)Export("cublasDestroy_v2");
        Check(destroy(blas));
        Assert.That(destroy(blas), Is.EqualTo(NotInitialized));
    }

    // Relative error of one rounding to fp32.
    private static readonly double Rounding = Math.Pow(2, -24);

    // GELU and its derivative take about ten fp32 operations, tanh among them, on numbers of at most x: 32 roundings bound their error.
    private static double GeluError(double x) => 32 * Rounding * Math.Max(1, Math.Abs(x));

    private static double GeluOf(double x) => 0.5 * x * (1 + Math.Tanh(Math.Sqrt(2 / Math.PI) * (x + (0.044715 * x * x * x))));

    private static double GeluDerivative(double x)
    {
        double c = Math.Sqrt(2 / Math.PI), t = Math.Tanh(c * (x + (0.044715 * x * x * x)));
        return (0.5 * (1 + t)) + (0.5 * x * (1 - (t * t)) * c * (1 + (3 * 0.044715 * x * x)));
    }

    private static void Near(double actual, double expected, int type, double error)
    {
        // What is exact before it is stored is rounded once, to the nearest; bf16 has eight bits.
        double rounded = type == BFloat16 ? RoundToBFloat16(expected) : expected;
        double tolerance = error == 0 ? 0 : error + (type == BFloat16 ? (Math.Abs(expected) + error) * Math.Pow(2, -8) : 0);
        if (!(Math.Abs(actual - (error == 0 ? rounded : expected)) <= tolerance))
            Assert.Fail($"{actual} is not {expected} within {tolerance}");
    }

    private static double RoundToBFloat16(double value)
    {
        uint bits = BitConverter.SingleToUInt32Bits((float)value);
        return BitConverter.UInt32BitsToSingle((bits + 0x7fff + ((bits >> 16) & 1)) & 0xffff0000);
    }

    private Matrix Place(int type, int rows, int columns, int ld, Func<int, int, double> value)
    {
        var values = new double[ld * columns];
        Array.Fill(values, 1000);
        for (int column = 0; column < columns; column++)
        {
            for (int row = 0; row < rows; row++)
                values[row + (column * ld)] = value(row, column);
        }

        return new(PutAs(type, values), type, rows, columns, ld);
    }

    private ulong PutAs(int type, double[] values, ulong address = 0)
    {
        address = address == 0 ? Allocate(values.Length * (type == Float32 ? 4 : 2)) : address;
        if (type == Float32)
            Put(address, values.Select(v => (float)v).ToArray());
        else
            Put(address, values.Select(v => (ushort)(BitConverter.SingleToUInt32Bits((float)v) >> 16)).ToArray());
        return address;
    }

    private double[] Read(ulong address, int type, int count) => type == Float32
        ? [.. Get<float>(address, count).Select(v => (double)v)]
        : [.. Get<ushort>(address, count).Select(v => (double)BitConverter.UInt32BitsToSingle((uint)v << 16))];
}
