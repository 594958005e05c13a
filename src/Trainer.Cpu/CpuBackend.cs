using System.Runtime.InteropServices;
using Trainer.Compute;
using Trainer.Model;
using Trainer.Optimization;

namespace Trainer.Cpu;

/// <summary>
/// The CPU backend: fp32, SIMD in C#, all cores; with fewer bits emulated (<see cref="Precision.RoundsWeights"/>, <see cref="Precision.MantissaBits"/>). Its results are bitwise the same for any number of threads, and within rounding the
/// same for every instruction set.
/// </summary>
public sealed unsafe class CpuBackend : CheckedBackend, IWeightPasses
{
    private static readonly Dictionary<string, string> NoChoices = [];

    private readonly ThreadTeam _team;
    private readonly CpuOperations _operations;
    private readonly uint _roundingSeed;
    private readonly HashSet<nint> _allocations = [];
    private bool _disposed;

    /// <summary>Starts the threads.</summary>
    /// <param name="threads">How many, the caller's included; 0 for one on each processor.</param>
    /// <param name="instructionSet">The vector instructions to use; the widest that this processor has if not given.</param>
    /// <param name="precision">fp32 if not given; else one whose storage is fp32 and that no GPU is needed for.</param>
    /// <param name="roundingSeed">Of weights that are rounded at random.</param>
    /// <exception cref="RequestException">This processor does not have the instruction set, or the number is negative.</exception>
    public CpuBackend(int threads = 0, CpuInstructionSet? instructionSet = null, Precision? precision = null, uint roundingSeed = 1)
    {
        Precision = precision ?? Precision.Float32;
        if (Precision is not { Working: ElementType.Float32, HasMaster: false, UsesTensorFloat32: false })
            throw new ArgumentException($"{Precision} is no precision of a CPU", nameof(precision));
        _roundingSeed = roundingSeed;
        if (threads < 0)
            throw new RequestException($"--threads must not be negative, but is {threads}; 0 stands for one on each processor.");
        InstructionSet = instructionSet ?? CpuInstructionSets.Best;
        if (InstructionSet > CpuInstructionSets.Best)
            throw new RequestException($"this processor has no {InstructionSet.DisplayName()}; its best is {CpuInstructionSets.Best.DisplayName()}.");
        _team = new ThreadTeam(threads == 0 ? Environment.ProcessorCount : threads);
        _operations = CpuOperations.For(InstructionSet, _team, new MantissaRounding(Precision.MantissaBits));
    }

    /// <summary>The vector instructions in use.</summary>
    public CpuInstructionSet InstructionSet { get; }

    /// <summary>The number of threads, the caller's included.</summary>
    public int Threads => _team.Threads;

    /// <inheritdoc/>
    public override string Description => $"cpu, {InstructionSet.DisplayName()}, {Threads} {(Threads == 1 ? "thread" : "threads")}{(Precision == Precision.Float32 ? "" : $", {Precision} emulated")}";

    /// <inheritdoc/>
    public override Precision Precision { get; }

    /// <inheritdoc/>
    public override bool RunsAhead => false;

    /// <inheritdoc/>
    public override IReadOnlyDictionary<string, string> Choices => NoChoices;

    /// <inheritdoc/>
    public override long AvailableBytes => SystemMemory.Available / 20 * 19; // the rest for the program itself and the packed blocks of its threads

    /// <inheritdoc/>
    public override int LiveAllocations => _allocations.Count;

    /// <inheritdoc/>
    public override double MeasurePeakFlops() => PeakMeasurement.FlopsPerSecond(_team, InstructionSet);

    /// <inheritdoc/>
    public override void Free(Tensor allocation)
    {
        if (!_allocations.Remove(allocation.Address))
            throw new ArgumentException("not an allocation of this backend, or freed already", nameof(allocation));
        NativeBlock.Free((void*)allocation.Address);
    }

    /// <inheritdoc/>
    public override long WorkspaceBytes(in PassShape shape) => 0;

