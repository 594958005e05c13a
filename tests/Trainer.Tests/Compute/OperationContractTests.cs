using NUnit.Framework.Interfaces;
using Trainer.Compute;

namespace Trainer.Tests.Compute;

/// <summary>Operations on a backend of their own, each checked against its reference.</summary>
public abstract class OperationContractTests
{
    private IBackend _backend = null!;

    /// <summary>What is tested. A fixture for other operations, or for a device that has not every size, hides it by its own.</summary>
    internal static IEnumerable<TestCaseData> Cases => Named(OperationCases.All);

    /// <summary>One of each of <see cref="Cases"/>; hidden likewise.</summary>
    internal static IEnumerable<TestCaseData> OneOfEach => Named(OperationCases.OneOfEach(OperationCases.All));

    internal static IEnumerable<TestCaseData> Named(IEnumerable<OperationCase> cases) =>
        cases.Select(operation => new TestCaseData(operation).SetArgDisplayNames(operation.ToString()));

    /// <summary>The elements before and after each operand; a device that needs aligned operands makes it a multiple of its alignment.</summary>
    protected virtual int Guard => 64;

    /// <summary>The backend under test.</summary>
    protected IBackend Backend => _backend;

    /// <summary>How it rounds.</summary>
    private protected abstract Arithmetic Arithmetic { get; }

    [OneTimeSetUp]
    public void CreateBackend() => _backend = Create();

    [OneTimeTearDown]
    public void DisposeBackend() => _backend.Dispose();

    [TearDown]
    public void Everything_is_given_back()
    {
        int live = _backend.LiveAllocations;
        if (live != 0 || TestContext.CurrentContext.Result.Outcome.Status == TestStatus.Failed)
        {
            // One test's leak is not the next one's, and a device that has failed computes no more.
            _backend.Dispose();
            _backend = Create();
        }

        Assert.That(live, Is.Zero);
    }

    [TestCaseSource(nameof(Cases))]
    public void Agrees_with_the_reference(object operation)
    {
        using var operands = Operands(operation);
        operands.Invoke();
        operands.Check();
    }

    [TestCaseSource(nameof(OneOfEach))]
    public void Allocates_nothing_after_a_first_call(object operation)
    {
        using var operands = Operands(operation);
        for (int i = 0; i < 3; i++)
            operands.Invoke();
        Assert.That(ManagedAllocations.Fewest(operands.Invoke), Is.Zero);
    }

    [TestCaseSource(nameof(OneOfEach))]
    public void A_wrong_operand_is_refused_by_name(object operation)
    {
        Operation theCase = ((OperationCase)operation).For(Arithmetic);
        using var operands = Operands(operation);
        for (int i = 0; i < theCase.Operands.Count; i++)
        {
            var (operand, tensor) = (theCase.Operands[i], operands.Tensors[i]);
            var otherType = tensor.Type == ElementType.Int32 ? ElementType.Float32 : ElementType.Int32;
            ExpectRefusal(operation, theCase, operands, i, new Tensor(tensor.Address, otherType, tensor.Shape), operand.Name, "type");
            if (!operand.Optional)
                ExpectRefusal(operation, theCase, operands, i, default, operand.Name, "missing");

            // Which one of two operands that disagree is to blame is a matter of taste; that one of the call's is named is not.
            if (theCase.Operands.Count > 1)
            {
                foreach (var shape in OtherShapes(tensor.Shape))
                    ExpectRefusal(operation, theCase, operands, i, new Tensor(tensor.Address, tensor.Type, shape), null, shape.ToString());
            }
        }

        // A refused call has changed nothing.
        for (int i = 0; i < theCase.Operands.Count; i++)
        {
            byte[] refused = operands.Bytes(i);
            operands.Reset();
            Assert.That(operands.Bytes(i).AsSpan().SequenceEqual(refused), $"{theCase.Operands[i].Name} has changed");
        }
    }

    /// <summary>A new backend.</summary>
    protected abstract IBackend Create();

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

    private DeviceOperands Operands(object operation) => new(_backend, ((OperationCase)operation).For(Arithmetic), Guard);

    private void ExpectRefusal(object named, Operation operation, DeviceOperands operands, int changed, Tensor replacement, string? name, string what)
    {
        // Tables may have any number of rows that the tokens and positions stay below, logits any number of columns from V on.
        string operand = operation.Operands[changed].Name;
        bool free = operand.EndsWith("Table", StringComparison.Ordinal) ? replacement.Shape.Columns == operands.Tensors[changed].Shape.Columns
            : operand == "logits" && replacement.Shape.Rows == operands.Tensors[changed].Shape.Rows;
        if (name == null && free)
            return;
        Tensor[] tensors = [.. operands.Tensors];
        tensors[changed] = replacement;
        string message = $"{named}, {operand}: {what}";
        var exception = Assert.Catch<ArgumentException>(() => operation.Invoke(_backend, tensors, operands.Results), message);
        if (name != null)
            Assert.That(exception?.ParamName, Is.EqualTo(name), message);
        else
            Assert.That(operation.Operands.Select(operand => operand.Name), Does.Contain(exception?.ParamName), message);
    }
}
