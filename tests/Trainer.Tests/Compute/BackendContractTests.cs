using Trainer.Compute;
using Trainer.Optimization;

namespace Trainer.Tests.Compute;

/// <summary>What every backend owes to the documentation of <see cref="IBackend"/>. A fixture for a device derives from it.</summary>
public abstract partial class BackendContractTests
{
    private IBackend _backend = null!;

    internal static IEnumerable<TestCaseData> Cases => OperationCases.All.Select(Named);

    internal static IEnumerable<TestCaseData> OneOfEach => OperationCases.OneOfEach.Select(Named);

    /// <summary>The elements before and after each operand; a device that needs aligned operands makes it a multiple of its alignment.</summary>
    protected virtual int Guard => 64;

    /// <summary>The backend under test.</summary>
    protected IBackend Backend => _backend;

    [OneTimeSetUp]
    public void CreateBackend() => _backend = Create();

    [OneTimeTearDown]
    public void DisposeBackend() => _backend.Dispose();

    [TearDown]
    public void Everything_is_given_back()
    {
        int live = _backend.LiveAllocations;
        if (live != 0)
        {
            // One test's leak is not the next one's.
            _backend.Dispose();
            _backend = Create();
        }

        Assert.That(live, Is.Zero);
    }

    [TestCaseSource(nameof(Cases))]
    public void Agrees_with_the_reference(object operation)
    {
        using var operands = new DeviceOperands(_backend, (OperationCase)operation, Guard);
        operands.Invoke();
        operands.Check();
    }

    [TestCaseSource(nameof(OneOfEach))]
    public void Allocates_nothing_after_a_first_call(object operation)
    {
        using var operands = new DeviceOperands(_backend, (OperationCase)operation, Guard);
        for (int i = 0; i < 3; i++)
            operands.Invoke();

        // The runtime itself may allocate once on any thread, when it replaces code or a lock is first contended; an operation that
        // allocates does so every time.
        long fewest = long.MaxValue;
        for (int attempt = 0; attempt < 5 && fewest > 0; attempt++)
        {
            long before = GC.GetAllocatedBytesForCurrentThread();
            for (int i = 0; i < 5; i++)
                operands.Invoke();
            fewest = Math.Min(fewest, GC.GetAllocatedBytesForCurrentThread() - before);
        }

        Assert.That(fewest, Is.Zero);
    }

    [TestCaseSource(nameof(OneOfEach))]
    public void A_wrong_operand_is_refused_by_name(object operation)
    {
        var theCase = (OperationCase)operation;
        using var operands = new DeviceOperands(_backend, theCase, Guard);
        for (int i = 0; i < theCase.Operands.Count; i++)
        {
            var (operand, tensor) = (theCase.Operands[i], operands.Tensors[i]);
            var otherType = tensor.Type == ElementType.Int32 ? ElementType.Float32 : ElementType.Int32;
            ExpectRefusal(theCase, operands, i, new Tensor(tensor.Address, otherType, tensor.Shape), operand.Name, "type");
            if (!operand.Optional)
                ExpectRefusal(theCase, operands, i, default, operand.Name, "missing");

            // Which one of two operands that disagree is to blame is a matter of taste; that one of the call's is named is not.
            if (theCase.Operands.Count > 1)
            {
                foreach (var shape in OtherShapes(tensor.Shape))
                    ExpectRefusal(theCase, operands, i, new Tensor(tensor.Address, tensor.Type, shape), null, shape.ToString());
            }
        }

        // A refused call has changed nothing.
        for (int i = 0; i < theCase.Operands.Count; i++)
        {
            int[] refused = operands.Bits(i);
            operands.Reset();
            Assert.That(operands.Bits(i).AsSpan().SequenceEqual(refused), $"{theCase.Operands[i].Name} has changed");
        }
    }

    [Test]
    public void Memory_is_zeroed_aligned_and_counted()
    {
        var first = _backend.Allocate(ElementType.Float32, new Shape(3, 5));
        var second = _backend.Allocate(ElementType.Int32, new Shape(1));
        Assert.That(_backend.LiveAllocations, Is.EqualTo(2));
        Assert.That((long)first.Address % 64, Is.Zero);
        Assert.That((long)second.Address % 64, Is.Zero);
        var values = new float[15];
        Array.Fill(values, float.NaN);
        _backend.Download<float>(first, values);
        Assert.That(values, Is.All.Zero);

        Array.Fill(values, float.NaN);
        _backend.Upload<float>(values, first);
        _backend.Zero(first.Slice(3, new Shape(4)));
        _backend.Download<float>(first, values);
        Assert.That(values.Select(float.IsNaN), Is.EqualTo(Enumerable.Range(0, 15).Select(i => i is < 3 or >= 7)));

        _backend.Free(first);
        _backend.Free(second);
        Assert.That(_backend.LiveAllocations, Is.Zero);
        Assert.Throws<ArgumentException>(() => _backend.Free(first));
        Assert.Throws<ArgumentException>(() => _backend.Free(default));
    }

    [Test]
    public void An_allocation_that_cannot_be_is_refused()
    {
        Assert.Catch<OutOfMemoryException>(() => _backend.Allocate(ElementType.Float32, new Shape(1 << 20, 1 << 24)));
        Assert.Throws<ArgumentException>(() => _backend.Allocate(ElementType.Float32, new Shape(3, -1)));
        Assert.That(_backend.AvailableBytes, Is.Positive);
    }

