using Trainer.Compute;
using Trainer.Cuda;
using Trainer.Cuda.Kernels;

namespace Trainer.Tests.Cuda.Linear;

/// <summary>What is chosen among implementations whose times are known.</summary>
public sealed class LinearSelectorTests
{
    private static readonly LinearShape Gradient = new(LinearForm.BackwardWeight, 200, 64, 64, Bias: true, Accumulate: true);
    private static readonly LinearShape Gelu = new(LinearForm.ForwardGelu, 72, 64, 64, Bias: true, Accumulate: false);

    private CudaContext _context = null!;
    private CudaKernels _kernels = null!;
    private TensorMaps _maps = null!;
    private CublasHandles _blas = null!;

    private static LinearArithmetic Arithmetic => new(KernelType.Bf16, UsesTensorFloat32: false);

    [OneTimeSetUp]
    public void Open()
    {
        SimulatedDriver.Require();
        _context = new CudaContext(0);
        _kernels = new CudaKernels(_context);
        _maps = new TensorMaps();
        _blas = new CublasHandles(_context);
    }

    [OneTimeTearDown]
    public void Close()
    {
        _blas?.Dispose();
        _maps?.Dispose();
        _kernels?.Dispose();
        _context?.Dispose();
    }

    [Test]
    public void The_fastest_is_chosen()
    {
        foreach (string start in new[] { "wgmma 192", "mma", "cublasLt", "cublas " })
            Assert.That(Choice(Gradient, name => name.StartsWith(start, StringComparison.Ordinal) ? 1 : 2), Does.StartWith(start));
    }

    [Test]
    public void A_library_must_be_faster_than_our_own_kernels_by_more_than_noise()
    {
        Assert.That(Choice(Gelu, name => name.StartsWith("cublasLt", StringComparison.Ordinal) ? 0.995f : 1), Does.StartWith("wgmma "));
        Assert.That(Choice(Gelu, name => name.StartsWith("cublasLt", StringComparison.Ordinal) ? 0.985f : 1), Does.StartWith("cublasLt "));
    }

    [Test]
    public void Measured_by_the_clock_of_the_device_there_is_a_choice([Values] bool gelu)
    {
        LinearShape shape = gelu ? Gelu : Gradient;
        using LinearProduct? chosen = Selector(clock: null).Fastest(shape);
        Assert.That(chosen, Is.Not.Null);
    }

    [Test]
    public void A_wrong_result_is_not_chosen_however_fast_it_is([Values] bool gelu)
    {
        // The form without GELU; a gradient that overwrites where it should be added.
        LinearShape shape = gelu ? Gelu : Gradient;
        LinearShape other = gelu ? shape with { Form = LinearForm.Forward } : shape with { Accumulate = false };
        using LinearProduct right = Own(shape), otherProduct = Own(other);
        Planted[] wrong =
        [
            new("another product", right, (operands, scratch) => otherProduct.Run(operands, scratch)),
            new("nothing is written", right, (_, _) => { }),
            new("not a number", right, (operands, scratch) =>
            {
                right.Run(operands, scratch);
                Driver.Fill((ulong)operands.Result.Address, 0xff, 16, _context.Stream);
            }),
            new("a second output is not written", right, (operands, scratch) =>
            {
                right.Run(operands, scratch);
                Tensor second = gelu ? operands.PreActivation : operands.Bias;
                Driver.Fill((ulong)second.Address, 0, (nuint)(second.Count * Tensor.SizeOf(second.Type)), _context.Stream);
            }),
        ];
        foreach (Planted product in wrong)
        {
            Assert.That(Choice(shape, [product, new Planted("right", right, (operands, scratch) => right.Run(operands, scratch))], right), Is.EqualTo("right"), product.Name);
            Assert.That(Choice(shape, [product], right), Is.Null, product.Name);
        }
    }

