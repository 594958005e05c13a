using System.Runtime.InteropServices;
using Trainer.Compute;
using Trainer.Optimization;

namespace Trainer.Cpu;

/// <summary>
/// The CPU backend: fp32, SIMD in C#, all cores. Its results are bitwise the same for any number of threads, and within rounding the
/// same for every instruction set.
/// </summary>
public sealed unsafe class CpuBackend : IBackend
{
    private readonly ThreadTeam _team;
    private readonly CpuOperations _operations;
    private readonly Dictionary<nint, long> _allocations = [];
    private bool _disposed;

    /// <summary>Starts the threads.</summary>
    /// <param name="threads">How many, the caller's included; 0 for one on each processor.</param>
    /// <param name="instructionSet">The vector instructions to use; the widest that this processor has if not given.</param>
    /// <exception cref="RequestException">This processor does not have the instruction set, or the number is negative.</exception>
    public CpuBackend(int threads = 0, CpuInstructionSet? instructionSet = null)
    {
        if (threads < 0)
            throw new RequestException($"--threads must not be negative, but is {threads}; 0 stands for one on each processor.");
        InstructionSet = instructionSet ?? CpuInstructionSets.Best;
        if (InstructionSet > CpuInstructionSets.Best)
            throw new RequestException($"this processor has no {InstructionSet.DisplayName()}; its best is {CpuInstructionSets.Best.DisplayName()}.");
        _team = new ThreadTeam(threads == 0 ? Environment.ProcessorCount : threads);
        _operations = CpuOperations.For(InstructionSet, _team);
    }

    /// <summary>The vector instructions in use.</summary>
    public CpuInstructionSet InstructionSet { get; }

    /// <summary>The number of threads, the caller's included.</summary>
    public int Threads => _team.Threads;

    /// <inheritdoc/>
    public string Description => $"cpu, {InstructionSet.DisplayName()}, {Threads} {(Threads == 1 ? "thread" : "threads")}";

    /// <inheritdoc/>
    public long AvailableBytes => SystemMemory.Available / 20 * 19; // the rest for the program itself and the packed blocks of its threads

    /// <inheritdoc/>
    public double MeasurePeakFlops() => PeakMeasurement.FlopsPerSecond(_team, InstructionSet);

    /// <inheritdoc/>
    public int LiveAllocations => _allocations.Count;

    /// <inheritdoc/>
    public Tensor Allocate(ElementType type, Shape shape)
    {
        for (int i = 0; i < shape.Rank; i++)
        {
            if (shape[i] < 0)
                throw new ArgumentException($"the extents {shape} must not be negative", nameof(shape));
        }

        long bytes = Math.Max(1, shape.Count) * Tensor.SizeOf(type);
        // The system promises more than it has and would end the process when the pages are touched.
        if (bytes > AvailableBytes)
            throw new InsufficientMemoryException($"{bytes:N0} bytes were asked for, but only {AvailableBytes:N0} are free");
        void* address = NativeBlock.Allocate((nuint)bytes);
        NativeMemory.Clear(address, (nuint)bytes);
        _allocations.Add((nint)address, bytes);
        return new Tensor((nint)address, type, shape);
    }

    /// <inheritdoc/>
    public void Free(Tensor allocation)
    {
        if (!_allocations.Remove(allocation.Address))
            throw new ArgumentException("not an allocation of this backend, or freed already", nameof(allocation));
        NativeBlock.Free((void*)allocation.Address);
    }

    /// <inheritdoc/>
    public void Upload<T>(ReadOnlySpan<T> source, Tensor destination)
        where T : unmanaged => source.CopyTo(Elements<T>(destination, source.Length));

    /// <inheritdoc/>
    public void Download<T>(Tensor source, Span<T> destination)
        where T : unmanaged => Elements<T>(source, destination.Length).CopyTo(destination);

    /// <inheritdoc/>
    public void Zero(Tensor tensor) => NativeMemory.Clear((void*)tensor.Address, (nuint)(tensor.Count * Tensor.SizeOf(tensor.Type)));

    /// <inheritdoc/>
    public void EmbeddingForward(Tensor output, Tensor tokens, Tensor tokenTable, Tensor positionTable)
    {
        var (b, t, c) = (output.Shape[0], output.Shape[1], output.Shape.Columns);
        OperandCheck.Float(output, new Shape(b, t, c));
        OperandCheck.Int(tokens, new Shape(b, t));
        OperandCheck.Columns(tokenTable, c);
        OperandCheck.Tokens(tokens, tokenTable.Shape.Rows);
        OperandCheck.AtLeast(positionTable, t, c);
        _operations.EmbeddingForward(F(output), I(tokens), F(tokenTable), F(positionTable), b, t, c);
    }

