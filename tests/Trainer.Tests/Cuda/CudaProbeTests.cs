using System.Runtime.InteropServices;
using Trainer.Cuda;

namespace Trainer.Tests.Cuda;

public sealed class CudaProbeTests
{
    [Test]
    public void A_machine_without_a_driver_is_an_answer_that_lists_what_was_tried()
    {
        using var folder = new TemporaryFolder();
        CudaProbe probe = CudaProbe.Run(new LibrarySearch(folder.Path, toolkit: null, OperatingSystem.IsWindows()));
        Assert.Multiple(() =>
        {
            Assert.That(probe.Problem, Does.Contain("driver library was not found"));
            Assert.That(probe.Devices, Is.Empty);
            Assert.That(probe.Tried, Has.Count.EqualTo(5));
            Assert.That(probe.Tried, Has.All.StartsWith(folder.Path).And.All.EndsWith(": not found"));
        });
    }

    [Test]
    public void A_library_that_is_no_driver_is_refused_by_the_missing_function()
    {
        using var folder = new TemporaryFolder();
        string driver = AnyLibrary.CopyTo(folder, OperatingSystem.IsWindows() ? "nvcuda.dll" : "libcuda.so.1");
        CudaProbe probe = CudaProbe.Run(new LibrarySearch(folder.Path, toolkit: null, OperatingSystem.IsWindows()));
        Assert.That(probe.DriverLibrary, Is.EqualTo(driver));
        Assert.That(probe.Problem, Does.Contain("cuInit"));
    }

    [Test]
    [Platform("Linux")]
    public void A_library_that_is_found_is_named_and_one_that_tells_no_version_has_none()
    {
        using var folder = new TemporaryFolder();
        string cublasLt = AnyLibrary.CopyTo(folder, "libcublasLt.so.12");
        CudaProbe probe = CudaProbe.Run(new LibrarySearch(folder.Path, toolkit: null, windows: false));
        Assert.That((probe.CublasLtLibrary, probe.CublasLtVersion, probe.CublasLibrary), Is.EqualTo((cublasLt, default(Version), default(string))));
        Assert.That(probe.Tried, Does.Contain($"{cublasLt}: found"));
    }

    [Test]
    [Platform("Linux")]
    public void What_the_probe_loads_does_not_decide_what_is_loaded_later()
    {
        using var first = new TemporaryFolder();
        using var second = new TemporaryFolder();
        AnyLibrary.CopyTo(first, "libcuda.so.1");
        AnyLibrary.CopyTo(first, "libcublas.so.12");
        CudaProbe.Run(new LibrarySearch(first.Path, toolkit: null, windows: false));

        string expected = AnyLibrary.CopyTo(second, "libcublas.so.12");
        var loaded = LibrarySearch.Load(new LibrarySearch(second.Path, toolkit: null, windows: false).Candidates(CudaLibrary.Cublas), []);
        Assert.That(loaded?.Name, Is.EqualTo(expected));
        Assert.That(File.ReadAllText("/proc/self/maps"), Does.Contain(expected).And.Not.Contain(first.Path));
        NativeLibrary.Free(loaded!.Value.Handle);
    }

    [Test]
    public void This_machine_has_a_GPU_or_a_reason()
    {
        CudaProbe probe = CudaProbe.Run();
        Assert.That(probe.Problem is null, Is.EqualTo(probe.Devices.Count > 0));
        Assert.That(probe.Tried, Is.Not.Empty);
    }
}