    /// <inheritdoc/>
    public override void Prepare(in PassShape shape, IReadOnlyDictionary<string, string>? choices)
    {
    }

    /// <inheritdoc/>
    public override void UseWorkspace(Tensor workspace)
    {
    }

    /// <inheritdoc/>
    public override void Synchronize()
    {
    }

    /// <inheritdoc/>
    public override IOptimizerPass CreateOptimizer(ParameterLayout layout, TrainingTensors tensors, OptimizerOptions options) =>
        new HostOptimizer(this, layout, tensors, options, Precision.RoundsWeights ? new WeightRounding(Precision.RoundsStochastically, _roundingSeed) : null);

    /// <inheritdoc/>
    public void AdamUpdate(Tensor weights, Tensor gradients, Tensor firstMoment, Tensor secondMoment,
        ReadOnlySpan<SegmentUpdate> updates, in AdamStep step, Span<double> sumsOfSquares, Span<double> changes, WeightRounding? rounding = null)
    {
        OperandCheck.Any(weights, ElementType.Float32);
        OperandCheck.Count(gradients, ElementType.Float32, weights.Count);
        OperandCheck.Count(firstMoment, ElementType.Float32, weights.Count);
        OperandCheck.Count(secondMoment, ElementType.Float32, weights.Count);
        OperandCheck.Updates(weights, updates, sumsOfSquares.Length);
        OperandCheck.Updates(weights, updates, changes.Length);
        CheckRounding(rounding, weights, updates.Length);
        Observer?.Before(OperationCost.AdamUpdate(updates));
        _operations.AdamUpdate(F(weights), F(gradients), F(firstMoment), F(secondMoment), updates, step, sumsOfSquares, changes, rounding);
        Observer?.After();
    }

    /// <inheritdoc/>
    public void SgdUpdate(Tensor weights, Tensor gradients, Tensor momentum,
        ReadOnlySpan<SegmentUpdate> updates, in SgdStep step, Span<double> sumsOfSquares, Span<double> changes, WeightRounding? rounding = null)
    {
        OperandCheck.Any(weights, ElementType.Float32);
        OperandCheck.Count(gradients, ElementType.Float32, weights.Count);
        OperandCheck.Count(momentum, ElementType.Float32, weights.Count);
        OperandCheck.Updates(weights, updates, sumsOfSquares.Length);
        OperandCheck.Updates(weights, updates, changes.Length);
        CheckRounding(rounding, weights, updates.Length);
        Observer?.Before(OperationCost.SgdUpdate(updates));
        _operations.SgdUpdate(F(weights), F(gradients), F(momentum), updates, step, sumsOfSquares, changes, rounding);
        Observer?.After();
    }

    /// <inheritdoc/>
    public void AddScaled(Tensor values, Tensor addend, ReadOnlySpan<Segment> segments, ReadOnlySpan<float> factors)
    {
        OperandCheck.Segments(values, segments, factors.Length);
        OperandCheck.Count(addend, ElementType.Float32, values.Count);
        Observer?.Before(OperationCost.AddScaled(segments, factors));
        _operations.AddScaled(F(values), F(addend), segments, factors);
        Observer?.After();
    }

    /// <inheritdoc/>
    public void Scale(Tensor values, ReadOnlySpan<Segment> segments, ReadOnlySpan<float> factors)
    {
        OperandCheck.Segments(values, segments, factors.Length);
        Observer?.Before(OperationCost.Scale(segments, factors));
        _operations.Scale(F(values), segments, factors);
        Observer?.After();
    }

    /// <inheritdoc/>
    public void ScaleRounded(Tensor weights, ReadOnlySpan<Segment> segments, ReadOnlySpan<float> factors,
        WeightRounding rounding, Span<double> sumsOfSquares, Span<double> changes)
    {
        ArgumentNullException.ThrowIfNull(rounding);
        OperandCheck.Segments(weights, segments, factors.Length);
        OperandCheck.Segments(weights, segments, sumsOfSquares.Length);
        OperandCheck.Segments(weights, segments, changes.Length);
        CheckRounding(rounding, weights, segments.Length);
        ArgumentOutOfRangeException.ThrowIfNotEqual(rounding.Before.Length, weights.Count, nameof(rounding));
        Observer?.Before(OperationCost.Scale(segments, factors));
        _operations.ScaleRounded(F(weights), segments, factors, rounding, sumsOfSquares, changes);
        Observer?.After();
    }

