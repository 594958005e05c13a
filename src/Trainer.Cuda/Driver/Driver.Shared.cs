using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using System.Text;

namespace Trainer.Cuda;

internal static unsafe partial class Driver
{
    // Of CUresult.
    private const int Success = 0, NotReady = 600;

    // Of each of the two logs of the PTX compiler; what does not fit is cut off.
    private const int LogBytes = 16 * 1024;

    // CU_TENSOR_MAP_DATA_TYPE_BFLOAT16, CU_TENSOR_MAP_SWIZZLE_128B, and CU_TENSOR_MAP_L2_PROMOTION_L2_128B: a row of a box is 128 bytes.
    private const int TensorMapBFloat16 = 9, TensorMapSwizzle128 = 3, TensorMapPromotion128 = 2;

    /// <summary>Describes a bf16 tensor for TMA copies into shared memory with the 128-byte swizzle; what lies outside of it reads as zero.</summary>
    /// <param name="map">Where the description goes: 128 bytes, aligned to 64.</param>
    /// <param name="address">The tensor, aligned to 16 bytes.</param>
    /// <param name="extents">Its elements in every dimension, the contiguous one first.</param>
    /// <param name="pitches">Bytes from one element to the next in every dimension but the first, multiples of 16.</param>
    /// <param name="box">The elements of one copy in every dimension, at most 256, at most 64 in the first.</param>
    public static void EncodeTensorMap(void* map, ulong address, ReadOnlySpan<ulong> extents, ReadOnlySpan<ulong> pitches, ReadOnlySpan<uint> box)
    {
        CheckTensorMap(extents, pitches, box);
        int rank = extents.Length;
        uint* strides = stackalloc uint[rank];
        new Span<uint>(strides, rank).Fill(1);
        fixed (ulong* extent = extents, pitch = pitches)
        fixed (uint* boxExtent = box)
        {
            ThrowIfFailed(cuTensorMapEncodeTiled(
                map, TensorMapBFloat16, (uint)rank, address, extent, pitch, boxExtent, strides,
                interleave: 0, TensorMapSwizzle128, TensorMapPromotion128, outOfBounds: 0));
        }
    }

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
        int rank = extents.Length;
        if (rank is < 1 or > 5)
            throw new ArgumentException($"a tensor map has 1 to 5 dimensions, not {rank}");
        if (pitches.Length != rank - 1 || box.Length != rank)
            throw new ArgumentException($"{rank} extents need {rank - 1} pitches and {rank} box extents, not {pitches.Length} and {box.Length}");
    }

    // Not through ManagedCuda in either flavour: it lets the driver write into a copy, which is not aligned to 64 bytes as the driver demands.
    [LibraryImport(CudaLibraries.Driver)]
    private static partial int cuTensorMapEncodeTiled(
        void* map, int dataType, uint rank, ulong address, ulong* extents, ulong* pitches, uint* box, uint* elementStrides,
        int interleave, int swizzle, int promotion, int outOfBounds);
}
