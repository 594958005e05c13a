using System.Runtime.InteropServices;

namespace Trainer.Cuda;

/// <summary>
/// cuBLASLt, as far as it is used: D = epilogue(alpha op(A) op(B) + beta C), every matrix column by column. The same in both flavours of
/// <see cref="Driver"/>: ManagedCuda does not know this library. Every member throws <see cref="CublasException"/>.
/// </summary>
internal static unsafe partial class CublasLt
{
    // cublasLtMatmulDescAttributes_t, cublasLtMatrixLayoutAttribute_t and cublasLtMatmulPreferenceAttributes_t.
    private const int TransposeA = 3, TransposeB = 4, EpilogueKind = 7, BiasAddress = 8, AuxiliaryAddress = 11, AuxiliaryPitch = 12, BiasType = 26;
    private const int MaxWorkspaceBytes = 1, ReductionSchemeMask = 3, AlignmentOfA = 5, AlignmentOfB = 6, AlignmentOfC = 7, AlignmentOfD = 8;

    static CublasLt() => CudaLibraries.Use();

    /// <summary>The version of the library: 120405 for 12.4.5. Needs no context.</summary>
    public static long Version() => (long)cublasLtGetVersion();

    /// <summary>Makes a handle for the device of the current context.</summary>
    public static nint Create()
    {
        CublasException.ThrowIfFailed(cublasLtCreate(out nint handle));
        return handle;
    }

    /// <summary>Destroys a handle.</summary>
    public static void Destroy(nint handle) => CublasException.ThrowIfFailed(cublasLtDestroy(handle));

    /// <summary>Makes the description of a product; alpha and beta are fp32.</summary>
    public static nint CreateMatmul(ComputeType compute)
    {
        CublasException.ThrowIfFailed(cublasLtMatmulDescCreate(out nint matmul, (int)compute, (int)CudaDataType.Float32));
        return matmul;
    }

    /// <summary>Destroys the description of a product.</summary>
    public static void DestroyMatmul(nint matmul) => CublasException.ThrowIfFailed(cublasLtMatmulDescDestroy(matmul));

    /// <summary>Whether A and B are given as their transposes.</summary>
    public static void SetTransposes(nint matmul, bool transposeA, bool transposeB)
    {
        SetMatmul(matmul, TransposeA, transposeA ? 1 : 0);
        SetMatmul(matmul, TransposeB, transposeB ? 1 : 0);
    }

    /// <summary>What is done with the result.</summary>
    public static void SetEpilogue(nint matmul, MatmulEpilogue epilogue) => SetMatmul(matmul, EpilogueKind, (uint)epilogue);

    /// <summary>The type of the bias that the epilogue reads, or of the bias gradient that it writes.</summary>
    public static void SetBiasType(nint matmul, CudaDataType type) => SetMatmul(matmul, BiasType, (int)type);

    /// <summary>Where that vector lies in device memory. Algorithms are found for its alignment.</summary>
    public static void SetBias(nint matmul, ulong address) => SetMatmul(matmul, BiasAddress, address);

    /// <summary>How the auxiliary matrix of the epilogue lies, which has the shape and type of D: elements from one column to the next, a multiple of 8.</summary>
    public static void SetAuxiliaryPitch(nint matmul, long leadingDimension) => SetMatmul(matmul, AuxiliaryPitch, leadingDimension);

    /// <summary>Where it lies, aligned to 16 bytes. Algorithms are found for its alignment.</summary>
    public static void SetAuxiliary(nint matmul, ulong address) => SetMatmul(matmul, AuxiliaryAddress, address);

    /// <summary>Makes the description of a matrix.</summary>
    /// <param name="type">Its elements.</param>
    /// <param name="rows">Its rows, as it is given.</param>
    /// <param name="columns">Its columns, as it is given.</param>
    /// <param name="leadingDimension">Elements from one column to the next.</param>
    public static nint CreateLayout(CudaDataType type, long rows, long columns, long leadingDimension)
    {
        CublasException.ThrowIfFailed(cublasLtMatrixLayoutCreate(out nint layout, (int)type, (ulong)rows, (ulong)columns, leadingDimension));
        return layout;
    }