    /// <inheritdoc/>
    public void EmbeddingBackward(Tensor dTokenTable, Tensor dPositionTable, Tensor dOutput, Tensor tokens)
    {
        var (b, t, c) = (dOutput.Shape[0], dOutput.Shape[1], dOutput.Shape.Columns);
        OperandCheck.Float(dOutput, new Shape(b, t, c));
        OperandCheck.Int(tokens, new Shape(b, t));
        OperandCheck.Columns(dTokenTable, c);
        OperandCheck.Tokens(tokens, dTokenTable.Shape.Rows);
        OperandCheck.AtLeast(dPositionTable, t, c);
        _operations.EmbeddingBackward(F(dTokenTable), F(dPositionTable), F(dOutput), I(tokens), b, t, c);
    }

    /// <inheritdoc/>
    public void LayerNormForward(Tensor output, Tensor mean, Tensor rstd, Tensor input, Tensor weight, Tensor bias)
    {
        var (rows, c) = (output.Shape.Rows, output.Shape.Columns);
        OperandCheck.Float(output);
        OperandCheck.Matrix(input, rows, c);
        CheckNorm(mean, rstd, weight, rows, c);
        OperandCheck.Float(bias, new Shape(c));
        _operations.LayerNormForward(null, F(output), F(mean), F(rstd), F(input), null, F(weight), F(bias), rows, c);
    }

    /// <inheritdoc/>
    public void ResidualLayerNormForward(Tensor sum, Tensor output, Tensor mean, Tensor rstd, Tensor residual, Tensor branch, Tensor weight, Tensor bias)
    {
        var (rows, c) = (output.Shape.Rows, output.Shape.Columns);
        OperandCheck.Float(output);
        OperandCheck.Matrix(sum, rows, c);
        OperandCheck.Matrix(residual, rows, c);
        OperandCheck.Matrix(branch, rows, c);
        CheckNorm(mean, rstd, weight, rows, c);
        OperandCheck.Float(bias, new Shape(c));
        _operations.LayerNormForward(F(sum), F(output), F(mean), F(rstd), F(residual), F(branch), F(weight), F(bias), rows, c);
    }

    /// <inheritdoc/>
    public void LayerNormBackward(Tensor dInput, Tensor dWeight, Tensor dBias, Tensor dOutput, Tensor input, Tensor weight, Tensor mean, Tensor rstd)
    {
        var (rows, c) = (dOutput.Shape.Rows, dOutput.Shape.Columns);
        OperandCheck.Float(dOutput);
        OperandCheck.Matrix(dInput, rows, c);
        OperandCheck.Matrix(input, rows, c);
        CheckNorm(mean, rstd, weight, rows, c);
        OperandCheck.Float(dWeight, new Shape(c));
        OperandCheck.Float(dBias, new Shape(c));
        _operations.LayerNormBackward(F(dInput), F(dWeight), F(dBias), F(dOutput), F(input), F(weight), F(mean), F(rstd), rows, c);
    }

    /// <inheritdoc/>
    public void LinearForward(Tensor output, Tensor input, Tensor weight, Tensor bias, Tensor preActivation)
    {
        var (rows, n, k) = (output.Shape.Rows, output.Shape.Columns, input.Shape.Columns);
        OperandCheck.Float(output);
        OperandCheck.Matrix(input, rows, k);
        OperandCheck.Matrix(weight, n, k);
        if (!bias.IsNone)
            OperandCheck.Float(bias, new Shape(n));
        if (!preActivation.IsNone)
            OperandCheck.Matrix(preActivation, rows, n);
        _operations.LinearForward(F(output), F(input), F(weight), F(bias), F(preActivation), rows, n, k);
    }

    /// <inheritdoc/>
    public void LinearBackwardInput(Tensor dInput, Tensor dOutput, Tensor weight, Tensor preActivation)
    {
        var (rows, n, k) = (dOutput.Shape.Rows, dOutput.Shape.Columns, dInput.Shape.Columns);
        OperandCheck.Float(dOutput);
        OperandCheck.Matrix(dInput, rows, k);
        OperandCheck.Matrix(weight, n, k);
        if (!preActivation.IsNone)
            OperandCheck.Matrix(preActivation, rows, k);
        _operations.LinearBackwardInput(F(dInput), F(dOutput), F(weight), F(preActivation), rows, n, k);
    }

    /// <inheritdoc/>
    public void LinearBackwardWeight(Tensor dWeight, Tensor dBias, Tensor dOutput, Tensor input, bool accumulate)
    {
        var (rows, n, k) = (dOutput.Shape.Rows, dOutput.Shape.Columns, input.Shape.Columns);
        OperandCheck.Float(dOutput);
        OperandCheck.Matrix(input, rows, k);
        OperandCheck.Matrix(dWeight, n, k);
        if (!dBias.IsNone)
            OperandCheck.Float(dBias, new Shape(n));
        _operations.LinearBackwardWeight(F(dWeight), F(dBias), F(dOutput), F(input), rows, n, k, accumulate);
    }

