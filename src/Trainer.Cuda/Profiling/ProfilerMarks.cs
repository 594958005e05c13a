using System.Runtime.InteropServices;
using System.Text;
using Trainer.Compute;

namespace Trainer.Cuda.Profiling;

/// <summary>
/// Tells a profiler that watches this process, as Nsight Systems or Nsight Compute, which part is worth recording, and names what the host does by NVTX
/// ranges. Without the libraries for it, or without a profiler, nothing happens.
/// </summary>
/// <remarks>
/// The ranges go through libnvToolsExt, which is part of CUDA toolkits up to version 12 and passes them to whatever <c>NVTX_INJECTION64_PATH</c> names;
/// the part to record is marked by <c>cuProfilerStart</c> and <c>cuProfilerStop</c> of the driver.
/// </remarks>
public sealed unsafe class ProfilerMarks : IOperationObserver
{
    private const int LongestName = 256;

    private readonly delegate* unmanaged<byte*, int> _push;
    private readonly delegate* unmanaged<int> _pop;
    private readonly delegate* unmanaged<int> _start;
    private readonly delegate* unmanaged<int> _stop;

    /// <summary>Looks for the libraries.</summary>
    /// <param name="usesDriver">Whether the process uses the CUDA driver, which is not loaded for this alone.</param>
    public ProfilerMarks(bool usesDriver)
    {
        string[] names = OperatingSystem.IsWindows() ? ["nvToolsExt64_1.dll"] : ["libnvToolsExt.so.1", "/usr/local/cuda/lib64/libnvToolsExt.so.1"];
        if (LibrarySearch.Load(names, []) is { } ranges)
        {
            _push = (delegate* unmanaged<byte*, int>)Export(ranges.Handle, "nvtxRangePushA");
            _pop = (delegate* unmanaged<int>)Export(ranges.Handle, "nvtxRangePop");
        }

        if (usesDriver)
        {
            nint driver = CudaLibraries.Load(CudaLibrary.Driver);
            _start = (delegate* unmanaged<int>)Export(driver, "cuProfilerStart");
            _stop = (delegate* unmanaged<int>)Export(driver, "cuProfilerStop");
        }
    }

    /// <summary>From here on the profiler records, where it was told to wait for this.</summary>
    public void StartRecording()
    {
        if (_start != null)
            _ = _start();
    }

    /// <summary>What comes now is not recorded.</summary>
    public void StopRecording()
    {
        if (_stop != null)
            _ = _stop();
    }

    /// <summary>Begins a range of this thread, inside of those that are open.</summary>
    /// <param name="name">What it is called; cut off after 255 bytes of UTF-8.</param>
    public void Push(string name)
    {
        if (_push == null || _pop == null)
            return;
        byte* text = stackalloc byte[LongestName];
        Encoding.UTF8.GetEncoder().Convert(name, new Span<byte>(text, LongestName - 1), flush: true, out _, out int bytes, out _);
        text[bytes] = 0;
        _ = _push(text);
    }

    /// <summary>Ends the range that was begun last.</summary>
    public void Pop()
    {
        if (_push != null && _pop != null)
            _ = _pop();
    }

    /// <inheritdoc/>
    public void Before(in OperationCost cost) => Push(cost.Operation);

    /// <inheritdoc/>
    public void After() => Pop();

    private static void* Export(nint library, string name) => NativeLibrary.TryGetExport(library, name, out nint address) ? (void*)address : null;
}