    /// <summary>Destroys the description of a matrix.</summary>
    public static void DestroyLayout(nint layout) => CublasException.ThrowIfFailed(cublasLtMatrixLayoutDestroy(layout));

    /// <summary>Makes a preference: what algorithms may use.</summary>
    /// <param name="workspaceBytes">Workspace at most.</param>
    /// <param name="schemes">Ways of splitting K that are allowed besides not to.</param>
    /// <param name="alignment">What the addresses of all matrices will be multiples of, in bytes. The library assumes 256 where it is not told.</param>
    public static nint CreatePreference(nuint workspaceBytes, ReductionSchemes schemes, uint alignment)
    {
        CublasException.ThrowIfFailed(cublasLtMatmulPreferenceCreate(out nint preference));
        CublasException.ThrowIfFailed(cublasLtMatmulPreferenceSetAttribute(preference, MaxWorkspaceBytes, &workspaceBytes, (nuint)sizeof(nuint)));
        CublasException.ThrowIfFailed(cublasLtMatmulPreferenceSetAttribute(preference, ReductionSchemeMask, &schemes, sizeof(ReductionSchemes)));
        foreach (int attribute in (ReadOnlySpan<int>)[AlignmentOfA, AlignmentOfB, AlignmentOfC, AlignmentOfD])
            CublasException.ThrowIfFailed(cublasLtMatmulPreferenceSetAttribute(preference, attribute, &alignment, sizeof(uint)));
        return preference;
    }

    /// <summary>Destroys a preference.</summary>
    public static void DestroyPreference(nint preference) => CublasException.ThrowIfFailed(cublasLtMatmulPreferenceDestroy(preference));

    /// <summary>Asks which algorithms can compute a product, the one that is expected to be fastest first.</summary>
    /// <param name="handle">The handle.</param>
    /// <param name="matmul">The product.</param>
    /// <param name="a">The layout of A as it is given.</param>
    /// <param name="b">The layout of B as it is given.</param>
    /// <param name="c">The layout of C.</param>
    /// <param name="d">The layout of D.</param>
    /// <param name="preference">What the algorithms may use.</param>
    /// <param name="results">Gets the answer; as many as fit.</param>
    /// <returns>How many there are; 0 if the library does not support the product.</returns>
    public static int FindAlgorithms(nint handle, nint matmul, nint a, nint b, nint c, nint d, nint preference, Span<MatmulHeuristic> results)
    {
        int found;
        int status;
        fixed (MatmulHeuristic* result = results)
            status = cublasLtMatmulAlgoGetHeuristic(handle, matmul, a, b, c, d, preference, results.Length, result, out found);
        if (status == CublasException.NotSupported)
            return 0;
        CublasException.ThrowIfFailed(status, nameof(cublasLtMatmulAlgoGetHeuristic));
        return found;
    }

    /// <summary>Whether an algorithm that was kept from an earlier run can compute a product, and what it needs.</summary>
    public static bool CheckAlgorithm(nint handle, nint matmul, nint a, nint b, nint c, nint d, in MatmulAlgorithm algorithm, out MatmulHeuristic result)
    {
        int status;
        fixed (MatmulAlgorithm* kept = &algorithm)
            status = cublasLtMatmulAlgoCheck(handle, matmul, a, b, c, d, kept, out result);
        if (status is CublasException.InvalidValue or CublasException.ArchitectureMismatch or CublasException.NotSupported)
            return false;
        CublasException.ThrowIfFailed(status, nameof(cublasLtMatmulAlgoCheck));
        return true;
    }

    /// <summary>A setting of an algorithm.</summary>
    public static int Setting(in MatmulAlgorithm algorithm, AlgorithmSetting setting)
    {
        int value;
        fixed (MatmulAlgorithm* asked = &algorithm)
            CublasException.ThrowIfFailed(cublasLtMatmulAlgoConfigGetAttribute(asked, (int)setting, &value, sizeof(int), out _));
        return value;
    }

