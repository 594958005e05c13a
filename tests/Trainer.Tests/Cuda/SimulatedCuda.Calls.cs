namespace Trainer.Tests.Cuda;

/// <content>The CUDA API as the tests call it: results are returned as they come.</content>
internal static unsafe partial class SimulatedCuda
{
    public const int InvalidValue = 1, OutOfMemory = 2, InvalidImage = 200, NoBinary = 209, InvalidPtx = 218, InvalidHandle = 400;
    public const int IllegalState = 401, NotFound = 500, NotReady = 600, IllegalAddress = 700, ContextIsDestroyed = 709, LaunchFailed = 719;
    public const int CaptureUnsupported = 900, CaptureInvalidated = 901, CaptureUnmatched = 903, CaptureUnjoined = 904, CaptureIsolation = 905;
    public const int CaptureImplicit = 906, CapturedEvent = 907;

    public static int Init() => ((delegate* unmanaged<uint, int>)Export("cuInit"))(0);

    public static int DeviceAttribute(int attribute)
    {
        int value = -1;
        Check(((delegate* unmanaged<int*, int, int, int>)Export("cuDeviceGetAttribute"))(&value, attribute, 0));
        return value;
    }

    public static string DeviceName()
    {
        byte* name = stackalloc byte[100];
        Check(((delegate* unmanaged<byte*, int, int, int>)Export("cuDeviceGetName"))(name, 100, 0));
        return System.Runtime.InteropServices.Marshal.PtrToStringUTF8((nint)name)!;
    }

    public static int RetainContext(out nint context)
    {
        fixed (nint* result = &context)
            return ((delegate* unmanaged<nint*, int, int>)Export("cuDevicePrimaryCtxRetain"))(result, 0);
    }

    public static int ReleaseContext() => ((delegate* unmanaged<int, int>)Export("cuDevicePrimaryCtxRelease_v2"))(0);

    public static int SetContext(nint context) => Call("cuCtxSetCurrent", context);

    public static int SynchronizeContext() => ((delegate* unmanaged<int>)Export("cuCtxSynchronize"))();

    public static (long Free, long Total) MemoryInfo()
    {
        nuint free, total;
        Check(((delegate* unmanaged<nuint*, nuint*, int>)Export("cuMemGetInfo_v2"))(&free, &total));
        return ((long)free, (long)total);
    }

    public static int Allocate(out ulong address, long bytes)
    {
        fixed (ulong* result = &address)
            return ((delegate* unmanaged<ulong*, nuint, int>)Export("cuMemAlloc_v2"))(result, (nuint)bytes);
    }

    public static int Free(ulong address) => ((delegate* unmanaged<ulong, int>)Export("cuMemFree_v2"))(address);

    public static int AllocateHost(out nint address, long bytes)
    {
        fixed (nint* result = &address)
            return ((delegate* unmanaged<nint*, nuint, uint, int>)Export("cuMemHostAlloc"))(result, (nuint)bytes, 0);
    }

    public static int FreeHost(nint address) => Call("cuMemFreeHost", address);

    public static int ToDevice(ulong to, nint from, long bytes, nint stream) =>
        ((delegate* unmanaged<ulong, nint, nuint, nint, int>)Export("cuMemcpyHtoDAsync_v2"))(to, from, (nuint)bytes, stream);

    public static int ToHost(nint to, ulong from, long bytes, nint stream) =>
        ((delegate* unmanaged<nint, ulong, nuint, nint, int>)Export("cuMemcpyDtoHAsync_v2"))(to, from, (nuint)bytes, stream);

    public static int OnDevice(ulong to, ulong from, long bytes, nint stream) =>
        ((delegate* unmanaged<ulong, ulong, nuint, nint, int>)Export("cuMemcpyDtoDAsync_v2"))(to, from, (nuint)bytes, stream);

    public static int Fill(ulong to, uint value, long count, nint stream) =>
        ((delegate* unmanaged<ulong, uint, nuint, nint, int>)Export("cuMemsetD32Async"))(to, value, (nuint)count, stream);

    public static int CreateStream(out nint stream, uint flags = 1)
    {
        fixed (nint* result = &stream)
            return ((delegate* unmanaged<nint*, uint, int>)Export("cuStreamCreate"))(result, flags);
    }

    public static int DestroyStream(nint stream) => Call("cuStreamDestroy_v2", stream);

    public static int Synchronize(nint stream) => Call("cuStreamSynchronize", stream);

    public static int CreateEvent(out nint e, uint flags = 0)
    {
        fixed (nint* result = &e)
            return ((delegate* unmanaged<nint*, uint, int>)Export("cuEventCreate"))(result, flags);
    }

    public static int DestroyEvent(nint e) => Call("cuEventDestroy_v2", e);

    public static int Record(nint e, nint stream) => Call("cuEventRecord", e, stream);

    public static int Wait(nint stream, nint e) => ((delegate* unmanaged<nint, nint, uint, int>)Export("cuStreamWaitEvent"))(stream, e, 0);

    public static int Query(nint e) => Call("cuEventQuery", e);

    public static int SynchronizeEvent(nint e) => Call("cuEventSynchronize", e);

    public static int Elapsed(out float milliseconds, nint start, nint end)
    {
        fixed (float* result = &milliseconds)
            return ((delegate* unmanaged<float*, nint, nint, int>)Export("cuEventElapsedTime"))(result, start, end);
    }

