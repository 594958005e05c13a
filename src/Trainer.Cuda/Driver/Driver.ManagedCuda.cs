using System.Runtime.CompilerServices;
using ManagedCuda;
using ManagedCuda.BasicTypes;
using ManagedCuda.CudaBlas;
using Trainer.Cuda.Kernels;
using static ManagedCuda.DriverAPINativeMethods;
using Library = ManagedCuda.CudaBlas.CudaBlasNativeMethods;

namespace Trainer.Cuda;

internal static unsafe partial class Driver
{
    // ManagedCuda takes the addresses of a kernel's arguments as an array. One for each thread, so that a launch makes no garbage.
    [ThreadStatic]
    private static nint[]? _arguments;

    static Driver() => ManagedCudaLibraries.Use();

    public static partial void Initialize()
    {
        ManagedCudaLibraries.Require(CudaLibrary.Driver);
        ThrowIfFailed(cuInit(CUInitializationFlags.None));
    }

    public static partial int Version()
    {
        int version = 0;
        ThrowIfFailed(cuDriverGetVersion(ref version));
        return version;
    }

    public static partial int DeviceCount()
    {
        int count = 0;
        ThrowIfFailed(DeviceManagement.cuDeviceGetCount(ref count));
        return count;
    }

    public static partial int GetDevice(int ordinal)
    {
        CUdevice device = default;
        ThrowIfFailed(DeviceManagement.cuDeviceGet(ref device, ordinal));
        return device.Pointer;
    }

    public static partial string DeviceName(int device)
    {
        byte[] name = new byte[256];
        ThrowIfFailed(DeviceManagement.cuDeviceGetName(name, name.Length, Device(device)));
        fixed (byte* text = name)
            return Text(text);
    }

    public static partial long DeviceMemory(int device)
    {
        SizeT bytes = default;
        ThrowIfFailed(DeviceManagement.cuDeviceTotalMem_v2(ref bytes, Device(device)));
        return bytes;
    }

    public static partial int DeviceAttribute(DeviceAttribute attribute, int device)
    {
        int value = 0;
        ThrowIfFailed(DeviceManagement.cuDeviceGetAttribute(ref value, (CUDeviceAttribute)attribute, Device(device)));
        return value;
    }

    public static partial nint RetainContext(int device)
    {
        CUcontext context = default;
        ThrowIfFailed(ContextManagement.cuDevicePrimaryCtxRetain(ref context, Device(device)));
        return context.Pointer;
    }

    public static partial void ReleaseContext(int device) => ThrowIfFailed(ContextManagement.cuDevicePrimaryCtxRelease(Device(device)));

    public static partial void SetContext(nint context) => ThrowIfFailed(ContextManagement.cuCtxSetCurrent(new CUcontext { Pointer = context }));

    public static partial (long Free, long Total) MemoryInfo()
    {
        SizeT free = default, total = default;
        ThrowIfFailed(MemoryManagement.cuMemGetInfo_v2(ref free, ref total));
        return (free, total);
    }

    public static partial ulong Allocate(nuint bytes)
    {
        CUdeviceptr address = default;
        ThrowIfFailed(MemoryManagement.cuMemAlloc_v2(ref address, bytes));
        return address.Pointer;
    }

    public static partial void Free(ulong address) => ThrowIfFailed(MemoryManagement.cuMemFree_v2(Address(address)));

    public static partial nint AllocateHost(nuint bytes)
    {
        nint address = 0;
        ThrowIfFailed(MemoryManagement.cuMemHostAlloc(ref address, bytes, CUMemHostAllocFlags.None));
        return address;
    }

    public static partial void FreeHost(nint address) => ThrowIfFailed(MemoryManagement.cuMemFreeHost(address));

    public static partial void CopyToDevice(ulong to, void* from, nuint bytes, nint stream) =>
        ThrowIfFailed(AsynchronousMemcpy_v2.cuMemcpyHtoDAsync_v2(Address(to), (nint)from, bytes, Stream(stream)));

    public static partial void CopyToHost(void* to, ulong from, nuint bytes, nint stream) =>
        ThrowIfFailed(AsynchronousMemcpy_v2.cuMemcpyDtoHAsync_v2((nint)to, Address(from), bytes, Stream(stream)));

    public static partial void Copy(ulong to, ulong from, nuint bytes, nint stream) =>
        ThrowIfFailed(AsynchronousMemcpy_v2.cuMemcpyDtoDAsync_v2(Address(to), Address(from), bytes, Stream(stream)));

