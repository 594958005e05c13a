using static Trainer.Tests.Cuda.SimulatedCuda;

namespace Trainer.Tests.Cuda;

/// <summary>A matrix in device memory, stored column by column.</summary>
internal sealed record Matrix(ulong Address, int Type, int Rows, int Columns, int Ld);

/// <summary>One product of the simulated cuBLASLt: its descriptors, and the algorithms that can compute it.</summary>
internal sealed unsafe class SimulatedBlas : IDisposable
{
    public const int Float32 = 0, BFloat16 = 14;
    public const int Compute32 = 68, ComputePedantic = 69, ComputeTf32 = 77;
    public const int NotInitialized = 1, InvalidStatus = 7, ExecutionFailed = 13, NotSupportedStatus = 15;
    public const int AlgorithmId = 0, SplitNumber = 2, ReductionScheme = 3;
    private const int TransposeA = 3, TransposeB = 4, Epilogue = 7, Bias = 8, Auxiliary = 11, AuxiliaryLd = 12;
    private const int BatchCount = 5, BatchStride = 6, MaxWorkspace = 1, SchemeMask = 3, AlignmentA = 5;

    private readonly nint _handle, _matmul, _preference;
    private readonly Matrix[] _matrices;
    private readonly nint[] _layouts;
    private bool _disposed;

    public SimulatedBlas(int compute, bool transposeA, bool transposeB, Matrix a, Matrix b, Matrix c, Matrix d, int batch = 1, long stride = 0)
    {
        nint handle, matmul, preference;
        Check(((delegate* unmanaged<nint*, int>)Export("cublasLtCreate"))(&handle));
        Check(((delegate* unmanaged<nint*, int, int, int>)Export("cublasLtMatmulDescCreate"))(&matmul, compute, Float32));
        Check(((delegate* unmanaged<nint*, int>)Export("cublasLtMatmulPreferenceCreate"))(&preference));
        (_handle, _matmul, _preference, _matrices) = (handle, matmul, preference, [a, b, c, d]);
        Set("cublasLtMatmulDescSetAttribute", matmul, TransposeA, transposeA ? 1 : 0);
        Set("cublasLtMatmulDescSetAttribute", matmul, TransposeB, transposeB ? 1 : 0);
        _layouts = [.. _matrices.Select(matrix =>
        {
            nint layout;
            var create = (delegate* unmanaged<nint*, int, ulong, ulong, long, int>)Export("cublasLtMatrixLayoutCreate");
            Check(create(&layout, matrix.Type, (ulong)matrix.Rows, (ulong)matrix.Columns, matrix.Ld));
            Set("cublasLtMatrixLayoutSetAttribute", layout, BatchCount, batch);
            Set("cublasLtMatrixLayoutSetAttribute", layout, BatchStride, stride);
            return layout;
        })];
    }

    public void SetEpilogue(uint epilogue, ulong bias = 0, ulong auxiliary = 0, long auxiliaryLd = 0)
    {
        Set("cublasLtMatmulDescSetAttribute", _matmul, Epilogue, epilogue);
        Set("cublasLtMatmulDescSetAttribute", _matmul, Bias, bias);
        Set("cublasLtMatmulDescSetAttribute", _matmul, Auxiliary, auxiliary);
        Set("cublasLtMatmulDescSetAttribute", _matmul, AuxiliaryLd, auxiliaryLd);
    }

    public void SetPreference(ulong workspaceBytes, uint schemes = 7, uint alignmentOfA = 256)
    {
        Set("cublasLtMatmulPreferenceSetAttribute", _preference, MaxWorkspace, workspaceBytes);
        Set("cublasLtMatmulPreferenceSetAttribute", _preference, SchemeMask, schemes);
        Set("cublasLtMatmulPreferenceSetAttribute", _preference, AlignmentA, alignmentOfA);
    }

    public int Heuristic(out Candidate[] candidates)
    {
        const int requested = 8;
        Candidate* results = stackalloc Candidate[requested];
        int found = 0;
        int status = ((delegate* unmanaged<nint, nint, nint, nint, nint, nint, nint, int, Candidate*, int*, int>)Export("cublasLtMatmulAlgoGetHeuristic"))(
            _handle, _matmul, _layouts[0], _layouts[1], _layouts[2], _layouts[3], _preference, requested, results, &found);
        candidates = new Span<Candidate>(results, found).ToArray();
        return status;
    }

    public int CheckAlgorithm(in Candidate candidate)
    {
        Candidate result;
        fixed (Candidate* algorithm = &candidate)
        {
            return ((delegate* unmanaged<nint, nint, nint, nint, nint, nint, Candidate*, Candidate*, int>)Export("cublasLtMatmulAlgoCheck"))(
                _handle, _matmul, _layouts[0], _layouts[1], _layouts[2], _layouts[3], algorithm, &result);
        }
    }

    public static int Setting(in Candidate candidate, int attribute)
    {
        int value;
        nuint written;
        var get = (delegate* unmanaged<Candidate*, int, int*, nuint, nuint*, int>)Export("cublasLtMatmulAlgoConfigGetAttribute");
        fixed (Candidate* algorithm = &candidate)
            Check(get(algorithm, attribute, &value, 4, &written));
        Assert.That(written, Is.EqualTo((nuint)4));
        return value;
    }

    public int Run(in Candidate candidate, float alpha, float beta, ulong workspace, long workspaceBytes, nint stream)
    {
        fixed (Candidate* algorithm = &candidate)
        {
            return ((delegate* unmanaged<nint, nint, float*, ulong, nint, ulong, nint, float*, ulong, nint, ulong, nint, Candidate*, ulong, nuint, nint, int>)
                Export("cublasLtMatmul"))(
                _handle, _matmul, &alpha, _matrices[0].Address, _layouts[0], _matrices[1].Address, _layouts[1], &beta, _matrices[2].Address, _layouts[2],
                _matrices[3].Address, _layouts[3], algorithm, workspace, (nuint)workspaceBytes, stream);
        }
    }

    public void Dispose()
    {
        if (_disposed)
            return;
        _disposed = true;
        foreach (nint layout in _layouts)
            Check(Destroy("cublasLtMatrixLayoutDestroy", layout));
        Check(Destroy("cublasLtMatmulPreferenceDestroy", _preference));
        Check(Destroy("cublasLtMatmulDescDestroy", _matmul));
        Check(Destroy("cublasLtDestroy", _handle));
    }

    private static int Destroy(string function, nint handle) => ((delegate* unmanaged<nint, int>)Export(function))(handle);

    private static void Set<T>(string function, nint handle, int attribute, T value)
        where T : unmanaged => Check(((delegate* unmanaged<nint, int, T*, nuint, int>)Export(function))(handle, attribute, &value, (nuint)sizeof(T)));

    /// <summary>cublasLtMatmulHeuristicResult_t.</summary>
    public struct Candidate
    {
        public fixed ulong Algorithm[8];
        public nuint WorkspaceBytes;
        public int State;
        public float Waves;
        public fixed int Reserved[4];
    }
}