    /// <summary>Puts a product into a stream. Allocates nothing.</summary>
    /// <param name="handle">The handle.</param>
    /// <param name="matmul">The product.</param>
    /// <param name="alpha">Factor of the product.</param>
    /// <param name="a">Address of A.</param>
    /// <param name="aLayout">Its layout.</param>
    /// <param name="b">Address of B.</param>
    /// <param name="bLayout">Its layout.</param>
    /// <param name="beta">Factor of C; with 0 it is not read.</param>
    /// <param name="c">Address of C, which may be D.</param>
    /// <param name="cLayout">Its layout.</param>
    /// <param name="d">Address of D.</param>
    /// <param name="dLayout">Its layout.</param>
    /// <param name="algorithm">The algorithm.</param>
    /// <param name="workspace">Device memory for the algorithm, aligned to 256 bytes.</param>
    /// <param name="workspaceBytes">Its size.</param>
    /// <param name="stream">The stream.</param>
    public static void Matmul(
        nint handle, nint matmul, float alpha, ulong a, nint aLayout, ulong b, nint bLayout, float beta, ulong c, nint cLayout, ulong d, nint dLayout,
        in MatmulAlgorithm algorithm, ulong workspace, nuint workspaceBytes, nint stream)
    {
        fixed (MatmulAlgorithm* chosen = &algorithm)
        {
            CublasException.ThrowIfFailed(cublasLtMatmul(
                handle, matmul, &alpha, a, aLayout, b, bLayout, &beta, c, cLayout, d, dLayout, chosen, workspace, workspaceBytes, stream));
        }
    }

    private static void SetMatmul<T>(nint matmul, int attribute, T value)
        where T : unmanaged => CublasException.ThrowIfFailed(cublasLtMatmulDescSetAttribute(matmul, attribute, &value, (nuint)sizeof(T)));

    [LibraryImport(CudaLibraries.CublasLt)]
    private static partial nuint cublasLtGetVersion();

    [LibraryImport(CudaLibraries.CublasLt)]
    private static partial int cublasLtCreate(out nint handle);

    [LibraryImport(CudaLibraries.CublasLt)]
    private static partial int cublasLtDestroy(nint handle);

    [LibraryImport(CudaLibraries.CublasLt)]
    private static partial int cublasLtMatmulDescCreate(out nint matmul, int compute, int scaleType);

    [LibraryImport(CudaLibraries.CublasLt)]
    private static partial int cublasLtMatmulDescDestroy(nint matmul);

    [LibraryImport(CudaLibraries.CublasLt)]
    private static partial int cublasLtMatmulDescSetAttribute(nint matmul, int attribute, void* value, nuint bytes);

    [LibraryImport(CudaLibraries.CublasLt)]
    private static partial int cublasLtMatrixLayoutCreate(out nint layout, int type, ulong rows, ulong columns, long leadingDimension);

    [LibraryImport(CudaLibraries.CublasLt)]
    private static partial int cublasLtMatrixLayoutDestroy(nint layout);

    [LibraryImport(CudaLibraries.CublasLt)]
    private static partial int cublasLtMatmulPreferenceCreate(out nint preference);

    [LibraryImport(CudaLibraries.CublasLt)]
    private static partial int cublasLtMatmulPreferenceDestroy(nint preference);

    [LibraryImport(CudaLibraries.CublasLt)]
    private static partial int cublasLtMatmulPreferenceSetAttribute(nint preference, int attribute, void* value, nuint bytes);

    [LibraryImport(CudaLibraries.CublasLt)]
    private static partial int cublasLtMatmulAlgoGetHeuristic(
        nint handle, nint matmul, nint a, nint b, nint c, nint d, nint preference, int requested, MatmulHeuristic* results, out int found);

    [LibraryImport(CudaLibraries.CublasLt)]
    private static partial int cublasLtMatmulAlgoCheck(
        nint handle, nint matmul, nint a, nint b, nint c, nint d, MatmulAlgorithm* algorithm, out MatmulHeuristic result);

    [LibraryImport(CudaLibraries.CublasLt)]
    private static partial int cublasLtMatmulAlgoConfigGetAttribute(MatmulAlgorithm* algorithm, int attribute, void* value, nuint bytes, out nuint written);

    [LibraryImport(CudaLibraries.CublasLt)]
    private static partial int cublasLtMatmul(
        nint handle, nint matmul, void* alpha, ulong a, nint aLayout, ulong b, nint bLayout, void* beta, ulong c, nint cLayout, ulong d, nint dLayout,
        MatmulAlgorithm* algorithm, ulong workspace, nuint workspaceBytes, nint stream);
}