    /// <inheritdoc/>
    public void AttentionForward(Tensor output, Tensor logSumExp, Tensor qkv)
    {
        var (b, t, c, heads) = CheckAttention(output, logSumExp, qkv);
        _operations.AttentionForward(F(output), F(logSumExp), F(qkv), b, t, c, heads);
    }

    /// <inheritdoc/>
    public void AttentionBackward(Tensor dQkv, Tensor dOutput, Tensor output, Tensor logSumExp, Tensor qkv)
    {
        var (b, t, c, heads) = CheckAttention(output, logSumExp, qkv);
        OperandCheck.Float(dQkv, qkv.Shape);
        OperandCheck.Float(dOutput, output.Shape);
        _operations.AttentionBackward(F(dQkv), F(dOutput), F(output), F(logSumExp), F(qkv), b, t, c, heads);
    }

    /// <inheritdoc/>
    public void SoftmaxCrossEntropy(Tensor logits, Tensor losses, Tensor targets, int vocabulary, float gradientScale)
    {
        var (rows, stride) = (logits.Shape.Rows, logits.Shape.Columns);
        OperandCheck.Float(logits);
        OperandCheck.Count(losses, rows);
        OperandCheck.IntCount(targets, rows);
        if (vocabulary < 1 || vocabulary > stride)
            throw new ArgumentOutOfRangeException(nameof(vocabulary), $"{vocabulary} is not between 1 and the {stride} columns of the logits");
        OperandCheck.Tokens(targets, vocabulary);
        _operations.SoftmaxCrossEntropy(F(logits), F(losses), I(targets), rows, vocabulary, stride, gradientScale);
    }

    /// <inheritdoc/>
    public double Mean(Tensor values)
    {
        OperandCheck.Float(values);
        double sum = 0;
        foreach (float value in Elements<float>(values, (int)values.Count))
            sum += value;
        return sum / values.Count;
    }

    /// <inheritdoc/>
    public void SumOfSquares(Tensor values, ReadOnlySpan<Segment> segments, Span<double> sums)
    {
        OperandCheck.Segments(values, segments, sums.Length);
        _operations.SumOfSquares(F(values), segments, sums);
    }

    /// <inheritdoc/>
    public void AdamUpdate(Tensor weights, Tensor gradients, Tensor firstMoment, Tensor secondMoment,
        ReadOnlySpan<SegmentUpdate> updates, in AdamStep step, Span<double> sumsOfSquares)
    {
        OperandCheck.Float(weights);
        OperandCheck.Count(gradients, weights.Count);
        OperandCheck.Count(firstMoment, weights.Count);
        OperandCheck.Count(secondMoment, weights.Count);
        OperandCheck.Updates(weights, updates, sumsOfSquares.Length);
        _operations.AdamUpdate(F(weights), F(gradients), F(firstMoment), F(secondMoment), updates, step, sumsOfSquares);
    }

    /// <inheritdoc/>
    public void Scale(Tensor values, ReadOnlySpan<Segment> segments, ReadOnlySpan<float> factors)
    {
        OperandCheck.Segments(values, segments, factors.Length);
        _operations.Scale(F(values), segments, factors);
    }

    /// <summary>Stops the threads and frees what is still allocated.</summary>
    public void Dispose()
    {
        if (_disposed)
            return;
        _disposed = true;
        _team.Dispose();
        _operations.Dispose();
        foreach (nint address in _allocations.Keys)
            NativeBlock.Free((void*)address);
        _allocations.Clear();
    }

    private static float* F(Tensor tensor) => (float*)tensor.Address;

    private static int* I(Tensor tensor) => (int*)tensor.Address;

    private static Span<T> Elements<T>(Tensor tensor, int count)
        where T : unmanaged
    {
        if (tensor.IsNone || tensor.Count != count || typeof(T) != (tensor.Type == ElementType.Float32 ? typeof(float) : typeof(int)))
            throw new ArgumentException($"{count} elements of {typeof(T).Name} do not match {tensor.Type} {tensor.Shape}", nameof(tensor));
        return new Span<T>((void*)tensor.Address, count);
    }

    private static void CheckNorm(Tensor mean, Tensor rstd, Tensor weight, int rows, int c)
    {
        OperandCheck.Count(mean, rows);
        OperandCheck.Count(rstd, rows);
        OperandCheck.Float(weight, new Shape(c));
    }

    private static (int B, int T, int C, int Heads) CheckAttention(Tensor output, Tensor logSumExp, Tensor qkv)
    {
        var (b, t, c, heads) = (output.Shape[0], output.Shape[1], output.Shape.Columns, logSumExp.Shape[1]);
        OperandCheck.Float(output, new Shape(b, t, c));
        OperandCheck.Float(logSumExp, new Shape(b, heads, t));
        OperandCheck.Float(qkv, new Shape(b, t, 3 * c));
        if (heads < 1 || c % heads != 0)
            throw new ArgumentException($"{heads} heads do not divide {c} channels", nameof(logSumExp));
        return (b, t, c, heads);
    }
}
