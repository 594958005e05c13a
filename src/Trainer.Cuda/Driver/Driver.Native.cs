using Trainer.Cuda.Kernels;

namespace Trainer.Cuda;

internal static unsafe partial class Driver
{
    // CU_STREAM_NON_BLOCKING: no implicit synchronisation with the null stream. CU_EVENT_DISABLE_TIMING: such events cost less.
    private const uint NonBlocking = 1, DisableTiming = 2;

    // CU_STREAM_CAPTURE_MODE_THREAD_LOCAL: what other threads do, allocate for example, does not break the capture of this one.
    private const int CaptureThreadLocal = 1;

    // CUjit_option: buffers for what the PTX compiler says, and their sizes.
    private const int JitInfoLog = 3, JitInfoLogBytes = 4, JitErrorLog = 5, JitErrorLogBytes = 6;

    // CUBLAS_MATH_DISALLOW_REDUCED_PRECISION_REDUCTION: the parts of a product that is split along K are summed in fp32, not in bf16.
    private const int MathFullReduction = 16;

    // CUBLAS_GEMM_DEFAULT: the library chooses the kernel.
    private const int GemmDefault = -1;

    static Driver() => CudaLibraries.Use();

    public static partial void Initialize() => ThrowIfFailed(cuInit(0));

    public static partial int Version()
    {
        ThrowIfFailed(cuDriverGetVersion(out int version));
        return version;
    }

    public static partial int DeviceCount()
    {
        ThrowIfFailed(cuDeviceGetCount(out int count));
        return count;
    }

    public static partial int GetDevice(int ordinal)
    {
        ThrowIfFailed(cuDeviceGet(out int device, ordinal));
        return device;
    }

    public static partial string DeviceName(int device)
    {
        const int length = 256;
        byte* name = stackalloc byte[length];
        ThrowIfFailed(cuDeviceGetName(name, length, device));
        return Text(name);
    }

    public static partial long DeviceMemory(int device)
    {
        ThrowIfFailed(cuDeviceTotalMem_v2(out nuint bytes, device));
        return (long)bytes;
    }

    public static partial int DeviceAttribute(DeviceAttribute attribute, int device)
    {
        ThrowIfFailed(cuDeviceGetAttribute(out int value, (int)attribute, device));
        return value;
    }

    public static partial nint RetainContext(int device)
    {
        ThrowIfFailed(cuDevicePrimaryCtxRetain(out nint context, device));
        return context;
    }

    public static partial void ReleaseContext(int device) => ThrowIfFailed(cuDevicePrimaryCtxRelease_v2(device));

    public static partial void SetContext(nint context) => ThrowIfFailed(cuCtxSetCurrent(context));

    public static partial (long Free, long Total) MemoryInfo()
    {
        ThrowIfFailed(cuMemGetInfo_v2(out nuint free, out nuint total));
        return ((long)free, (long)total);
    }

    public static partial ulong Allocate(nuint bytes)
    {
        ThrowIfFailed(cuMemAlloc_v2(out ulong address, bytes));
        return address;
    }

    public static partial void Free(ulong address) => ThrowIfFailed(cuMemFree_v2(address));

    public static partial nint AllocateHost(nuint bytes)
    {
        ThrowIfFailed(cuMemHostAlloc(out nint address, bytes, 0));
        return address;
    }

    public static partial void FreeHost(nint address) => ThrowIfFailed(cuMemFreeHost(address));

    public static partial void CopyToDevice(ulong to, void* from, nuint bytes, nint stream) => ThrowIfFailed(cuMemcpyHtoDAsync_v2(to, from, bytes, stream));

    public static partial void CopyToHost(void* to, ulong from, nuint bytes, nint stream) => ThrowIfFailed(cuMemcpyDtoHAsync_v2(to, from, bytes, stream));

    public static partial void Copy(ulong to, ulong from, nuint bytes, nint stream) => ThrowIfFailed(cuMemcpyDtoDAsync_v2(to, from, bytes, stream));

    public static partial void Fill(ulong to, byte value, nuint bytes, nint stream) => ThrowIfFailed(cuMemsetD8Async(to, value, bytes, stream));

    public static partial nint CreateStream()
    {
        ThrowIfFailed(cuStreamCreate(out nint stream, NonBlocking));
        return stream;
    }

    public static partial void DestroyStream(nint stream) => ThrowIfFailed(cuStreamDestroy_v2(stream));

    public static partial void Synchronize(nint stream) => ThrowIfFailed(cuStreamSynchronize(stream));

    public static partial void WaitEvent(nint stream, nint recordedEvent) => ThrowIfFailed(cuStreamWaitEvent(stream, recordedEvent, 0));