    /// <inheritdoc/>
    protected override nint Allocate(long bytes)
    {
        // The system promises more than it has and would end the process when the pages are touched.
        if (bytes > AvailableBytes)
            throw new InsufficientMemoryException($"{bytes:N0} bytes were asked for, but only {AvailableBytes:N0} are free");
        void* address = NativeBlock.Allocate((nuint)bytes);
        NativeMemory.Clear(address, (nuint)bytes);
        _allocations.Add((nint)address);
        return (nint)address;
    }

    /// <inheritdoc/>
    protected override void CopyToDevice<T>(ReadOnlySpan<T> source, Tensor destination) => source.CopyTo(Elements<T>(destination));

    /// <inheritdoc/>
    protected override void CopyToHost<T>(Tensor source, Span<T> destination) => Elements<T>(source).CopyTo(destination);

    /// <inheritdoc/>
    protected override void Clear(Tensor tensor) => NativeMemory.Clear((void*)tensor.Address, (nuint)(tensor.Count * Tensor.SizeOf(tensor.Type)));

    /// <inheritdoc/>
    protected override void ConvertElements(Tensor destination, Tensor source) =>
        _operations.Convert((void*)destination.Address, (void*)source.Address, source.Count,
            widens: destination.Type == ElementType.Float32 && source.Type == ElementType.BFloat16,
            narrows: destination.Type == ElementType.BFloat16 && source.Type == ElementType.Float32, bytes: Tensor.SizeOf(source.Type));

    /// <inheritdoc/>
    protected override void EmbeddingForward(Tensor output, Tensor tokens, Tensor tokenTable, Tensor positionTable, int b, int t, int c)
    {
        CheckTokens(tokens, tokenTable.Shape.Rows, nameof(tokens));
        _operations.EmbeddingForward(F(output), I(tokens), F(tokenTable), F(positionTable), b, t, c);
    }

    /// <inheritdoc/>
    protected override void EmbeddingBackward(Tensor dTokenTable, Tensor dPositionTable, Tensor dOutput, Tensor tokens, int b, int t, int c)
    {
        CheckTokens(tokens, dTokenTable.Shape.Rows, nameof(tokens));
        _operations.EmbeddingBackward(F(dTokenTable), F(dPositionTable), F(dOutput), I(tokens), b, t, c);
    }

    /// <inheritdoc/>
    protected override void LayerNormForward(Tensor output, Tensor mean, Tensor rstd, Tensor input, Tensor weight, Tensor bias, int rows, int c) =>
        _operations.LayerNormForward(null, F(output), F(mean), F(rstd), F(input), null, F(weight), F(bias), rows, c);

    /// <inheritdoc/>
    protected override void ResidualLayerNormForward(
        Tensor sum, Tensor output, Tensor mean, Tensor rstd, Tensor residual, Tensor branch, Tensor weight, Tensor bias, int rows, int c) =>
        _operations.LayerNormForward(F(sum), F(output), F(mean), F(rstd), F(residual), F(branch), F(weight), F(bias), rows, c);

    /// <inheritdoc/>
    protected override void LayerNormBackward(
        Tensor dInput, Tensor dWeight, Tensor dBias, Tensor dOutput, Tensor input, Tensor weight, Tensor mean, Tensor rstd, int rows, int c) =>
        _operations.LayerNormBackward(F(dInput), F(dWeight), F(dBias), F(dOutput), F(input), F(weight), F(mean), F(rstd), rows, c);

    /// <inheritdoc/>
    protected override void LinearForward(Tensor output, Tensor input, Tensor weight, Tensor bias, Tensor preActivation, int rows, int n, int k) =>
        _operations.LinearForward(F(output), F(input), F(weight), F(bias), F(preActivation), rows, n, k);

