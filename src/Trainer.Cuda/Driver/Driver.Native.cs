using Trainer.Cuda.Kernels;

namespace Trainer.Cuda;

internal static unsafe partial class Driver
{
    static Driver() => CudaLibraries.Use();

    /// <summary>Starts the driver. To be called before everything else; again does no harm.</summary>
    public static void Initialize() => ThrowIfFailed(cuInit(0));

    /// <summary>The newest CUDA version that the driver supports: 12040 for 12.4.</summary>
    public static int Version()
    {
        ThrowIfFailed(cuDriverGetVersion(out int version));
        return version;
    }

    /// <summary>The devices there are.</summary>
    public static int DeviceCount()
    {
        ThrowIfFailed(cuDeviceGetCount(out int count));
        return count;
    }

    /// <summary>The handle of a device by its number, from 0.</summary>
    public static int GetDevice(int ordinal)
    {
        ThrowIfFailed(cuDeviceGet(out int device, ordinal));
        return device;
    }

    /// <summary>The name of a device.</summary>
    public static string DeviceName(int device)
    {
        const int length = 256;
        byte* name = stackalloc byte[length];
        ThrowIfFailed(cuDeviceGetName(name, length, device));
        return Text(name);
    }

    /// <summary>The memory of a device in bytes.</summary>
    public static long DeviceMemory(int device)
    {
        ThrowIfFailed(cuDeviceTotalMem_v2(out nuint bytes, device));
        return (long)bytes;
    }

    /// <summary>An attribute of a device.</summary>
    public static int DeviceAttribute(DeviceAttribute attribute, int device)
    {
        ThrowIfFailed(cuDeviceGetAttribute(out int value, (int)attribute, device));
        return value;
    }

    /// <summary>Takes part in the primary context of a device, which is made if there is none.</summary>
    public static nint RetainContext(int device)
    {
        ThrowIfFailed(cuDevicePrimaryCtxRetain(out nint context, device));
        return context;
    }

    /// <summary>Undoes one <see cref="RetainContext"/>.</summary>
    public static void ReleaseContext(int device) => ThrowIfFailed(cuDevicePrimaryCtxRelease_v2(device));

    /// <summary>Makes a context that of this thread; 0 for none.</summary>
    public static void SetContext(nint context) => ThrowIfFailed(cuCtxSetCurrent(context));

    /// <summary>Bytes of device memory that are free, and that there are.</summary>
    public static (long Free, long Total) MemoryInfo()
    {
        ThrowIfFailed(cuMemGetInfo_v2(out nuint free, out nuint total));
        return ((long)free, (long)total);
    }

    /// <summary>Allocates device memory, aligned to 256 bytes at least. Its content is undefined.</summary>
    public static ulong Allocate(nuint bytes)
    {
        ThrowIfFailed(cuMemAlloc_v2(out ulong address, bytes));
        return address;
    }

    /// <summary>Frees device memory.</summary>
    public static void Free(ulong address) => ThrowIfFailed(cuMemFree_v2(address));

    /// <summary>Allocates pinned host memory, which the device copies from and to without the processor.</summary>
    public static nint AllocateHost(nuint bytes)
    {
        ThrowIfFailed(cuMemHostAlloc(out nint address, bytes, 0));
        return address;
    }

    /// <summary>Frees pinned host memory.</summary>
    public static void FreeHost(nint address) => ThrowIfFailed(cuMemFreeHost(address));

    /// <summary>Copies host memory to the device when the stream gets there. Memory that is not pinned is staged first, and the call may wait.</summary>
    public static void CopyToDevice(ulong to, void* from, nuint bytes, nint stream) => ThrowIfFailed(cuMemcpyHtoDAsync_v2(to, from, bytes, stream));

    /// <summary>Copies device memory to the host when the stream gets there.</summary>
    public static void CopyToHost(void* to, ulong from, nuint bytes, nint stream) => ThrowIfFailed(cuMemcpyDtoHAsync_v2(to, from, bytes, stream));

    /// <summary>Copies within device memory when the stream gets there.</summary>
    public static void Copy(ulong to, ulong from, nuint bytes, nint stream) => ThrowIfFailed(cuMemcpyDtoDAsync_v2(to, from, bytes, stream));

    /// <summary>Sets every byte of a range of device memory when the stream gets there.</summary>
    public static void Fill(ulong to, byte value, nuint bytes, nint stream) => ThrowIfFailed(cuMemsetD8Async(to, value, bytes, stream));

    /// <summary>Makes a stream that does not synchronise with the null stream.</summary>
    public static nint CreateStream()
    {
        ThrowIfFailed(cuStreamCreate(out nint stream, NonBlocking));
        return stream;
    }

