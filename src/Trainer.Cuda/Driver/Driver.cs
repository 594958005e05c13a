using Trainer.Cuda.Kernels;

namespace Trainer.Cuda;

/// <summary>
/// The CUDA driver API and the classical cuBLAS, as far as they are used. Handles are <see cref="nint"/>, device addresses <see cref="ulong"/>.
/// Every member throws <see cref="CudaException"/> where a call fails, and <see cref="DllNotFoundException"/> without the library.
/// There are two flavours of it, of which a build contains one: <c>Driver.Native.cs</c> calls the libraries itself, <c>Driver.ManagedCuda.cs</c>
/// through the packages ManagedCuda-12 and ManagedCuda-CUBLAS.
/// </summary>
internal static unsafe partial class Driver
{
    /// <summary>Starts the driver. To be called before everything else; again does no harm.</summary>
    public static partial void Initialize();

    /// <summary>The newest CUDA version that the driver supports: 12040 for 12.4.</summary>
    public static partial int Version();

    /// <summary>The devices there are.</summary>
    public static partial int DeviceCount();

    /// <summary>The handle of a device by its number, from 0.</summary>
    public static partial int GetDevice(int ordinal);

    /// <summary>The name of a device.</summary>
    public static partial string DeviceName(int device);

    /// <summary>The memory of a device in bytes.</summary>
    public static partial long DeviceMemory(int device);

    /// <summary>An attribute of a device.</summary>
    public static partial int DeviceAttribute(DeviceAttribute attribute, int device);

    /// <summary>Takes part in the primary context of a device, which is made if there is none.</summary>
    public static partial nint RetainContext(int device);

    /// <summary>Undoes one <see cref="RetainContext"/>.</summary>
    public static partial void ReleaseContext(int device);

    /// <summary>Makes a context that of this thread; 0 for none.</summary>
    public static partial void SetContext(nint context);

    /// <summary>Bytes of device memory that are free, and that there are.</summary>
    public static partial (long Free, long Total) MemoryInfo();

    /// <summary>Allocates device memory, aligned to 256 bytes at least. Its content is undefined.</summary>
    public static partial ulong Allocate(nuint bytes);

    /// <summary>Frees device memory.</summary>
    public static partial void Free(ulong address);

    /// <summary>Allocates pinned host memory, which the device copies from and to without the processor.</summary>
    public static partial nint AllocateHost(nuint bytes);

    /// <summary>Frees pinned host memory.</summary>
    public static partial void FreeHost(nint address);

    /// <summary>Copies host memory to the device when the stream gets there. Memory that is not pinned is staged first, and the call may wait.</summary>
    public static partial void CopyToDevice(ulong to, void* from, nuint bytes, nint stream);

    /// <summary>Copies device memory to the host when the stream gets there.</summary>
    public static partial void CopyToHost(void* to, ulong from, nuint bytes, nint stream);

    /// <summary>Copies within device memory when the stream gets there.</summary>
    public static partial void Copy(ulong to, ulong from, nuint bytes, nint stream);

    /// <summary>Sets every byte of a range of device memory when the stream gets there.</summary>
    public static partial void Fill(ulong to, byte value, nuint bytes, nint stream);

    /// <summary>Makes a stream that does not synchronise with the null stream.</summary>
    public static partial nint CreateStream();

    /// <summary>Destroys a stream; what is in it still runs.</summary>
    public static partial void DestroyStream(nint stream);

    /// <summary>Waits until everything in the stream has run.</summary>
    public static partial void Synchronize(nint stream);

    /// <summary>Lets what follows in the stream wait for an event.</summary>
    public static partial void WaitEvent(nint stream, nint recordedEvent);

    /// <summary>Makes an event.</summary>
    /// <param name="timing">Whether it also takes the time, which costs a little.</param>
    public static partial nint CreateEvent(bool timing);

    /// <summary>Destroys an event.</summary>
    public static partial void DestroyEvent(nint e);

    /// <summary>Puts an event into a stream: it is done when everything before it is.</summary>
    public static partial void RecordEvent(nint e, nint stream);

    /// <summary>Waits for an event.</summary>
    public static partial void SynchronizeEvent(nint e);

    /// <summary>Whether an event is done, without waiting.</summary>
    public static partial bool IsDone(nint e);

    /// <summary>The milliseconds between two events with timing, both done.</summary>
    public static partial float ElapsedMilliseconds(nint start, nint end);

    /// <summary>Lets the driver compile PTX for the device of the current context.</summary>
    /// <param name="image">The text, with a zero byte at its end.</param>
    /// <param name="log">What the compiler said; empty if nothing.</param>
    /// <exception cref="CudaException">It does not compile; the message has the compiler's.</exception>
    public static partial nint LoadModule(ReadOnlySpan<byte> image, out string log);

    /// <summary>Unloads a module with its functions.</summary>
    public static partial void UnloadModule(nint module);

    /// <summary>The kernel of a module by the name of its entry point.</summary>
    public static partial nint GetFunction(nint module, string name);

    /// <summary>Sets an attribute of a kernel.</summary>
    public static partial void SetFunctionAttribute(nint function, FunctionAttribute attribute, int value);

    /// <summary>An attribute of a kernel.</summary>
    public static partial int FunctionAttribute(nint function, FunctionAttribute attribute);

    /// <summary>Puts a kernel into a stream.</summary>
    /// <param name="function">The kernel.</param>
    /// <param name="grid">Its blocks.</param>
    /// <param name="block">The threads of each.</param>
    /// <param name="sharedBytes">Dynamic shared memory of each block.</param>
    /// <param name="stream">The stream.</param>
    /// <param name="arguments">The address of every argument, in the order of the kernel's parameters; what is there is copied before the call returns.</param>
    public static partial void Launch(nint function, Dim3 grid, Dim3 block, int sharedBytes, nint stream, ReadOnlySpan<nint> arguments);

    /// <summary>Begins to record what this thread puts into a stream, instead of running it.</summary>
    public static partial void BeginCapture(nint stream);

    /// <summary>Ends the recording and gives its graph.</summary>
    public static partial nint EndCapture(nint stream);

    /// <summary>Makes a graph executable.</summary>
    public static partial nint Instantiate(nint graph);

    /// <summary>Puts a whole graph into a stream.</summary>
    public static partial void LaunchGraph(nint executable, nint stream);

    /// <summary>Destroys a graph; executables made from it stay.</summary>
    public static partial void DestroyGraph(nint graph);

    /// <summary>Destroys an executable graph.</summary>
    public static partial void DestroyExecutable(nint executable);

    /// <summary>Makes a handle of cuBLAS for the current context.</summary>
    public static partial nint CreateBlas();

    /// <summary>Destroys a handle of cuBLAS.</summary>
    public static partial void DestroyBlas(nint blas);

    /// <summary>The version of cuBLAS: 120405 for 12.4.5.</summary>
    public static partial int BlasVersion(nint blas);

    /// <summary>The stream in which products are computed from now on. Resets the workspace.</summary>
    public static partial void SetBlasStream(nint blas, nint stream);

    /// <summary>Device memory that products may use from now on, aligned to 256 bytes. With it nothing is allocated while a graph is captured.</summary>
    public static partial void SetBlasWorkspace(nint blas, ulong address, nuint bytes);

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
    public static partial void GemmEx(
        nint blas, bool transposeA, bool transposeB, int m, int n, int k,
        float alpha, ulong a, CudaDataType aType, int lda, ulong b, CudaDataType bType, int ldb,
        float beta, ulong c, CudaDataType cType, int ldc, ComputeType compute);

    private static partial (string Name, string Text) ErrorText(int code);
}