    [Test]
    public void Copies_need_the_same_count_and_type()
    {
        var tensor = _backend.Allocate(ElementType.Float32, new Shape(4));
        Assert.Throws<ArgumentException>(() => _backend.Upload<float>(new float[3], tensor));
        Assert.Throws<ArgumentException>(() => _backend.Upload<float>(new float[5], tensor));
        Assert.Throws<ArgumentException>(() => _backend.Download<float>(tensor, new float[5]));
        Assert.Throws<ArgumentException>(() => _backend.Upload<double>(new double[4], tensor));
        Assert.Throws<ArgumentException>(() => _backend.Upload<int>(new int[4], tensor));
        Assert.Throws<ArgumentException>(() => _backend.Upload<float>(new float[1], default));
        _backend.Free(tensor);
    }

    [Test]
    public void Segments_must_lie_inside_and_updates_must_ascend()
    {
        var x = _backend.Allocate(ElementType.Float32, new Shape(10));
        foreach (var segment in new Segment[] { new(-1, 2), new(0, 11), new(10, 1), new(3, -1), new(long.MaxValue, 1), new(1, long.MaxValue) })
        {
            Assert.That(() => _backend.SumOfSquares(x, [segment], new double[1]), Throws.ArgumentException.With.Property("ParamName").EqualTo("segments"), $"{segment}");
            Assert.That(() => _backend.Scale(x, [segment], [2f]), Throws.ArgumentException.With.Property("ParamName").EqualTo("segments"), $"{segment}");
            Assert.That(() => Adam(x, new SegmentUpdate(segment, 1, 0, 1, 1)), Throws.ArgumentException.With.Property("ParamName").EqualTo("updates"), $"{segment}");
        }

        Assert.Throws<ArgumentException>(() => Adam(x, new SegmentUpdate(new(0, 5), 1, 0, 1, 1), new SegmentUpdate(new(4, 2), 1, 0, 1, 1)));
        Assert.Throws<ArgumentException>(() => Adam(x, new SegmentUpdate(new(5, 5), 1, 0, 1, 1), new SegmentUpdate(new(0, 2), 1, 0, 1, 1)));
        Assert.Throws<ArgumentException>(() => _backend.SumOfSquares(x, [new(0, 5)], new double[2]));
        Assert.Throws<ArgumentException>(() => _backend.Scale(x, [new(0, 5)], []));
        _backend.Free(x);

        void Adam(Tensor all, params SegmentUpdate[] updates) =>
            _backend.AdamUpdate(all, all, all, all, updates, new AdamStep(0.9f, 0.95f, 1e-8f, 1, 1), new double[updates.Length]);
    }

    [Test]
    public void A_vocabulary_must_fit_the_logits()
    {
        var logits = _backend.Allocate(ElementType.Float32, new Shape(2, 8));
        var losses = _backend.Allocate(ElementType.Float32, new Shape(2));
        var targets = _backend.Allocate(ElementType.Int32, new Shape(2));
        foreach (int vocabulary in new[] { -1, 0, 9 })
        {
            Assert.That(() => _backend.SoftmaxCrossEntropy(logits, losses, targets, vocabulary, 1),
                Throws.InstanceOf<ArgumentException>().With.Property("ParamName").EqualTo("vocabulary"));
        }

        _backend.Free(logits);
        _backend.Free(losses);
        _backend.Free(targets);
    }

    [Test]
    public void Heads_must_divide_the_channels()
    {
        var output = _backend.Allocate(ElementType.Float32, new Shape(1, 2, 10));
        var logSumExp = _backend.Allocate(ElementType.Float32, new Shape(1, 3, 2));
        var qkv = _backend.Allocate(ElementType.Float32, new Shape(1, 2, 30));
        Assert.That(() => _backend.AttentionForward(output, logSumExp, qkv), Throws.ArgumentException.With.Property("ParamName").EqualTo("logSumExp"));
        _backend.Free(output);
        _backend.Free(logSumExp);
        _backend.Free(qkv);
    }

    /// <summary>A new backend.</summary>
    protected abstract IBackend Create();

    private static TestCaseData Named(OperationCase operation) => new TestCaseData(operation).SetArgDisplayNames(operation.ToString());

    private static IEnumerable<Shape> OtherShapes(Shape shape)
    {
        if (shape[0] > 1)
            yield return With(shape, 0, shape[0] - 1);
        if (shape.Columns > 1)
            yield return With(shape, shape.Rank - 1, shape.Columns - 1);
    }

    private static Shape With(Shape shape, int dimension, int extent)
    {
        int At(int i) => i == dimension ? extent : shape[i];
        return shape.Rank switch
        {
            1 => new Shape(At(0)),
            2 => new Shape(At(0), At(1)),
            3 => new Shape(At(0), At(1), At(2)),
            _ => new Shape(At(0), At(1), At(2), At(3)),
        };
    }

    private void ExpectRefusal(OperationCase operation, DeviceOperands operands, int changed, Tensor replacement, string? name, string what)
    {
        // Tables may have any number of rows that the tokens and positions stay below, logits any number of columns from V on.
        string operand = operation.Operands[changed].Name;
        bool free = operand.EndsWith("Table", StringComparison.Ordinal) ? replacement.Shape.Columns == operands.Tensors[changed].Shape.Columns
            : operand == "logits" && replacement.Shape.Rows == operands.Tensors[changed].Shape.Rows;
        if (name == null && free)
            return;
        Tensor[] tensors = [.. operands.Tensors];
        tensors[changed] = replacement;
        string message = $"{operation}, {operand}: {what}";
        var exception = Assert.Catch<ArgumentException>(() => operation.Invoke(_backend, tensors, operands.Results), message);
        if (name != null)
            Assert.That(exception?.ParamName, Is.EqualTo(name), message);
        else
            Assert.That(operation.Operands.Select(operand => operand.Name), Does.Contain(exception?.ParamName), message);
    }
}