    /// <summary>Destroys a stream; what is in it still runs.</summary>
    public static void DestroyStream(nint stream) => ThrowIfFailed(cuStreamDestroy_v2(stream));

    /// <summary>Waits until everything in the stream has run.</summary>
    public static void Synchronize(nint stream) => ThrowIfFailed(cuStreamSynchronize(stream));

    /// <summary>Lets what follows in the stream wait for an event.</summary>
    public static void WaitEvent(nint stream, nint recordedEvent) => ThrowIfFailed(cuStreamWaitEvent(stream, recordedEvent, 0));

    /// <summary>Makes an event.</summary>
    /// <param name="timing">Whether it also takes the time, which costs a little.</param>
    public static nint CreateEvent(bool timing)
    {
        ThrowIfFailed(cuEventCreate(out nint created, timing ? 0 : DisableTiming));
        return created;
    }

    /// <summary>Destroys an event.</summary>
    public static void DestroyEvent(nint e) => ThrowIfFailed(cuEventDestroy_v2(e));

    /// <summary>Puts an event into a stream: it is done when everything before it is.</summary>
    public static void RecordEvent(nint e, nint stream) => ThrowIfFailed(cuEventRecord(e, stream));

    /// <summary>Waits for an event.</summary>
    public static void SynchronizeEvent(nint e) => ThrowIfFailed(cuEventSynchronize(e));

    /// <summary>Whether an event is done, without waiting.</summary>
    public static bool IsDone(nint e)
    {
        int code = cuEventQuery(e);
        if (code == NotReady)
            return false;
        ThrowIfFailed(code, nameof(cuEventQuery));
        return true;
    }

    /// <summary>The milliseconds between two events with timing, both done.</summary>
    public static float ElapsedMilliseconds(nint start, nint end)
    {
        ThrowIfFailed(cuEventElapsedTime(out float milliseconds, start, end));
        return milliseconds;
    }

    /// <summary>Lets the driver compile PTX for the device of the current context.</summary>
    /// <param name="image">The text, with a zero byte at its end.</param>
    /// <param name="log">What the compiler said; empty if nothing.</param>
    /// <exception cref="CudaException">It does not compile; the message has the compiler's.</exception>
    public static nint LoadModule(ReadOnlySpan<byte> image, out string log)
    {
        CheckImage(image);
        byte[] logs = new byte[2 * LogBytes];
        int code;
        nint module;
        fixed (byte* text = image, info = logs)
        {
            byte* error = info + LogBytes;
            int* options = stackalloc int[] { JitInfoLog, JitInfoLogBytes, JitErrorLog, JitErrorLogBytes };
            void** values = stackalloc void*[] { info, (void*)LogBytes, error, (void*)LogBytes };
            code = cuModuleLoadDataEx(out module, text, 4, options, values);
        }

        log = LogText(logs);
        if (code != Success)
            Throw(code, nameof(cuModuleLoadDataEx), log.Length == 0 ? log : $"\n{log}");
        return module;
    }

    /// <summary>Unloads a module with its functions.</summary>
    public static void UnloadModule(nint module) => ThrowIfFailed(cuModuleUnload(module));

    /// <summary>The kernel of a module by the name of its entry point.</summary>
    public static nint GetFunction(nint module, string name)
    {
        int code = cuModuleGetFunction(out nint function, module, name);
        if (code != Success)
            Throw(code, nameof(cuModuleGetFunction), $": {name}");
        return function;
    }

    /// <summary>Sets an attribute of a kernel.</summary>
    public static void SetFunctionAttribute(nint function, FunctionAttribute attribute, int value) => ThrowIfFailed(cuFuncSetAttribute(function, (int)attribute, value));

    /// <summary>An attribute of a kernel.</summary>
    public static int FunctionAttribute(nint function, FunctionAttribute attribute)
    {
        ThrowIfFailed(cuFuncGetAttribute(out int value, (int)attribute, function));
        return value;
    }

    /// <summary>Puts a kernel into a stream.</summary>
    /// <param name="function">The kernel.</param>
    /// <param name="grid">Its blocks.</param>
    /// <param name="block">The threads of each.</param>
    /// <param name="sharedBytes">Dynamic shared memory of each block.</param>
    /// <param name="stream">The stream.</param>
    /// <param name="arguments">The address of every argument, in the order and with the sizes of the kernel's parameters; copied before the call returns.</param>
    public static void Launch(nint function, Dim3 grid, Dim3 block, int sharedBytes, nint stream, void** arguments) => ThrowIfFailed(cuLaunchKernel(
        function, (uint)grid.X, (uint)grid.Y, (uint)grid.Z, (uint)block.X, (uint)block.Y, (uint)block.Z, (uint)sharedBytes, stream, arguments, null));