    public static partial nint CreateEvent(bool timing)
    {
        ThrowIfFailed(cuEventCreate(out nint created, timing ? 0 : DisableTiming));
        return created;
    }

    public static partial void DestroyEvent(nint e) => ThrowIfFailed(cuEventDestroy_v2(e));

    public static partial void RecordEvent(nint e, nint stream) => ThrowIfFailed(cuEventRecord(e, stream));

    public static partial void SynchronizeEvent(nint e) => ThrowIfFailed(cuEventSynchronize(e));

    public static partial bool IsDone(nint e)
    {
        int code = cuEventQuery(e);
        if (code == NotReady)
            return false;
        ThrowIfFailed(code, nameof(cuEventQuery));
        return true;
    }

    public static partial float ElapsedMilliseconds(nint start, nint end)
    {
        ThrowIfFailed(cuEventElapsedTime(out float milliseconds, start, end));
        return milliseconds;
    }

    public static partial nint LoadModule(ReadOnlySpan<byte> image, out string log)
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

    public static partial void UnloadModule(nint module) => ThrowIfFailed(cuModuleUnload(module));

    public static partial nint GetFunction(nint module, string name)
    {
        int code = cuModuleGetFunction(out nint function, module, name);
        if (code != Success)
            Throw(code, nameof(cuModuleGetFunction), $": {name}");
        return function;
    }

    public static partial void SetFunctionAttribute(nint function, FunctionAttribute attribute, int value) =>
        ThrowIfFailed(cuFuncSetAttribute(function, (int)attribute, value));

    public static partial int FunctionAttribute(nint function, FunctionAttribute attribute)
    {
        ThrowIfFailed(cuFuncGetAttribute(out int value, (int)attribute, function));
        return value;
    }

    public static partial void Launch(nint function, Dim3 grid, Dim3 block, int sharedBytes, nint stream, ReadOnlySpan<nint> arguments)
    {
        fixed (nint* argument = arguments)
        {
            ThrowIfFailed(cuLaunchKernel(
                function, (uint)grid.X, (uint)grid.Y, (uint)grid.Z, (uint)block.X, (uint)block.Y, (uint)block.Z, (uint)sharedBytes, stream, argument, null));
        }
    }

    public static partial void BeginCapture(nint stream) => ThrowIfFailed(cuStreamBeginCapture_v2(stream, CaptureThreadLocal));

    public static partial nint EndCapture(nint stream)
    {
        ThrowIfFailed(cuStreamEndCapture(stream, out nint graph));
        return graph;
    }

    public static partial nint Instantiate(nint graph)
    {
        ThrowIfFailed(cuGraphInstantiateWithFlags(out nint executable, graph, 0));
        return executable;
    }

    public static partial void LaunchGraph(nint executable, nint stream) => ThrowIfFailed(cuGraphLaunch(executable, stream));

    public static partial void DestroyGraph(nint graph) => ThrowIfFailed(cuGraphDestroy(graph));

    public static partial void DestroyExecutable(nint executable) => ThrowIfFailed(cuGraphExecDestroy(executable));

    public static partial nint CreateBlas()
    {
        CublasException.ThrowIfFailed(cublasCreate_v2(out nint blas));
        CublasException.ThrowIfFailed(cublasSetMathMode(blas, MathFullReduction));
        return blas;
    }

    public static partial void DestroyBlas(nint blas) => CublasException.ThrowIfFailed(cublasDestroy_v2(blas));

    public static partial int BlasVersion(nint blas)
    {
        CublasException.ThrowIfFailed(cublasGetVersion_v2(blas, out int version));
        return version;
    }

    public static partial void SetBlasStream(nint blas, nint stream) => CublasException.ThrowIfFailed(cublasSetStream_v2(blas, stream));

    public static partial void SetBlasWorkspace(nint blas, ulong address, nuint bytes) =>
        CublasException.ThrowIfFailed(cublasSetWorkspace_v2(blas, address, bytes));

    public static partial void GemmEx(
        nint blas, bool transposeA, bool transposeB, int m, int n, int k,
        float alpha, ulong a, CudaDataType aType, int lda, ulong b, CudaDataType bType, int ldb,
        float beta, ulong c, CudaDataType cType, int ldc, ComputeType compute) => CublasException.ThrowIfFailed(cublasGemmEx(
        blas, transposeA ? 1 : 0, transposeB ? 1 : 0, m, n, k,
        &alpha, a, (int)aType, lda, b, (int)bType, ldb,
        &beta, c, (int)cType, ldc, (int)compute, GemmDefault));

    private static partial (string Name, string Text) ErrorText(int code)
    {
        byte* name = null;
        byte* text = null;
        _ = cuGetErrorName(code, &name);
        _ = cuGetErrorString(code, &text);
        return (Text(name), Text(text));
    }
}
