using Trainer.Cuda;

namespace Trainer.Tests.Cuda;

public sealed class CudaProbeTests
{
    [Test]
    public void A_machine_without_a_driver_is_an_answer_that_lists_what_was_tried()
    {
        CudaProbe probe = CudaProbe.Run(["libno-such-driver.so.1", "/nowhere/libcuda.so.1"], ["libno-such-blas.so"]);
        Assert.Multiple(() =>
        {
            Assert.That(probe.Problem, Does.Contain("driver library was not found"));
            Assert.That(probe.Devices, Is.Empty);
            Assert.That(probe.Tried, Has.Count.EqualTo(3));
            Assert.That(probe.Tried, Has.All.Contains("not found"));
        });
    }

    [Test]
    [Platform("Linux")]
    public void A_library_that_is_no_driver_is_refused_by_the_missing_function()
    {
        CudaProbe probe = CudaProbe.Run(["libc.so.6"], []);
        Assert.That(probe.DriverLibrary, Is.EqualTo("libc.so.6"));
        Assert.That(probe.Problem, Does.Contain("cuInit"));
    }

    [Test]
    public void This_machine_has_a_GPU_or_a_reason()
    {
        CudaProbe probe = CudaProbe.Run();
        Assert.That(probe.Problem is null, Is.EqualTo(probe.Devices.Count > 0 && probe.CublasLtLibrary is not null));
        Assert.That(probe.Tried, Is.Not.Empty);
    }
}