    /// <summary>Begins to record what this thread puts into a stream, instead of running it.</summary>
    public static void BeginCapture(nint stream) => ThrowIfFailed(cuStreamBeginCapture_v2(stream, CaptureThreadLocal));

    /// <summary>Ends the recording and gives its graph.</summary>
    public static nint EndCapture(nint stream)
    {
        ThrowIfFailed(cuStreamEndCapture(stream, out nint graph));
        return graph;
    }

    /// <summary>Makes a graph executable.</summary>
    public static nint Instantiate(nint graph)
    {
        ThrowIfFailed(cuGraphInstantiateWithFlags(out nint executable, graph, 0));
        return executable;
    }

    /// <summary>Puts a whole graph into a stream.</summary>
    public static void LaunchGraph(nint executable, nint stream) => ThrowIfFailed(cuGraphLaunch(executable, stream));

    /// <summary>Destroys a graph; executables made from it stay.</summary>
    public static void DestroyGraph(nint graph) => ThrowIfFailed(cuGraphDestroy(graph));

    /// <summary>Destroys an executable graph.</summary>
    public static void DestroyExecutable(nint executable) => ThrowIfFailed(cuGraphExecDestroy(executable));

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
                map, TensorMapBFloat16, (uint)rank, address, extent, pitch, boxExtent, strides, interleave: 0, TensorMapSwizzle128, TensorMapPromotion128, outOfBounds: 0));
        }
    }

    /// <summary>Makes a handle of cuBLAS for the current context.</summary>
    public static nint CreateBlas()
    {
        CublasException.ThrowIfFailed(cublasCreate_v2(out nint blas));
        CublasException.ThrowIfFailed(cublasSetMathMode(blas, MathFullReduction));
        return blas;
    }

    /// <summary>Destroys a handle of cuBLAS.</summary>
    public static void DestroyBlas(nint blas) => CublasException.ThrowIfFailed(cublasDestroy_v2(blas));

    /// <summary>The version of cuBLAS: 120405 for 12.4.5.</summary>
    public static int BlasVersion(nint blas)
    {
        CublasException.ThrowIfFailed(cublasGetVersion_v2(blas, out int version));
        return version;
    }

    /// <summary>The stream in which products are computed from now on. Resets the workspace.</summary>
    public static void SetBlasStream(nint blas, nint stream) => CublasException.ThrowIfFailed(cublasSetStream_v2(blas, stream));

    /// <summary>Device memory that products may use from now on, aligned to 256 bytes. With it nothing is allocated while a graph is captured.</summary>
    public static void SetBlasWorkspace(nint blas, ulong address, nuint bytes) => CublasException.ThrowIfFailed(cublasSetWorkspace_v2(blas, address, bytes));

    /// <summary>C = alpha op(A) op(B) + beta C, every matrix column by column: op(A) is m x k, op(B) k x n, C m x n.</summary>
    /// <param name="blas">The handle.</param>
    /// <param name="transposeA">Whether A is given as its transpose, k x m.</param>
    /// <param name="transposeB">Whether B is given as its transpose, n x k.</param>
    /// <param name="m">Rows of C.</param>
    /// <param name="n">Columns of C.</param>
    /// <param name="k">Length of the sums.</param>
    /// <param name="alpha">Factor of the product.</param>
    /// <param name="a">Address of A.</param>
    /// <param name="aType">Its element type.</param>
    /// <param name="lda">Elements from a column of A, as given, to the next.</param>
    /// <param name="b">Address of B.</param>
    /// <param name="bType">Its element type.</param>
    /// <param name="ldb">Elements from a column of B, as given, to the next.</param>
    /// <param name="beta">Factor of what C holds; with 0 it is not read.</param>
    /// <param name="c">Address of C.</param>
    /// <param name="cType">Its element type.</param>
    /// <param name="ldc">Elements from a column of C to the next.</param>
    /// <param name="compute">The arithmetic.</param>
    public static void GemmEx(
        nint blas, bool transposeA, bool transposeB, int m, int n, int k, float alpha, ulong a, CudaDataType aType, int lda, ulong b, CudaDataType bType, int ldb,
        float beta, ulong c, CudaDataType cType, int ldc, ComputeType compute) => CublasException.ThrowIfFailed(cublasGemmEx(
        blas, transposeA ? 1 : 0, transposeB ? 1 : 0, m, n, k, &alpha, a, (int)aType, lda, b, (int)bType, ldb, &beta, c, (int)cType, ldc, (int)compute, GemmDefault));

    private static (string Name, string Text) ErrorText(int code)
    {
        byte* name = null;
        byte* text = null;
        _ = cuGetErrorName(code, &name);
        _ = cuGetErrorString(code, &text);
        return (Text(name), Text(text));
    }
}
