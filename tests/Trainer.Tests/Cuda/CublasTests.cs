using Trainer.Cuda;

namespace Trainer.Tests.Cuda;

/// <summary>Products of whole numbers that every format and order of summation holds exactly, on the simulated libraries.</summary>
public sealed unsafe class CublasTests
{
    private const int M = 8, N = 16, K = 256;

    private readonly List<ulong> _allocated = [];
    private nint _stream;

    [OneTimeSetUp]
    public void Start()
    {
        SimulatedDriver.Require();
        if (!CudaLibraries.HasCublas || !CudaLibraries.HasCublasLt)
            Assert.Ignore("there is no simulated cuBLAS beside the simulated driver");
        Driver.Initialize();
        SimulatedDriver.SetPrinting(false);
    }

    [OneTimeTearDown]
    public void Stop() => SimulatedDriver.SetPrinting(true);

    [SetUp]
    public void CreateStream()
    {
        Driver.SetContext(Driver.RetainContext(Driver.GetDevice(0)));
        _stream = Driver.CreateStream();
    }

    [TearDown]
    public void Free()
    {
        foreach (ulong memory in _allocated)
            Driver.Free(memory);
        _allocated.Clear();
        Driver.DestroyStream(_stream);
        Driver.ReleaseContext(Driver.GetDevice(0));
    }

    [Test]
    public void The_classical_product_has_its_operands_in_the_right_places([Values] bool transposeA, [Values] bool transposeB, [Values] bool bfloat16)
    {
        (float[] a, float[] b, float[] c) = (Numbers(M * K, 3), Numbers(K * N, 5), Numbers(M * N, 7));
        CudaDataType input = bfloat16 ? CudaDataType.BFloat16 : CudaDataType.Float32;
        ulong workspace = Allocate(1 << 16), deviceA = Upload(a, input), deviceB = Upload(b, input), deviceC = Upload(c, CudaDataType.Float32);

        nint blas = Driver.CreateBlas();
        Assert.That(Driver.BlasVersion(blas), Is.GreaterThanOrEqualTo(120000));
        Driver.SetBlasStream(blas, _stream);
        Driver.SetBlasWorkspace(blas, workspace, 1 << 16);
        Driver.GemmEx(
            blas, transposeA, transposeB, M, N, K,
            2, deviceA, input, transposeA ? K : M, deviceB, input, transposeB ? N : K,
            -1, deviceC, CudaDataType.Float32, M, bfloat16 ? ComputeType.Float32 : ComputeType.TensorFloat32);
        Driver.DestroyBlas(blas);

        Assert.That(Download(deviceC), Is.EqualTo(Product(2, a, transposeA, b, transposeB, -1, c)));
    }

    [Test]
    public void A_failure_of_cuBLAS_names_call_and_status()
    {
        nint blas = Driver.CreateBlas();
        ulong memory = Allocate(1024);

        // Columns of 8 elements cannot be 4 apart.
        Assert.That(Multiply, Throws.TypeOf<CublasException>().With.Message.StartsWith("cublasGemmEx failed: CUBLAS_STATUS_INVALID_VALUE (7), "));
        Driver.DestroyBlas(blas);

        void Multiply() => Driver.GemmEx(
            blas, false, false, 8, 8, 8,
            1, memory, CudaDataType.Float32, 4, memory, CudaDataType.Float32, 8,
            0, memory, CudaDataType.Float32, 8, ComputeType.Float32);
    }

    [Test]
    public void A_product_with_bias_is_planned_checked_and_computed()
    {
        (float[] a, float[] b, float[] bias) = (Numbers(K * M, 3), Numbers(K * N, 5), Numbers(M, 7));
        ulong deviceA = Upload(a, CudaDataType.BFloat16), deviceB = Upload(b, CudaDataType.BFloat16), deviceBias = Upload(bias, CudaDataType.Float32);
        ulong deviceD = Upload(new float[M * N], CudaDataType.Float32);
        const int workspaceBytes = 1 << 20;
        ulong workspace = Allocate(workspaceBytes);

        nint handle = CublasLt.Create();
        Assert.That(CublasLt.Version(), Is.GreaterThanOrEqualTo(120000));
        nint matmul = CublasLt.CreateMatmul(ComputeType.Float32);
        CublasLt.SetTransposes(matmul, transposeA: true, transposeB: false);
        CublasLt.SetEpilogue(matmul, MatmulEpilogue.Bias);
        CublasLt.SetBiasType(matmul, CudaDataType.Float32);
        CublasLt.SetBias(matmul, deviceBias);
        nint layoutA = CublasLt.CreateLayout(CudaDataType.BFloat16, K, M, K);
        nint layoutB = CublasLt.CreateLayout(CudaDataType.BFloat16, K, N, K);
        nint layoutD = CublasLt.CreateLayout(CudaDataType.Float32, M, N, M);

        var whole = Find(ReductionSchemes.None);
        var split = Find(ReductionSchemes.ComputeType);
        Assert.That(whole.Select(found => CublasLt.Setting(found.Algorithm, AlgorithmSetting.SplitK)), Is.All.LessThanOrEqualTo(1));
        Assert.That(split.Select(found => CublasLt.Setting(found.Algorithm, AlgorithmSetting.SplitK)), Has.Some.GreaterThan(1));

        float[] sums = Product(1, a, true, b, false, 0, new float[M * N]);
        float[] expected = [.. sums.Select((sum, i) => sum + bias[i % M])];
        foreach (MatmulHeuristic found in split)
        {
            Assert.That(CublasLt.CheckAlgorithm(handle, matmul, layoutA, layoutB, layoutD, layoutD, found.Algorithm, out MatmulHeuristic kept), Is.True);
            Assert.That((kept.State, kept.WorkspaceBytes), Is.EqualTo((0, found.WorkspaceBytes)));
            Driver.Fill(deviceD, 0xff, M * N * sizeof(float), _stream);
            Compute(found.Algorithm);
            Assert.That(Download(deviceD), Is.EqualTo(expected), $"algorithm {CublasLt.Setting(found.Algorithm, AlgorithmSetting.Id)}");
        }

        Assert.That(CublasLt.CheckAlgorithm(handle, matmul, layoutA, layoutB, layoutD, layoutD, default, out _), Is.False);
        long before = GC.GetAllocatedBytesForCurrentThread();
        Compute(split[0].Algorithm);
        Assert.That(GC.GetAllocatedBytesForCurrentThread() - before, Is.Zero);

        CublasLt.DestroyLayout(layoutA);
        CublasLt.DestroyLayout(layoutB);
        CublasLt.DestroyLayout(layoutD);
        CublasLt.DestroyMatmul(matmul);
        Driver.Synchronize(_stream);
        CublasLt.Destroy(handle);

        MatmulHeuristic[] Find(ReductionSchemes schemes)
        {
            nint preference = CublasLt.CreatePreference(workspaceBytes, schemes, alignment: 16);
            var results = new MatmulHeuristic[8];
            int count = CublasLt.FindAlgorithms(handle, matmul, layoutA, layoutB, layoutD, layoutD, preference, results);
            CublasLt.DestroyPreference(preference);
            Assert.That(count, Is.InRange(1, 8));
            return results[..count];
        }

        void Compute(in MatmulAlgorithm algorithm) => CublasLt.Matmul(
            handle, matmul, 1, deviceA, layoutA, deviceB, layoutB, 0, deviceD, layoutD, deviceD, layoutD, algorithm, workspace, workspaceBytes, _stream);
    }

