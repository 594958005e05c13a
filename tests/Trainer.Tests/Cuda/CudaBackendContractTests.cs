using Trainer.Compute;
using Trainer.Tests.Compute;

namespace Trainer.Tests.Cuda;

/// <summary>The contract of every backend, in each precision, at the sizes that the CUDA kernels take.</summary>
[Category("Device")]
[TestFixture("fp32")]
[TestFixture("tf32")]
[TestFixture("bf16-mixed")]
public sealed class CudaBackendContractTests(string precision) : BackendContractTests
{
    private readonly Precision _precision = Precision.All.Single(known => known.Name == precision);

    internal static new IEnumerable<TestCaseData> Cases => Named(Supported);

    internal static new IEnumerable<TestCaseData> OneOfEach => Named(OperationCases.OneOfEach(Supported));

    private protected override Arithmetic Arithmetic => new(_precision, IsGpu: true);

    private static IEnumerable<OperationCase> Supported => OperationCases.All.Where(operation => operation.IsAligned);

    protected override IBackend Create() => SimulatedDriver.CreateBackend(_precision);
}