    /// <inheritdoc/>
    protected override void GeluForward(Tensor output, Tensor preActivation, long count) => _operations.GeluForward(F(output), F(preActivation), count);

    /// <inheritdoc/>
    protected override void LinearBackwardInput(Tensor dInput, Tensor dOutput, Tensor weight, Tensor preActivation, int rows, int n, int k) =>
        _operations.LinearBackwardInput(F(dInput), F(dOutput), F(weight), F(preActivation), rows, n, k);

    /// <inheritdoc/>
    protected override void LinearBackwardWeight(Tensor dWeight, Tensor dBias, Tensor dOutput, Tensor input, int rows, int n, int k, bool accumulate) =>
        _operations.LinearBackwardWeight(F(dWeight), F(dBias), F(dOutput), F(input), rows, n, k, accumulate);

    /// <inheritdoc/>
    protected override void AttentionForward(Tensor output, Tensor logSumExp, Tensor qkv, int b, int t, int c, int heads) =>
        _operations.AttentionForward(F(output), F(logSumExp), F(qkv), b, t, c, heads);

    /// <inheritdoc/>
    protected override void AttentionBackward(Tensor dQkv, Tensor dOutput, Tensor output, Tensor logSumExp, Tensor qkv, int b, int t, int c, int heads) =>
        _operations.AttentionBackward(F(dQkv), F(dOutput), F(output), F(logSumExp), F(qkv), b, t, c, heads);

    /// <inheritdoc/>
    protected override void SoftmaxCrossEntropy(Tensor logits, Tensor losses, Tensor targets, int rows, int vocabulary, int padded, float gradientScale)
    {
        CheckTokens(targets, vocabulary, nameof(targets));
        _operations.SoftmaxCrossEntropy(F(logits), F(losses), I(targets), rows, vocabulary, padded, gradientScale);
    }

    /// <inheritdoc/>
    protected override void AddMean(Tensor total, Tensor values, int count, double scale, bool accumulate)
    {
        double sum = 0;
        foreach (float value in Elements<float>(values))
            sum += value;
        ref double result = ref *(double*)total.Address;
        result = (accumulate ? result : 0) + (scale * (sum / count));
    }

    /// <inheritdoc/>
    protected override void AddSquares(Tensor values, ReadOnlySpan<Segment> segments, Span<double> sums) => _operations.SumOfSquares(F(values), segments, sums);

    /// <inheritdoc/>
    protected override void UpdateAverage(Tensor average, Tensor weights, float coefficient) =>
        _operations.UpdateAverage(F(average), F(weights), average.Count, coefficient);

    /// <summary>Stops the threads and frees what is still allocated.</summary>
    protected override void Dispose(bool disposing)
    {
        if (_disposed)
            return;
        _disposed = true;
        _team.Dispose();
        _operations.Dispose();
        foreach (nint address in _allocations)
            NativeBlock.Free((void*)address);
        _allocations.Clear();
    }

    private static void CheckRounding(WeightRounding? rounding, Tensor weights, int segments)
    {
        if (rounding is not null && (rounding.Moved.Length != segments || (rounding.Before.Length > 0 && rounding.Before.Length != weights.Count)))
            throw new ArgumentException("was not prepared for these segments and weights", nameof(rounding));
    }

    private static float* F(Tensor tensor) => (float*)tensor.Address;

    private static int* I(Tensor tensor) => (int*)tensor.Address;

    private static Span<T> Elements<T>(Tensor tensor)
        where T : unmanaged => new((void*)tensor.Address, checked((int)tensor.Count));

    // Any other would be an address outside the table that it indexes.
    private static void CheckTokens(Tensor tensor, int bound, string name)
    {
        foreach (int token in Elements<int>(tensor))
        {
            if ((uint)token >= (uint)bound)
                throw new ArgumentOutOfRangeException(name, $"{name} has the id {token}, which is not in [0, {bound})");
        }
    }
}