    [Test]
    public void A_product_that_is_not_supported_has_no_algorithm_and_one_that_contradicts_itself_is_an_error()
    {
        nint handle = CublasLt.Create();
        nint matmul = CublasLt.CreateMatmul(ComputeType.Float32);
        nint square = CublasLt.CreateLayout(CudaDataType.Float32, K, K, K);
        nint other = CublasLt.CreateLayout(CudaDataType.Float32, M, N, M);
        nint preference = CublasLt.CreatePreference(0, ReductionSchemes.None, alignment: 16);
        Assert.That(Find(square), Is.Positive);
        Assert.That(() => Find(other), Throws.TypeOf<CublasException>()
            .With.Message.StartsWith("cublasLtMatmulAlgoGetHeuristic failed: CUBLAS_STATUS_INVALID_VALUE (7), "));

        // There is no TF32 of bf16 matrices.
        nint half = CublasLt.CreateLayout(CudaDataType.BFloat16, K, K, K);
        nint tensorFloat32 = CublasLt.CreateMatmul(ComputeType.TensorFloat32);
        Assert.That(CublasLt.FindAlgorithms(handle, tensorFloat32, half, half, square, square, preference, new MatmulHeuristic[1]), Is.Zero);

        CublasLt.DestroyPreference(preference);
        CublasLt.DestroyMatmul(tensorFloat32);
        CublasLt.DestroyLayout(half);
        CublasLt.DestroyLayout(square);
        CublasLt.DestroyLayout(other);
        CublasLt.DestroyMatmul(matmul);
        CublasLt.Destroy(handle);

        int Find(nint b) => CublasLt.FindAlgorithms(handle, matmul, square, b, square, square, preference, new MatmulHeuristic[1]);
    }

    // From -8 to 8: bf16 holds them, and fp32 the sums of K products of two of them.
    private static float[] Numbers(int count, int step) => [.. Enumerable.Range(0, count).Select(i => (float)(i * step % 17) - 8)];

    // alpha op(A) op(B) + beta C, column by column.
    private static float[] Product(double alpha, float[] a, bool transposeA, float[] b, bool transposeB, double beta, float[] c)
    {
        float[] product = new float[M * N];
        for (int row = 0; row < M; row++)
        {
            for (int column = 0; column < N; column++)
            {
                double sum = 0;
                for (int k = 0; k < K; k++)
                    sum += (double)(transposeA ? a[k + (row * K)] : a[row + (k * M)]) * (transposeB ? b[column + (k * N)] : b[k + (column * K)]);
                product[row + (column * M)] = (float)((alpha * sum) + (beta * c[row + (column * M)]));
            }
        }

        return product;
    }

    private ulong Allocate(int bytes)
    {
        ulong memory = Driver.Allocate((nuint)bytes);
        _allocated.Add(memory);
        return memory;
    }

    private ulong Upload(float[] values, CudaDataType type)
    {
        // The upper half of a float is its bf16, exact for whole numbers of this size.
        byte[] bytes = type == CudaDataType.Float32
            ? [.. values.SelectMany(BitConverter.GetBytes)]
            : [.. values.SelectMany(value => BitConverter.GetBytes(value)[2..])];
        ulong memory = Allocate(bytes.Length);
        fixed (byte* from = bytes)
        {
            Driver.CopyToDevice(memory, from, (nuint)bytes.Length, _stream);
            Driver.Synchronize(_stream);
        }

        return memory;
    }

    private float[] Download(ulong memory)
    {
        float[] values = new float[M * N];
        fixed (float* to = values)
        {
            Driver.CopyToHost(to, memory, M * N * sizeof(float), _stream);
            Driver.Synchronize(_stream);
        }

        return values;
    }
}
