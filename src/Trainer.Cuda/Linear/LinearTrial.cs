using Trainer.Compute;
using Trainer.Cuda.Kernels;

namespace Trainer.Cuda;

/// <summary>Operands of one product in memory of their own, to run, time and compare its implementations on.</summary>
internal sealed unsafe class LinearTrial : IDisposable
{
    // A batch of runs is timed as long as this, so that neither the clock's resolution nor a launch counts; the best of several batches.
    private const float BatchMilliseconds = 1.5f;
    private const int Batches = 3, MostRepetitions = 20;

    private readonly CudaKernels _kernels;
    private readonly LinearShape _shape;
    private readonly TrialValues _values;
    private readonly Scratch _scratch;
    private readonly List<ulong> _allocations = [];
    private readonly nint _start;
    private readonly nint _end;
    private readonly Tensor[] _actual;
    private readonly Tensor[] _expected;
    private readonly LinearOperands _operands;
    private readonly PreparedKernel[] _compare;
    private readonly ulong _parts;
    private readonly double[] _hostParts;

    private LinearTrial(CudaKernels kernels, TrialValues values, LinearShape shape, LinearArithmetic arithmetic, long scratchBytes)
    {
        (_kernels, _values, _shape) = (kernels, values, shape);
        _scratch = new Scratch(kernels.Context);
        kernels.Context.MakeCurrent();
        try
        {
            // Now, not when it is first needed: either everything fits, or there is no trial.
            if (scratchBytes > 0)
                _scratch.Take(scratchBytes);
            var sizes = new LinearSizes(shape, arithmetic);
            _actual = [.. sizes.Outputs.Select(Allocate)];
            _expected = [.. sizes.Outputs.Select(Allocate)];

            // A sum of K products of numbers up to a has a standard deviation of a² √K / 3: 1 here, where a GELU is neither linear nor flat, and
            // what is added to counts.
            float amplitude = MathF.Sqrt(3 / MathF.Sqrt(ColumnProduct.Of(shape).K));
            _operands = new(default, Input(sizes.Left, amplitude), Input(sizes.Right, amplitude), Input(sizes.Bias, 1), Input(sizes.PreActivation, 2));
            _compare = [.. _actual.Select(output => kernels.Prepare(CompareKernels.Compare(output.Count, TypeOf(output))))];
            _hostParts = new double[CompareKernels.Quantities * _actual.Max(output => CompareKernels.CompareBlocks(output.Count))];
            _parts = Allocate(sizeof(double) * (long)_hostParts.Length);
            _start = Driver.CreateEvent(timing: true);
            _end = Driver.CreateEvent(timing: true);
        }
        catch
        {
            Dispose();
            throw;
        }
    }

    /// <summary>Makes the operands.</summary>
    /// <param name="kernels">The kernels.</param>
    /// <param name="values">What is put into them.</param>
    /// <param name="shape">The product.</param>
    /// <param name="arithmetic">Of what.</param>
    /// <param name="scratchBytes">The scratch memory that its implementations need at most.</param>
    /// <returns>Null if there is not enough memory.</returns>
    public static LinearTrial? TryCreate(CudaKernels kernels, TrialValues values, LinearShape shape, LinearArithmetic arithmetic, long scratchBytes)
    {
        kernels.Context.MakeCurrent();
        if (new LinearSizes(shape, arithmetic).Bytes + scratchBytes > Driver.MemoryInfo().Free - CudaBackend.ReservedBytes)
            return null;
        try
        {
            return new LinearTrial(kernels, values, shape, arithmetic, scratchBytes);
        }
        catch (CudaException exception) when (exception.IsOutOfMemory)
        {
            return null;
        }
    }

    /// <summary>The time that a product takes in milliseconds, the best of a few batches of runs.</summary>
    public float Time(LinearProduct product)
    {
        // The first run loads the library's code, the second tells how many fill a batch.
        Run(product, _actual);
        float once = Time(product, 1), best = once;
        int repetitions = (int)Math.Clamp(BatchMilliseconds / Math.Max(once, 1e-3f), 1, MostRepetitions);
        for (int i = 0; i < Batches; i++)
            best = Math.Min(best, Time(product, repetitions) / repetitions);
        return best;
    }

