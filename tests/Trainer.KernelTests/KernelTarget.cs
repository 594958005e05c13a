namespace Trainer.KernelTests;

/// <summary>The target of this process.</summary>
[SetUpFixture]
internal sealed class KernelTarget
{
    /// <summary>With the value <c>cuda</c>, tests run on the machine's CUDA driver instead of on simulators that the build has made.</summary>
    private const string Variable = "TRAINER_TEST_DEVICE";

    private static readonly Lazy<IKernelTarget> Target = new(() =>
        Environment.GetEnvironmentVariable(Variable) == "cuda" ? new DriverTarget() : new SimulatorTarget());

    public static IKernelTarget Current => Target.Value;

    [OneTimeTearDown]
    public void Close()
    {
        if (Target.IsValueCreated)
            Target.Value.Dispose();
    }
}