    public static partial void Fill(ulong to, byte value, nuint bytes, nint stream) =>
        ThrowIfFailed(MemsetAsync.cuMemsetD8Async(Address(to), value, bytes, Stream(stream)));

    public static partial nint CreateStream()
    {
        CUstream stream = default;
        ThrowIfFailed(Streams.cuStreamCreate(ref stream, CUStreamFlags.NonBlocking));
        return stream.Pointer;
    }

    public static partial void DestroyStream(nint stream) => ThrowIfFailed(Streams.cuStreamDestroy_v2(Stream(stream)));

    public static partial void Synchronize(nint stream) => ThrowIfFailed(Streams.cuStreamSynchronize(Stream(stream)));

    public static partial void WaitEvent(nint stream, nint recordedEvent) => ThrowIfFailed(Streams.cuStreamWaitEvent(Stream(stream), Event(recordedEvent), 0));

    public static partial nint CreateEvent(bool timing)
    {
        CUevent created = default;
        ThrowIfFailed(Events.cuEventCreate(ref created, timing ? CUEventFlags.Default : CUEventFlags.DisableTiming));
        return created.Pointer;
    }

    public static partial void DestroyEvent(nint e) => ThrowIfFailed(Events.cuEventDestroy_v2(Event(e)));

    public static partial void RecordEvent(nint e, nint stream) => ThrowIfFailed(Events.cuEventRecord(Event(e), Stream(stream)));

    public static partial void SynchronizeEvent(nint e) => ThrowIfFailed(Events.cuEventSynchronize(Event(e)));

    public static partial bool IsDone(nint e)
    {
        CUResult code = Events.cuEventQuery(Event(e));
        if ((int)code == NotReady)
            return false;
        ThrowIfFailed(code, nameof(Events.cuEventQuery));
        return true;
    }

    public static partial float ElapsedMilliseconds(nint start, nint end)
    {
        float milliseconds = 0;
        ThrowIfFailed(Events.cuEventElapsedTime(ref milliseconds, Event(start), Event(end)));
        return milliseconds;
    }

    public static partial nint LoadModule(ReadOnlySpan<byte> image, out string log)
    {
        CheckImage(image);
        byte[] logs = new byte[2 * LogBytes];
        CUmodule module = default;
        CUResult code;
        fixed (byte* info = logs)
        {
            CUJITOption[] options =
            [
                CUJITOption.InfoLogBuffer, CUJITOption.InfoLogBufferSizeBytes,
                CUJITOption.ErrorLogBuffer, CUJITOption.ErrorLogBufferSizeBytes,
            ];
            nint[] values = [(nint)info, LogBytes, (nint)(info + LogBytes), LogBytes];
            code = ModuleManagement.cuModuleLoadDataEx(ref module, image.ToArray(), (uint)options.Length, options, values);
        }

        log = LogText(logs);
        if (code != CUResult.Success)
            Throw((int)code, nameof(ModuleManagement.cuModuleLoadDataEx), log.Length == 0 ? log : $"\n{log}");
        return module.Pointer;
    }

    public static partial void UnloadModule(nint module) => ThrowIfFailed(ModuleManagement.cuModuleUnload(new CUmodule { Pointer = module }));

    public static partial nint GetFunction(nint module, string name)
    {
        CUfunction function = default;
        CUResult code = ModuleManagement.cuModuleGetFunction(ref function, new CUmodule { Pointer = module }, name);
        if (code != CUResult.Success)
            Throw((int)code, nameof(ModuleManagement.cuModuleGetFunction), $": {name}");
        return function.Pointer;
    }

    public static partial void SetFunctionAttribute(nint function, FunctionAttribute attribute, int value) =>
        ThrowIfFailed(FunctionManagement.cuFuncSetAttribute(Function(function), (CUFunctionAttribute)attribute, value));

    public static partial int FunctionAttribute(nint function, FunctionAttribute attribute)
    {
        int value = 0;
        ThrowIfFailed(FunctionManagement.cuFuncGetAttribute(ref value, (CUFunctionAttribute)attribute, Function(function)));
        return value;
    }

    public static partial void Launch(nint function, Dim3 grid, Dim3 block, int sharedBytes, nint stream, ReadOnlySpan<nint> arguments)
    {
        if (_arguments is null || _arguments.Length < arguments.Length)
            _arguments = new nint[System.Math.Max(32, arguments.Length)];
        arguments.CopyTo(_arguments);
        ThrowIfFailed(DriverAPINativeMethods.Launch.cuLaunchKernel(
            Function(function), (uint)grid.X, (uint)grid.Y, (uint)grid.Z, (uint)block.X, (uint)block.Y, (uint)block.Z, (uint)sharedBytes,
            Stream(stream), _arguments, null));
    }

