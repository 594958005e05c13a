using System.Diagnostics;

namespace Trainer.Tests.Cuda;

/// <summary>The simulated driver in a process of its own: before cuInit, with settings of the environment, and at its end.</summary>
internal sealed class DriverSimulatorProcessTests
{
    private const int LeakStatus = 86;

    [SetUp]
    public void Begin()
    {
        if (SimulatedCuda.Missing is { } reason)
            Assert.Ignore(reason);
    }

    [Test]
    public void Nothing_works_before_it_is_initialized_or_without_a_context() =>
        Assert.That(Run("before-init").Output, Is.EqualTo("3 3 0 0 201\n"), "not initialized twice, success twice, no context");

    [Test]
    public void The_device_is_that_of_the_environment()
    {
        Assert.That(Run("settings").Output, Is.EqualTo("0 4294967296 9.0 4 232448\n"));
        var (status, output, _) = Run("settings", "SIMCUDA_MEMORY=1048576", "SIMCUDA_COMPUTE_CAPABILITY=8.6", "SIMCUDA_MULTIPROCESSORS=7");
        Assert.That((status, output), Is.EqualTo((0, "0 1048576 8.6 7 101376\n")));
    }

    [TestCase("SIMCUDA_ORDER=sometimes", "'sometimes' is no choice")]
    [TestCase("SIMCUDA_MEMORY=4G", "'4G' is no number")]
    [TestCase("SIMCUDA_FAIL=cuMemAlloc_v2", "not of the form name:number=code")]
    public void Settings_that_make_no_sense_are_errors_of_the_initialization(string setting, string message)
    {
        var (_, output, errors) = Run("settings", setting);
        Assert.That(output, Does.StartWith("1 "), "invalid value");
        Assert.That(errors, Does.Contain(message));
    }

    [Test]
    public void Order_and_failures_are_those_of_the_environment()
    {
        Assert.That(Run("order").Output, Is.EqualTo("1010101\n"));
        Assert.That(Run("order", "SIMCUDA_ORDER=eager").Output, Is.EqualTo("1010101\n"));
        Assert.That(Run("order", "SIMCUDA_ORDER=lazy").Output, Is.EqualTo("ffffffff\n"), "the fill has not run");
        Assert.That(Run("order", "SIMCUDA_EMPTY_KERNELS=1").Output, Is.EqualTo("0\n"), "neither the fill nor the poison was written");
        Assert.That(Run("failures", "SIMCUDA_FAIL=cuMemAlloc_v2:2=2").Output, Is.EqualTo("0 2 0 0 \n"));
        Assert.That(Run("failures", "SIMCUDA_FAIL=cuMemAlloc_v2:2=~719").Output, Is.EqualTo("0 0 719 719 \n"));
    }

    [Test]
    public void Leaks_are_listed_at_the_end()
    {
        var (status, _, errors) = Run("leak");
        Assert.That(status, Is.Zero);
        Assert.That(errors, Does.Contain("6 objects were not destroyed").And.Contain("allocation 1 of device memory, 1000 bytes")
            .And.Contain("allocation 1 of pinned host memory, 2000 bytes").And.Contain("stream 1").And.Contain("event 1")
            .And.Contain("a capture that was not ended").And.Contain("a reference to the primary context"));
        Assert.That(Run("leak", "SIMCUDA_LEAKS_FATAL=1").Status, Is.EqualTo(LeakStatus));
    }

    [Test]
    public void Leaks_are_listed_when_the_context_goes()
    {
        var (status, _, errors) = Run("leak-and-release", "SIMCUDA_LEAKS_FATAL=1");
        Assert.That(status, Is.EqualTo(LeakStatus));
        Assert.That(errors, Does.Contain("5 objects were live when the primary context was released"));
        Assert.That(Run("order", "SIMCUDA_LEAKS_FATAL=1"), Is.EqualTo((0, "1010101\n", "")), "a process that leaves nothing");
    }

    private static (int Status, string Output, string Errors) Run(string scenario, params string[] settings)
    {
        string program = Path.Combine(SimulatedCuda.Folder, "simcuda_process");
        var start = new ProcessStartInfo(program, scenario) { RedirectStandardOutput = true, RedirectStandardError = true };
        foreach (string inherited in start.Environment.Keys.Where(name => name.StartsWith("SIMCUDA_", StringComparison.Ordinal)).ToList())
            start.Environment.Remove(inherited);
        foreach (string[] setting in settings.Select(setting => setting.Split('=', 2)))
            start.Environment[setting[0]] = setting[1];
        using var process = Process.Start(start)!;
        var errors = process.StandardError.ReadToEndAsync();
        string output = process.StandardOutput.ReadToEnd();
        process.WaitForExit();
        return (process.ExitCode, output, errors.Result);
    }
}