    /// <summary>How far a product's results are from another's: the greatest of their relative distances ‖a - b‖ / ‖b‖; NaN if one is not finite.</summary>
    public double Distance(LinearProduct product, LinearProduct reference)
    {
        RunFresh(reference, _expected);
        RunFresh(product, _actual);
        double greatest = 0;
        for (int i = 0; i < _actual.Length; i++)
        {
            var (squares, ofReference, _) = Compare(i);
            greatest = Math.Max(greatest, Math.Sqrt(squares / ofReference));
        }

        return greatest;
    }

    /// <summary>Whether two runs of a product on the same operands give the same bytes.</summary>
    public bool Repeats(LinearProduct product)
    {
        RunFresh(product, _expected);
        RunFresh(product, _actual);
        for (int i = 0; i < _actual.Length; i++)
        {
            if (Compare(i).Changed != 0)
                return false;
        }

        return true;
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        CudaContext context = _kernels.Context;
        context.Quietly(context.Synchronize);
        foreach (nint recorded in (ReadOnlySpan<nint>)[_start, _end])
        {
            if (recorded != 0)
                context.Quietly(() => Driver.DestroyEvent(recorded));
        }

        foreach (ulong address in _allocations)
            context.Quietly(() => Driver.Free(address));
        _allocations.Clear();
        _scratch.Dispose();
    }

    private static KernelType TypeOf(Tensor tensor) => tensor.Type == ElementType.BFloat16 ? KernelType.Bf16 : KernelType.Float;

    private float Time(LinearProduct product, int repetitions)
    {
        nint stream = _kernels.Context.Stream;
        Driver.RecordEvent(_start, stream);
        for (int i = 0; i < repetitions; i++)
            Run(product, _actual);
        Driver.RecordEvent(_end, stream);
        Driver.SynchronizeEvent(_end);
        return Driver.ElapsedMilliseconds(_start, _end);
    }

    // On outputs that hold the same values before each run: some are added to, and what is not written would otherwise look right.
    private void RunFresh(LinearProduct product, Tensor[] outputs)
    {
        foreach (Tensor output in outputs)
            _values.Fill(_kernels.Context, output, amplitude: 1);
        Run(product, outputs);
    }

    private void Run(LinearProduct product, Tensor[] outputs)
    {
        LinearOperands operands = _operands with { Result = outputs[0] };
        if (_shape.Form == LinearForm.ForwardGelu)
            operands = operands with { PreActivation = outputs[1] };
        else if (_shape is { Form: LinearForm.BackwardWeight, Bias: true })
            operands = operands with { Bias = outputs[1] };
        product.Run(operands, _scratch);
    }

    private (double Squares, double Reference, long Changed) Compare(int output)
    {
        long count = _actual[output].Count;
        _compare[output].Launch(_parts, _actual[output], _expected[output], count);
        Span<double> parts = _hostParts.AsSpan(0, CompareKernels.Quantities * CompareKernels.CompareBlocks(count));
        fixed (double* to = parts)
            Driver.CopyToHost(to, _parts, (nuint)(parts.Length * sizeof(double)), _kernels.Context.Stream);
        _kernels.Context.Synchronize();
        var (squares, reference, changed) = (0.0, 0.0, 0.0);
        for (int i = 0; i < parts.Length; i += CompareKernels.Quantities)
        {
            squares += parts[i];
            reference += parts[i + 1];
            changed += parts[i + 2];
        }

        return (squares, reference, (long)changed);
    }

    private Tensor Input(LinearPiece piece, float amplitude)
    {
        if (piece.Bytes == 0)
            return default;
        Tensor tensor = Allocate(piece);
        _values.Fill(_kernels.Context, tensor, amplitude);
        return tensor;
    }

    private Tensor Allocate(LinearPiece piece) => new((nint)Allocate(piece.Bytes), piece.Type, piece.Shape);

    private ulong Allocate(long bytes)
    {
        ulong address = Driver.Allocate((nuint)bytes);
        _allocations.Add(address);
        return address;
    }
}