    public static partial void BeginCapture(nint stream) => ThrowIfFailed(Streams.cuStreamBeginCapture(Stream(stream), CUstreamCaptureMode.Local));

    public static partial nint EndCapture(nint stream)
    {
        CUgraph graph = default;
        ThrowIfFailed(Streams.cuStreamEndCapture(Stream(stream), ref graph));
        return graph.Pointer;
    }

    public static partial nint Instantiate(nint graph)
    {
        CUgraphExec executable = default;
        ThrowIfFailed(GraphManagment.cuGraphInstantiate(ref executable, new CUgraph { Pointer = graph }, CUgraphInstantiate_flags.None));
        return executable.Pointer;
    }

    public static partial void LaunchGraph(nint executable, nint stream) =>
        ThrowIfFailed(GraphManagment.cuGraphLaunch(new CUgraphExec { Pointer = executable }, Stream(stream)));

    public static partial void DestroyGraph(nint graph) => ThrowIfFailed(GraphManagment.cuGraphDestroy(new CUgraph { Pointer = graph }));

    public static partial void DestroyExecutable(nint executable) => ThrowIfFailed(GraphManagment.cuGraphExecDestroy(new CUgraphExec { Pointer = executable }));

    public static partial nint CreateBlas()
    {
        ManagedCudaLibraries.Require(CudaLibrary.Cublas);
        CudaBlasHandle blas = default;
        ThrowIfFailed(Library.cublasCreate_v2(ref blas));
        ThrowIfFailed(Library.cublasSetMathMode(blas, ManagedCuda.CudaBlas.Math.DisallowReducedPrecisionReduction));
        return blas.Pointer;
    }

    public static partial void DestroyBlas(nint blas) => ThrowIfFailed(Library.cublasDestroy_v2(Blas(blas)));

    public static partial int BlasVersion(nint blas)
    {
        int version = 0;
        ThrowIfFailed(Library.cublasGetVersion_v2(Blas(blas), ref version));
        return version;
    }

    public static partial void SetBlasStream(nint blas, nint stream) => ThrowIfFailed(Library.cublasSetStream_v2(Blas(blas), Stream(stream)));

    public static partial void SetBlasWorkspace(nint blas, ulong address, nuint bytes) =>
        ThrowIfFailed(Library.cublasSetWorkspace_v2(Blas(blas), Address(address), bytes));

    public static partial void GemmEx(
        nint blas, bool transposeA, bool transposeB, int m, int n, int k,
        float alpha, ulong a, CudaDataType aType, int lda, ulong b, CudaDataType bType, int ldb,
        float beta, ulong c, CudaDataType cType, int ldc, ComputeType compute)
    {
        Operation operationA = transposeA ? Operation.Transpose : Operation.NonTranspose;
        Operation operationB = transposeB ? Operation.Transpose : Operation.NonTranspose;
        ThrowIfFailed(Library.cublasGemmEx(
            Blas(blas), operationA, operationB, m, n, k,
            (nint)(&alpha), Address(a), (cudaDataType)aType, lda, Address(b), (cudaDataType)bType, ldb,
            (nint)(&beta), Address(c), (cudaDataType)cType, ldc, (ManagedCuda.CudaBlas.ComputeType)compute, GemmAlgo.Default));
    }

    private static partial (string Name, string Text) ErrorText(int code)
    {
        nint name = 0, text = 0;
        _ = ErrorHandling.cuGetErrorName((CUResult)code, ref name);
        _ = ErrorHandling.cuGetErrorString((CUResult)code, ref text);
        return (Text((byte*)name), Text((byte*)text));
    }

    private static void ThrowIfFailed(CUResult code, [CallerArgumentExpression(nameof(code))] string expression = "") => ThrowIfFailed((int)code, expression);

    private static void ThrowIfFailed(CublasStatus status, [CallerArgumentExpression(nameof(status))] string expression = "") =>
        CublasException.ThrowIfFailed((int)status, expression);

    private static CUdevice Device(int device) => new() { Pointer = device };

    private static CUdeviceptr Address(ulong address) => new(address);

    private static CUstream Stream(nint stream) => new() { Pointer = stream };

    private static CUevent Event(nint e) => new() { Pointer = e };

    private static CUfunction Function(nint function) => new() { Pointer = function };

    private static CudaBlasHandle Blas(nint blas) => new() { Pointer = blas };
}
