using Trainer.Compute;
using Trainer.Cuda;
using Trainer.Tests.Compute;

namespace Trainer.Tests.Cuda.Linear;

/// <summary>Every implementation of every product against the reference in double precision, on the simulated device.</summary>
[Category("Device")]
[TestFixtureSource(nameof(Precisions))]
public sealed class LinearProductTests
{
    // Operands begin 8 elements behind an allocation's begin: aligned to 16 or 32 bytes and to no more.
    private const int Guard = 8;

    private readonly Precision _precision;
    private CudaBackend _backend = null!;

    public LinearProductTests(Precision precision) => _precision = precision;

    internal static IEnumerable<TestFixtureData> Precisions =>
        new[] { Precision.BFloat16Mixed, Precision.TensorFloat32, Precision.Float32 }
            .Select(precision => new TestFixtureData(precision).SetArgDisplayNames(precision.Name));

    // The least there is; beside the tiles of our kernels; a sum that is long enough to be split.
    internal static IEnumerable<TestCaseData> Products
    {
        get
        {
            foreach (var (rows, n, k) in new[] { (1, 8, 8), (129, 136, 72), (65, 200, 184), (260, 264, 136) })
            {
                foreach (bool bias in new[] { true, false })
                {
                    yield return Product(new(LinearForm.Forward, rows, n, k, bias, false), OperationCases.LinearForward(rows, n, k, bias, withGelu: false));
                    yield return Product(new(LinearForm.ForwardGelu, rows, n, k, bias, false), OperationCases.LinearForward(rows, n, k, bias, withGelu: true));
                    foreach (bool accumulate in new[] { true, false })
                    {
                        yield return Product(new(LinearForm.BackwardWeight, rows, n, k, bias, accumulate),
                            OperationCases.LinearBackwardWeight(rows, n, k, bias, accumulate));
                    }
                }

                foreach (bool gelu in new[] { true, false })
                {
                    LinearForm form = gelu ? LinearForm.BackwardInputGelu : LinearForm.BackwardInput;
                    yield return Product(new(form, rows, n, k, false, false), OperationCases.LinearBackwardInput(rows, n, k, gelu));
                }
            }
        }
    }

    [OneTimeSetUp]
    public void Open()
    {
        SimulatedDriver.Require();
        _backend = new CudaBackend(new() { Precision = _precision, CacheFolder = null });
    }

    [OneTimeTearDown]
    public void Close() => _backend?.Dispose();

    [TestCaseSource(nameof(Products))]
    public void Every_implementation_agrees_with_the_reference(object theShape, object operation)
    {
        var shape = (LinearShape)theShape;
        using var operands = new DeviceOperands(_backend, ((OperationCase)operation).For(new Arithmetic(_precision, IsGpu: true)), Guard);
        string[] names = Names(shape);
        Assert.That(names, Is.Unique);
        foreach (string name in names)
        {
            Choose(shape, name);
            operands.Reset();
            operands.Invoke();
            try
            {
                operands.Check();
            }
            catch (AssertionException exception)
            {
                throw new AssertionException($"{name}: {exception.Message}", exception);
            }
        }
    }

    [Test]
    public void There_are_implementations_by_the_libraries_and_by_our_own_kernels()
    {
        SimulatedDriver.RequireSimulated();
        string[] plain = Names(new(LinearForm.BackwardInput, 65, 200, 184, false, false));
        string[] fused = Names(new(LinearForm.ForwardGelu, 65, 200, 184, true, false));
        string[] gradient = Names(new(LinearForm.BackwardWeight, 65, 200, 184, true, true));
        Assert.That(plain, Has.Some.StartsWith("cublasLt ").And.Some.StartsWith("cublas "));
        Assert.That(fused, Has.Some.StartsWith("cublasLt ").And.None.StartsWith("cublas "));
        Assert.That(gradient, Has.Some.StartsWith("cublas ").And.Some.StartsWith("cublasLt "));
        Assert.That(gradient.Any(name => name.Contains(" bias-gradient ", StringComparison.Ordinal)), Is.EqualTo(!_precision.UsesTensorFloat32));
        foreach (string[] names in new[] { plain, fused, gradient })
        {
            string[] own = _precision.Working == ElementType.BFloat16
                ? ["wgmma 128 ", "wgmma 192 ", "wgmma 256 ", "mma "]
                : _precision.UsesTensorFloat32 ? ["tf32 "]
                : ["f32 "];
            foreach (string start in own)
                Assert.That(names, Has.Some.StartsWith(start));
        }
    }

    [Test]
    public void Scratch_memory_is_bounded_before_anything_is_chosen()
    {
        foreach (TestCaseData data in Products)
        {
            var shape = (LinearShape)data.Arguments[0]!;
            long bound = _backend.Linear.ScratchBytes([shape]);
            foreach (LinearProduct product in _backend.Linear.Candidates.All(shape))
            {
                using (product)
                    Assert.That(product.ScratchBytes, Is.LessThanOrEqualTo(bound), $"{shape}: {product.Name}");
            }
        }
    }

    [TestCase(LinearForm.Forward)]
    [TestCase(LinearForm.ForwardGelu)]
    [TestCase(LinearForm.BackwardInput)]
    [TestCase(LinearForm.BackwardInputGelu)]
    [TestCase(LinearForm.BackwardWeight)]
    public void No_implementation_allocates(object theForm)
    {
        var form = (LinearForm)theForm;
        var (rows, n, k) = (65, 200, 184);
        bool forward = form is LinearForm.Forward or LinearForm.ForwardGelu, weight = form == LinearForm.BackwardWeight;
        var shape = new LinearShape(form, rows, n, k, forward || weight, weight);
        OperationCase operation = forward ? OperationCases.LinearForward(rows, n, k, withBias: true, form == LinearForm.ForwardGelu)
            : weight ? OperationCases.LinearBackwardWeight(rows, n, k, withBias: true)
            : OperationCases.LinearBackwardInput(rows, n, k, form == LinearForm.BackwardInputGelu);
        using var operands = new DeviceOperands(_backend, operation.For(new Arithmetic(_precision, IsGpu: true)), Guard);
        foreach (string name in Names(shape))
        {
            Choose(shape, name);
            operands.Invoke();
            Assert.That(ManagedAllocations.Fewest(operands.Invoke), Is.Zero, name);
        }
    }

    private static TestCaseData Product(LinearShape shape, OperationCase operation) => new TestCaseData(shape, operation).SetArgDisplayNames(shape.ToString());

    private string[] Names(LinearShape shape)
    {
        IReadOnlyList<LinearProduct> all = _backend.Linear.Candidates.All(shape);
        string[] names = [.. all.Select(product => product.Name)];
        foreach (LinearProduct product in all)
            product.Dispose();
        return names;
    }

    private void Choose(LinearShape shape, string name)
    {
        _backend.Linear.Prepare([shape], new Dictionary<string, string> { [shape.ToString()] = name }, measures: false);
        Assert.That(_backend.Choices[shape.ToString()], Is.EqualTo(name));
        Assert.That(_backend.Warnings, Is.Empty);
    }
}
