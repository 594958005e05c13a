using System.Runtime.InteropServices;

namespace Trainer.Cuda;

internal static unsafe partial class Driver
{
    [LibraryImport(CudaLibraries.Driver)]
    private static partial int cuInit(uint flags);

    [LibraryImport(CudaLibraries.Driver)]
    private static partial int cuDriverGetVersion(out int version);

    [LibraryImport(CudaLibraries.Driver)]
    private static partial int cuDeviceGetCount(out int count);

    [LibraryImport(CudaLibraries.Driver)]
    private static partial int cuDeviceGet(out int device, int ordinal);

    [LibraryImport(CudaLibraries.Driver)]
    private static partial int cuDeviceGetName(byte* name, int length, int device);

    [LibraryImport(CudaLibraries.Driver)]
    private static partial int cuDeviceTotalMem_v2(out nuint bytes, int device);

    [LibraryImport(CudaLibraries.Driver)]
    private static partial int cuDeviceGetAttribute(out int value, int attribute, int device);

    [LibraryImport(CudaLibraries.Driver)]
    private static partial int cuDevicePrimaryCtxRetain(out nint context, int device);

    [LibraryImport(CudaLibraries.Driver)]
    private static partial int cuDevicePrimaryCtxRelease_v2(int device);

    [LibraryImport(CudaLibraries.Driver)]
    private static partial int cuCtxSetCurrent(nint context);

    [LibraryImport(CudaLibraries.Driver)]
    private static partial int cuMemGetInfo_v2(out nuint free, out nuint total);

    [LibraryImport(CudaLibraries.Driver)]
    private static partial int cuMemAlloc_v2(out ulong address, nuint bytes);

    [LibraryImport(CudaLibraries.Driver)]
    private static partial int cuMemFree_v2(ulong address);

    [LibraryImport(CudaLibraries.Driver)]
    private static partial int cuMemHostAlloc(out nint address, nuint bytes, uint flags);

    [LibraryImport(CudaLibraries.Driver)]
    private static partial int cuMemFreeHost(nint address);

    [LibraryImport(CudaLibraries.Driver)]
    private static partial int cuMemcpyHtoDAsync_v2(ulong to, void* from, nuint bytes, nint stream);

    [LibraryImport(CudaLibraries.Driver)]
    private static partial int cuMemcpyDtoHAsync_v2(void* to, ulong from, nuint bytes, nint stream);

    [LibraryImport(CudaLibraries.Driver)]
    private static partial int cuMemcpyDtoDAsync_v2(ulong to, ulong from, nuint bytes, nint stream);

    [LibraryImport(CudaLibraries.Driver)]
    private static partial int cuMemsetD8Async(ulong to, byte value, nuint bytes, nint stream);

    [LibraryImport(CudaLibraries.Driver)]
    private static partial int cuStreamCreate(out nint stream, uint flags);

    [LibraryImport(CudaLibraries.Driver)]
    private static partial int cuStreamDestroy_v2(nint stream);

    [LibraryImport(CudaLibraries.Driver)]
    private static partial int cuStreamSynchronize(nint stream);

    [LibraryImport(CudaLibraries.Driver)]
    private static partial int cuStreamWaitEvent(nint stream, nint e, uint flags);

    [LibraryImport(CudaLibraries.Driver)]
    private static partial int cuEventCreate(out nint e, uint flags);

    [LibraryImport(CudaLibraries.Driver)]
    private static partial int cuEventDestroy_v2(nint e);

    [LibraryImport(CudaLibraries.Driver)]
    private static partial int cuEventRecord(nint e, nint stream);

    [LibraryImport(CudaLibraries.Driver)]
    private static partial int cuEventSynchronize(nint e);

    [LibraryImport(CudaLibraries.Driver)]
    private static partial int cuEventQuery(nint e);

    [LibraryImport(CudaLibraries.Driver)]
    private static partial int cuEventElapsedTime(out float milliseconds, nint start, nint end);

    [LibraryImport(CudaLibraries.Driver)]
    private static partial int cuModuleLoadDataEx(out nint module, void* image, uint count, int* options, void** values);

    [LibraryImport(CudaLibraries.Driver)]
    private static partial int cuModuleUnload(nint module);

    [LibraryImport(CudaLibraries.Driver, StringMarshalling = StringMarshalling.Utf8)]
    private static partial int cuModuleGetFunction(out nint function, nint module, string name);

    [LibraryImport(CudaLibraries.Driver)]
    private static partial int cuFuncSetAttribute(nint function, int attribute, int value);

    [LibraryImport(CudaLibraries.Driver)]
    private static partial int cuFuncGetAttribute(out int value, int attribute, nint function);

    [LibraryImport(CudaLibraries.Driver)]
    private static partial int cuLaunchKernel(
        nint function, uint gridX, uint gridY, uint gridZ, uint blockX, uint blockY, uint blockZ, uint sharedBytes, nint stream, nint* arguments, nint* extra);

    [LibraryImport(CudaLibraries.Driver)]
    private static partial int cuStreamBeginCapture_v2(nint stream, int mode);

    [LibraryImport(CudaLibraries.Driver)]
    private static partial int cuStreamEndCapture(nint stream, out nint graph);

    [LibraryImport(CudaLibraries.Driver)]
    private static partial int cuGraphInstantiateWithFlags(out nint executable, nint graph, ulong flags);

    [LibraryImport(CudaLibraries.Driver)]
    private static partial int cuGraphLaunch(nint executable, nint stream);

    [LibraryImport(CudaLibraries.Driver)]
    private static partial int cuGraphDestroy(nint graph);

    [LibraryImport(CudaLibraries.Driver)]
    private static partial int cuGraphExecDestroy(nint executable);

    [LibraryImport(CudaLibraries.Driver)]
    private static partial int cuGetErrorName(int code, byte** name);

    [LibraryImport(CudaLibraries.Driver)]
    private static partial int cuGetErrorString(int code, byte** text);

    [LibraryImport(CudaLibraries.Cublas)]
    private static partial int cublasCreate_v2(out nint blas);

    [LibraryImport(CudaLibraries.Cublas)]
    private static partial int cublasDestroy_v2(nint blas);

    [LibraryImport(CudaLibraries.Cublas)]
    private static partial int cublasGetVersion_v2(nint blas, out int version);

    [LibraryImport(CudaLibraries.Cublas)]
    private static partial int cublasSetStream_v2(nint blas, nint stream);

    [LibraryImport(CudaLibraries.Cublas)]
    private static partial int cublasSetWorkspace_v2(nint blas, ulong address, nuint bytes);

    [LibraryImport(CudaLibraries.Cublas)]
    private static partial int cublasSetMathMode(nint blas, int mode);

    [LibraryImport(CudaLibraries.Cublas)]
    private static partial int cublasGemmEx(
        nint blas, int transposeA, int transposeB, int m, int n, int k, void* alpha, ulong a, int aType, int lda, ulong b, int bType, int ldb,
        void* beta, ulong c, int cType, int ldc, int compute, int algorithm);
}
