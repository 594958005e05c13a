using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using System.Text;

namespace Trainer.Cuda;

/// <summary>What a device is asked, of <c>CUdevice_attribute</c>.</summary>
internal enum DeviceAttribute
{
    /// <summary>Threads of a block at most.</summary>
    MaxThreadsPerBlock = 1,

    /// <summary>Shared memory of a block in bytes, without raising the kernel's limit.</summary>
    MaxSharedMemoryPerBlock = 8,

    /// <summary>Clock of the multiprocessors at most, in kHz.</summary>
    ClockRate = 13,

    /// <summary>Streaming multiprocessors.</summary>
    MultiprocessorCount = 16,

    /// <summary>Clock of the memory at most, in kHz.</summary>
    MemoryClockRate = 36,

    /// <summary>Width of the memory bus in bits.</summary>
    MemoryBusWidth = 37,

    /// <summary>Second-level cache in bytes.</summary>
    L2CacheSize = 38,

    /// <summary>Resident threads of a multiprocessor at most.</summary>
    MaxThreadsPerMultiprocessor = 39,

    /// <summary>9 of compute capability 9.0.</summary>
    ComputeCapabilityMajor = 75,

    /// <summary>0 of compute capability 9.0.</summary>
    ComputeCapabilityMinor = 76,

    /// <summary>Shared memory of a multiprocessor in bytes.</summary>
    MaxSharedMemoryPerMultiprocessor = 81,

    /// <summary>Shared memory in bytes up to which a kernel's limit can be raised.</summary>
    MaxSharedMemoryPerBlockOptIn = 97,
}

/// <summary>What a kernel is asked and told, of <c>CUfunction_attribute</c>.</summary>
internal enum FunctionAttribute
{
    /// <summary>Threads of a block at most, as its registers allow.</summary>
    MaxThreadsPerBlock = 0,

    /// <summary>Static shared memory in bytes.</summary>
    SharedBytes = 1,

    /// <summary>Local memory of a thread in bytes: spilled registers and indexed arrays.</summary>
    LocalBytes = 3,

    /// <summary>Registers of a thread.</summary>
    Registers = 4,

    /// <summary>Dynamic shared memory in bytes at most; 48 KiB less the static part until it is raised.</summary>
    MaxDynamicSharedBytes = 8,
}

/// <summary>The element type of a matrix, of <c>cudaDataType</c>.</summary>
internal enum CudaDataType
{
    /// <summary>fp32.</summary>
    Float32 = 0,

    /// <summary>bf16.</summary>
    BFloat16 = 14,
}

/// <summary>How a matrix product is computed, of <c>cublasComputeType_t</c>.</summary>
internal enum ComputeType
{
    /// <summary>Products of the inputs as they are, summed in fp32.</summary>
    Float32 = 68,

    /// <summary>fp32 inputs rounded to tf32 for the tensor cores, summed in fp32.</summary>
    TensorFloat32 = 77,
}

/// <summary>
/// The CUDA driver API and the classical cuBLAS, as far as they are used. Handles are <see cref="nint"/>, device addresses <see cref="ulong"/>.
/// There are two flavours of it with the same members, of which a build contains one: <c>Driver.Native.cs</c> calls the libraries itself,
/// <c>Driver.ManagedCuda.cs</c> through the packages ManagedCuda-12 and ManagedCuda-CUBLAS.
/// </summary>
internal static unsafe partial class Driver
{
    // Of CUresult.
    private const int Success = 0, NotReady = 600;

    // CU_STREAM_NON_BLOCKING: no implicit synchronisation with the null stream. CU_EVENT_DISABLE_TIMING: such events cost less.
    private const uint NonBlocking = 1, DisableTiming = 2;

    // CU_STREAM_CAPTURE_MODE_THREAD_LOCAL: what other threads do, allocate for example, does not break the capture of this one.
    private const int CaptureThreadLocal = 1;

    // CUjit_option: buffers for what the PTX compiler says, and their sizes.
    private const int JitInfoLog = 3, JitInfoLogBytes = 4, JitErrorLog = 5, JitErrorLogBytes = 6;
    private const int LogBytes = 16 * 1024;

    // CU_TENSOR_MAP_DATA_TYPE_BFLOAT16, CU_TENSOR_MAP_SWIZZLE_128B, and CU_TENSOR_MAP_L2_PROMOTION_L2_128B: a row of a box is 128 bytes.
    private const int TensorMapBFloat16 = 9, TensorMapSwizzle128 = 3, TensorMapPromotion128 = 2;

    // CUBLAS_MATH_DISALLOW_REDUCED_PRECISION_REDUCTION: the parts of a product that is split along K are summed in fp32, not in bf16.
    private const int MathFullReduction = 16;

    // CUBLAS_GEMM_DEFAULT: the library chooses the kernel.
    private const int GemmDefault = -1;

    /// <summary>Throws if a call failed. Costs nothing if it did not: the name of the call is a constant of the caller.</summary>
    /// <exception cref="CudaException">It failed.</exception>
    private static void ThrowIfFailed(int code, [CallerArgumentExpression(nameof(code))] string expression = "")
    {
        if (code != Success)
            Throw(code, expression);
    }

    private static void Throw(int code, string expression, string detail = "")
    {
        (string name, string text) = ErrorText(code);
        throw new CudaException(CudaException.CallOf(expression), code, name, text + detail);
    }

    private static string Text(byte* text) => text is null ? "unknown" : Marshal.PtrToStringUTF8((nint)text) ?? "unknown";

    private static void CheckImage(ReadOnlySpan<byte> image)
    {
        // The driver reads up to the zero byte.
        if (image.IsEmpty || image[^1] != 0)
            throw new ArgumentException("PTX must end in a zero byte", nameof(image));
    }

    /// <summary>What the compiler wrote into the information log and the error log, which lie one behind the other.</summary>
    private static string LogText(ReadOnlySpan<byte> logs)
    {
        string info = ZeroTerminated(logs[..LogBytes]);
        string error = ZeroTerminated(logs[LogBytes..]);
        return (info + "\n" + error).Trim();

        static string ZeroTerminated(ReadOnlySpan<byte> bytes) => Encoding.UTF8.GetString(bytes.IndexOf((byte)0) is >= 0 and int end ? bytes[..end] : bytes);
    }

    private static void CheckTensorMap(ReadOnlySpan<ulong> extents, ReadOnlySpan<ulong> pitches, ReadOnlySpan<uint> box)
    {
        if (extents.Length is < 1 or > 5 || pitches.Length != extents.Length - 1 || box.Length != extents.Length)
            throw new ArgumentException($"{extents.Length} extents need {extents.Length - 1} pitches and {extents.Length} box extents, not {pitches.Length} and {box.Length}");
    }
}