    [Test]
    public void A_result_that_differs_from_run_to_run_is_not_chosen()
    {
        // By one unit in the last place of one element, every other time.
        using LinearProduct right = Own(Gradient);
        int runs = 0;
        var restless = new Planted("restless", right, (operands, scratch) =>
        {
            right.Run(operands, scratch);
            if (runs++ % 2 == 0)
                Driver.Fill((ulong)operands.Result.Address, 0, 1, _context.Stream);
        });
        Assert.That(Choice(Gradient, [restless, new Planted("calm", right, (operands, scratch) => right.Run(operands, scratch))], right), Is.EqualTo("calm"));
        Assert.That(runs, Is.GreaterThanOrEqualTo(3));
    }

    [Test]
    public void What_the_library_refuses_after_all_is_passed_over()
    {
        using LinearProduct right = Own(Gradient);
        var refused = new Planted("refused", right, (_, _) => throw new CublasException("cublasLtMatmul", CublasException.NotSupported));
        LinearSelector selector = Selector(clock: null);
        using LinearTrial trial = Trial(Gradient);
        LinearProduct? chosen = selector.Fastest(trial, [refused, new Planted("right", right, (operands, scratch) => right.Run(operands, scratch))], right, selector.Tolerance(Gradient));
        Assert.That(chosen?.Name, Is.EqualTo("right"));
    }

    [Test]
    public void What_is_not_chosen_is_disposed_of()
    {
        using LinearProduct right = Own(Gradient);
        Planted[] products = [new("first", right, (operands, scratch) => right.Run(operands, scratch)), new("second", right, (operands, scratch) => right.Run(operands, scratch))];
        Assert.That(Choice(Gradient, products, right), Is.EqualTo("first"));
        Assert.That(products.Select(product => product.Disposed), Is.EqualTo(new[] { false, true }));
    }

    [Test]
    public void Operands_that_do_not_fit_the_memory_are_not_tried()
    {
        var shape = new LinearShape(LinearForm.Forward, 1 << 28, 50304, 768, false, false);
        Assert.That(Selector(clock: null).Fastest(shape), Is.Null);
    }

    [Test]
    public void All_memory_is_given_back()
    {
        _context.MakeCurrent();
        long before = Driver.MemoryInfo().Free;
        Selector(clock: null).Fastest(Gelu)?.Dispose();
        Assert.That(Driver.MemoryInfo().Free, Is.EqualTo(before));
    }

    private LinearCandidates Candidates() => new(_kernels, new OwnProducts(_kernels, _maps, Arithmetic), _blas, Arithmetic);

    private LinearSelector Selector(Func<LinearProduct, float>? clock) => new(_kernels, Candidates(), Arithmetic) { Clock = clock };

    private LinearProduct Own(LinearShape shape) => Candidates().Expected(shape);

    private LinearTrial Trial(LinearShape shape)
    {
        LinearTrial? trial = LinearTrial.TryCreate(_kernels, new TrialValues(), shape, Arithmetic, Candidates().ScratchBytes(shape));
        Assert.That(trial, Is.Not.Null);
        return trial!;
    }

    private string? Choice(LinearShape shape, Func<string, float> milliseconds)
    {
        using LinearProduct? chosen = Selector(product => milliseconds(product.Name)).Fastest(shape);
        return chosen?.Name;
    }

    private string? Choice(LinearShape shape, Planted[] products, LinearProduct reference)
    {
        // The first is the fastest.
        LinearSelector selector = Selector(product => 1 + Array.IndexOf(products, product));
        using LinearTrial trial = Trial(shape);
        return selector.Fastest(trial, products, reference, selector.Tolerance(shape))?.Name;
    }

    private sealed class Planted(string name, LinearProduct original, Action<LinearOperands, Scratch> work) : LinearProduct
    {
        public bool Disposed { get; private set; }

        public override string Name => name;

        public override long ScratchBytes => original.ScratchBytes;

        public override void Run(in LinearOperands operands, Scratch scratch) => work(operands, scratch);

        public override void Dispose()
        {
            Disposed = true;
            base.Dispose();
        }
    }
}
