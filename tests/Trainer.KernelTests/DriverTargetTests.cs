using Trainer.Cuda;

namespace Trainer.KernelTests;

/// <summary>What a device as the target adds to the tests is noticed.</summary>
[Category("Device")]
internal sealed class DriverTargetTests
{
    private const int Count = 5;

    [OneTimeSetUp]
    public void RequireDevice()
    {
        if (KernelTarget.Current is not DriverTarget target)
            Assert.Ignore("the kernels run on the simulator here; trainer-tests runs them on a device");
        else if (target.Missing is { } reason)
            Assert.Ignore(reason);
    }

    [TestCase(-1, "written at offset -2 of buffer 'out', which has 20 bytes")]
    [TestCase(-4096, "written at offset -4096 of")]
    [TestCase(20, "written at offset 20 of")]
    [TestCase(4115, "written at offset 4114 of")]
    [TestCase(0, null)]
    [TestCase(19, null)]
    public void A_byte_that_is_written_beside_a_buffer_is_found(int offset, string? message)
    {
        nint stream = Driver.CreateStream();
        try
        {
            void Run() => KernelRun.Once(run =>
            {
                DeviceBuffer buffer = run.Output("out", BufferType.Float, Count);
                Driver.Fill((ulong)(buffer.Address + offset), 1, 1, stream);
                Driver.Synchronize(stream);
            });
            if (message == null)
                Assert.DoesNotThrow(() => Run());
            else
                Assert.That(Failure(Run), Does.Contain(message));
        }
        finally
        {
            Driver.DestroyStream(stream);
        }
    }

    [Test]
    public void Bits_that_differ_between_two_runs_are_found()
    {
        int runs = 0;
        Assert.That(Failure(() => KernelRun.InAllOrders(run => run.Int("out", [runs++], changing: true))), Does.Contain("out has other bits in the second run"));
    }

    // In a context of its own: the failure of an assertion is that of the test, also where it is caught.
    private static string Failure(Action test)
    {
        using (new NUnit.Framework.Internal.TestExecutionContext.IsolatedContext())
            return Assert.Catch(() => test())!.Message;
    }
}