    public static int BeginCapture(nint stream, int mode = 1) => ((delegate* unmanaged<nint, int, int>)Export("cuStreamBeginCapture_v2"))(stream, mode);

    public static int EndCapture(nint stream, out nint graph)
    {
        fixed (nint* result = &graph)
            return ((delegate* unmanaged<nint, nint*, int>)Export("cuStreamEndCapture"))(stream, result);
    }

    public static int CaptureStatus(nint stream)
    {
        int status = -1;
        Check(((delegate* unmanaged<nint, int*, int>)Export("cuStreamIsCapturing"))(stream, &status));
        return status;
    }

    public static int Instantiate(out nint executable, nint graph)
    {
        fixed (nint* result = &executable)
            return ((delegate* unmanaged<nint*, nint, ulong, int>)Export("cuGraphInstantiateWithFlags"))(result, graph, 0);
    }

    public static int LaunchGraph(nint executable, nint stream) => Call("cuGraphLaunch", executable, stream);

    public static int DestroyGraph(nint graph) => Call("cuGraphDestroy", graph);

    public static int DestroyExecutable(nint executable) => Call("cuGraphExecDestroy", executable);

    public static int LoadModule(string ptx, out nint module, out string log)
    {
        const int errorBuffer = 5, errorBytes = 6, size = 2000;
        byte* buffer = stackalloc byte[size];
        int* options = stackalloc int[] { errorBuffer, errorBytes };
        nint* values = stackalloc nint[] { (nint)buffer, size };
        fixed (nint* result = &module)
        fixed (byte* image = Utf8(ptx))
        {
            int code = ((delegate* unmanaged<nint*, byte*, uint, int*, nint*, int>)Export("cuModuleLoadDataEx"))(result, image, 2, options, values);
            log = System.Text.Encoding.UTF8.GetString(buffer, (int)values[1]);
            return code;
        }
    }

    public static int UnloadModule(nint module) => Call("cuModuleUnload", module);

    public static int GetFunction(out nint function, nint module, string name)
    {
        fixed (nint* result = &function)
        fixed (byte* text = Utf8(name))
            return ((delegate* unmanaged<nint*, nint, byte*, int>)Export("cuModuleGetFunction"))(result, module, text);
    }

    public static int SetFunctionAttribute(nint function, int attribute, int value) =>
        ((delegate* unmanaged<nint, int, int, int>)Export("cuFuncSetAttribute"))(function, attribute, value);

    public static int FunctionAttribute(nint function, int attribute)
    {
        int value = -1;
        Check(((delegate* unmanaged<int*, int, nint, int>)Export("cuFuncGetAttribute"))(&value, attribute, function));
        return value;
    }

    public static int Launch(
        nint function, (uint X, uint Y, uint Z) grid, (uint X, uint Y, uint Z) block, uint shared, nint stream, params ReadOnlySpan<Argument> arguments)
    {
        nint* pointers = stackalloc nint[arguments.Length];
        fixed (Argument* values = arguments)
        {
            for (int i = 0; i < arguments.Length; i++)
                pointers[i] = (nint)(values + i);
            return LaunchAt(function, grid, block, shared, stream, pointers);
        }
    }

    /// <summary>With the addresses of the arguments, or null for some or all.</summary>
    public static int LaunchAt(nint function, (uint X, uint Y, uint Z) grid, (uint X, uint Y, uint Z) block, uint shared, nint stream, nint* arguments) =>
        ((delegate* unmanaged<nint, uint, uint, uint, uint, uint, uint, uint, nint, nint*, nint, int>)Export("cuLaunchKernel"))(
            function, grid.X, grid.Y, grid.Z, block.X, block.Y, block.Z, shared, stream, arguments, 0);

    /// <summary>A map of a matrix of bf16 with boxes of 64 x 64 and the 128-byte swizzle.</summary>
    public static int EncodeTensorMap(byte* map, ulong address, ulong columns, ulong rows, ulong pitch, int type = 9)
    {
        const int swizzle128 = 3, promotion = 2;
        ulong* extents = stackalloc ulong[] { columns, rows };
        uint* box = stackalloc uint[] { 64, 64 };
        uint* strides = stackalloc uint[] { 1, 1 };
        return ((delegate* unmanaged<byte*, int, uint, ulong, ulong*, ulong*, uint*, uint*, int, int, int, int, int>)Export("cuTensorMapEncodeTiled"))(
            map, type, 2, address, extents, &pitch, box, strides, 0, swizzle128, promotion, 0);
    }

    /// <summary>Fails the test unless a call succeeded.</summary>
    public static void Check(int result) => Assert.That(result, Is.Zero, () => Message);

    private static int Call(string function, nint a) => ((delegate* unmanaged<nint, int>)Export(function))(a);

    private static int Call(string function, nint a, nint b) => ((delegate* unmanaged<nint, nint, int>)Export(function))(a, b);

    /// <summary>Eight bytes that hold any scalar argument of a kernel.</summary>
    public readonly record struct Argument(ulong Bits)
    {
        public static implicit operator Argument(ulong pointer) => new(pointer);

        public static implicit operator Argument(long value) => new((ulong)value);

        public static implicit operator Argument(int value) => new((uint)value);

        public static implicit operator Argument(float value) => new(BitConverter.SingleToUInt32Bits(value));

        public static implicit operator Argument(double value) => new(BitConverter.DoubleToUInt64Bits(value));
    }
}
