using Trainer.Model;
using Trainer.Optimization;

namespace Trainer.Compute;

/// <summary>
/// What the operations of all backends share: their operands are checked here, once, and an implementation gets extents that fit each
/// other. Its methods have the operations' names and operands, and the extents beside them.
/// </summary>
public abstract class CheckedBackend : IBackend
{
    private const ElementType Float = ElementType.Float32;

    /// <inheritdoc/>
    public abstract string Description { get; }

    /// <inheritdoc/>
    public abstract Precision Precision { get; }

    /// <inheritdoc/>
    public abstract bool RunsAhead { get; }

    /// <inheritdoc/>
    public abstract IReadOnlyDictionary<string, string> Choices { get; }

    /// <inheritdoc/>
    public virtual IReadOnlyList<string> Warnings => [];

    /// <inheritdoc/>
    public abstract long AvailableBytes { get; }

    /// <inheritdoc/>
    public abstract int LiveAllocations { get; }

    /// <inheritdoc/>
    public IOperationObserver? Observer { get; set; }

    private ElementType Working => Precision.Working;

    // The bytes of one of its elements.
    private int E => Tensor.SizeOf(Working);

    /// <inheritdoc/>
    public abstract double MeasurePeakFlops();

    /// <inheritdoc/>
    public Tensor Allocate(ElementType type, Shape shape)
    {
        for (int i = 0; i < shape.Rank; i++)
        {
            if (shape[i] < 0)
                throw new ArgumentException($"the extents {shape} must not be negative", nameof(shape));
        }

        long bytes = Math.Max(1, shape.Count) * Tensor.SizeOf(type);
        return new Tensor(Allocate(bytes), type, shape);
    }

    /// <inheritdoc/>
    public abstract void Free(Tensor allocation);

    /// <inheritdoc/>
    public virtual void CheckSupports(ModelConfig config)
    {
    }

    /// <inheritdoc/>
    public abstract long WorkspaceBytes(in PassShape shape);

    /// <inheritdoc/>
    public abstract void Prepare(in PassShape shape, IReadOnlyDictionary<string, string>? choices);

    /// <inheritdoc/>
    public abstract void UseWorkspace(Tensor workspace);

    /// <inheritdoc/>
    public abstract void Synchronize();

    /// <inheritdoc/>
    public void Upload<T>(ReadOnlySpan<T> source, Tensor destination)
        where T : unmanaged
    {
        OperandCheck.Copy<T>(destination, source.Length);
        Observer?.Before(OperationCost.Upload(destination));
        CopyToDevice(source, destination);
        Observer?.After();
    }

    /// <inheritdoc/>
    public void Download<T>(Tensor source, Span<T> destination)
        where T : unmanaged
    {
        OperandCheck.Copy<T>(source, destination.Length);
        Observer?.Before(OperationCost.Download(source));
        CopyToHost(source, destination);
        Observer?.After();
    }

    /// <inheritdoc/>
    public void Zero(Tensor tensor)
    {
        Observer?.Before(OperationCost.Zero(tensor));
        Clear(tensor);
        Observer?.After();
    }

    /// <inheritdoc/>
    public void Convert(Tensor destination, Tensor source)
    {
        if (source.IsNone || source.Type is not (Float or ElementType.BFloat16))
            throw new ArgumentException($"source should be of fp32 or bf16, but is {source.Shape} of {source.Type}", nameof(source));
        if (destination.IsNone || destination.Type is not (Float or ElementType.BFloat16) || destination.Count != source.Count)
            throw new ArgumentException($"destination should be {source.Count} elements of fp32 or bf16, but is {destination.Shape} of {destination.Type}", nameof(destination));
        Observer?.Before(OperationCost.Convert(destination, source));
        ConvertElements(destination, source);
        Observer?.After();
    }

    /// <inheritdoc/>
    public void EmbeddingForward(Tensor output, Tensor tokens, Tensor tokenTable, Tensor positionTable)
    {
        var (b, t, c) = (output.Shape[0], output.Shape[1], output.Shape.Columns);
        OperandCheck.Exactly(output, Working, new Shape(b, t, c));
        OperandCheck.Exactly(tokens, ElementType.Int32, new Shape(b, t));
        OperandCheck.Columns(tokenTable, Working, c);
        OperandCheck.AtLeast(positionTable, Working, t, c);
        Observer?.Before(OperationCost.EmbeddingForward(E, b, t, c, tokenTable.Shape.Rows));
        EmbeddingForward(output, tokens, tokenTable, positionTable, b, t, c);
        Observer?.After();
    }

    /// <inheritdoc/>
    public void EmbeddingBackward(Tensor dTokenTable, Tensor dPositionTable, Tensor dOutput, Tensor tokens)
    {
        var (b, t, c) = (dOutput.Shape[0], dOutput.Shape[1], dOutput.Shape.Columns);
        OperandCheck.Exactly(dOutput, Working, new Shape(b, t, c));
        OperandCheck.Exactly(tokens, ElementType.Int32, new Shape(b, t));
        OperandCheck.Columns(dTokenTable, Float, c);
        OperandCheck.AtLeast(dPositionTable, Float, t, c);
        Observer?.Before(OperationCost.EmbeddingBackward(E, b, t, c, dTokenTable.Shape.Rows));
        EmbeddingBackward(dTokenTable, dPositionTable, dOutput, tokens, b, t, c);
        Observer?.After();
    }

    /// <inheritdoc/>
    public void LayerNormForward(Tensor output, Tensor mean, Tensor rstd, Tensor input, Tensor weight, Tensor bias)
    {
        var (rows, c) = (output.Shape.Rows, output.Shape.Columns);
        OperandCheck.Any(output, Working);
        OperandCheck.Matrix(input, Working, rows, c);
        CheckNorm(mean, rstd, weight, rows, c);
        OperandCheck.Exactly(bias, Working, new Shape(c));
        Observer?.Before(OperationCost.LayerNormForward(E, rows, c));
        LayerNormForward(output, mean, rstd, input, weight, bias, rows, c);
        Observer?.After();
    }

    /// <inheritdoc/>
    public void ResidualLayerNormForward(Tensor sum, Tensor output, Tensor mean, Tensor rstd, Tensor residual, Tensor branch, Tensor weight, Tensor bias)
    {
        var (rows, c) = (output.Shape.Rows, output.Shape.Columns);
        OperandCheck.Any(output, Working);
        OperandCheck.Matrix(sum, Working, rows, c);
        OperandCheck.Matrix(residual, Working, rows, c);
        OperandCheck.Matrix(branch, Working, rows, c);
        CheckNorm(mean, rstd, weight, rows, c);
        OperandCheck.Exactly(bias, Working, new Shape(c));
        Observer?.Before(OperationCost.ResidualLayerNormForward(E, rows, c));
        ResidualLayerNormForward(sum, output, mean, rstd, residual, branch, weight, bias, rows, c);
        Observer?.After();
    }

    /// <inheritdoc/>
    public void LayerNormBackward(Tensor dInput, Tensor dWeight, Tensor dBias, Tensor dOutput, Tensor input, Tensor weight, Tensor mean, Tensor rstd)
    {
        var (rows, c) = (dOutput.Shape.Rows, dOutput.Shape.Columns);
        OperandCheck.Any(dOutput, Working);
        OperandCheck.Matrix(dInput, Working, rows, c);
        OperandCheck.Matrix(input, Working, rows, c);
        CheckNorm(mean, rstd, weight, rows, c);
        OperandCheck.Exactly(dWeight, Float, new Shape(c));
        OperandCheck.Exactly(dBias, Float, new Shape(c));
        Observer?.Before(OperationCost.LayerNormBackward(E, rows, c));
        LayerNormBackward(dInput, dWeight, dBias, dOutput, input, weight, mean, rstd, rows, c);
        Observer?.After();
    }

    /// <inheritdoc/>
    public void LinearForward(Tensor output, Tensor input, Tensor weight, Tensor bias, Tensor preActivation)
    {
        var (rows, n, k) = (output.Shape.Rows, output.Shape.Columns, input.Shape.Columns);
        OperandCheck.Any(output, Working);
        OperandCheck.Matrix(input, Working, rows, k);
        OperandCheck.Matrix(weight, Working, n, k);
        if (!bias.IsNone)
            OperandCheck.Exactly(bias, Working, new Shape(n));
        if (!preActivation.IsNone)
            OperandCheck.Matrix(preActivation, Working, rows, n);
        Observer?.Before(OperationCost.LinearForward(E, rows, n, k, !bias.IsNone, !preActivation.IsNone));
        LinearForward(output, input, weight, bias, preActivation, rows, n, k);
        Observer?.After();
    }

    /// <inheritdoc/>
    public void GeluForward(Tensor output, Tensor preActivation)
    {
        OperandCheck.Any(output, Working);
        OperandCheck.Matrix(preActivation, Working, output.Shape.Rows, output.Shape.Columns);
        Observer?.Before(OperationCost.GeluForward(E, output));
        GeluForward(output, preActivation, output.Count);
        Observer?.After();
    }

    /// <inheritdoc/>
    public void LinearBackwardInput(Tensor dInput, Tensor dOutput, Tensor weight, Tensor preActivation)
    {
        var (rows, n, k) = (dOutput.Shape.Rows, dOutput.Shape.Columns, dInput.Shape.Columns);
        OperandCheck.Any(dOutput, Working);
        OperandCheck.Matrix(dInput, Working, rows, k);
        OperandCheck.Matrix(weight, Working, n, k);
        if (!preActivation.IsNone)
            OperandCheck.Matrix(preActivation, Working, rows, k);
        Observer?.Before(OperationCost.LinearBackwardInput(E, rows, n, k, !preActivation.IsNone));
        LinearBackwardInput(dInput, dOutput, weight, preActivation, rows, n, k);
        Observer?.After();
    }

    /// <inheritdoc/>
    public void LinearBackwardWeight(Tensor dWeight, Tensor dBias, Tensor dOutput, Tensor input, bool accumulate)
    {
        var (rows, n, k) = (dOutput.Shape.Rows, dOutput.Shape.Columns, input.Shape.Columns);
        OperandCheck.Any(dOutput, Working);
        OperandCheck.Matrix(input, Working, rows, k);
        OperandCheck.Matrix(dWeight, Float, n, k);
        if (!dBias.IsNone)
            OperandCheck.Exactly(dBias, Float, new Shape(n));
        Observer?.Before(OperationCost.LinearBackwardWeight(E, rows, n, k, !dBias.IsNone, accumulate));
        LinearBackwardWeight(dWeight, dBias, dOutput, input, rows, n, k, accumulate);
        Observer?.After();
    }

    /// <inheritdoc/>
    public void AttentionForward(Tensor output, Tensor logSumExp, Tensor qkv)
    {
        var (b, t, c, heads) = CheckAttention(output, logSumExp, qkv);
        Observer?.Before(OperationCost.AttentionForward(E, b, t, c, heads));
        AttentionForward(output, logSumExp, qkv, b, t, c, heads);
        Observer?.After();
    }

    /// <inheritdoc/>
    public void AttentionBackward(Tensor dQkv, Tensor dOutput, Tensor output, Tensor logSumExp, Tensor qkv)
    {
        var (b, t, c, heads) = CheckAttention(output, logSumExp, qkv);
        OperandCheck.Exactly(dQkv, Working, qkv.Shape);
        OperandCheck.Exactly(dOutput, Working, output.Shape);
        Observer?.Before(OperationCost.AttentionBackward(E, b, t, c, heads));
        AttentionBackward(dQkv, dOutput, output, logSumExp, qkv, b, t, c, heads);
        Observer?.After();
    }

    /// <inheritdoc/>
    public void SoftmaxCrossEntropy(Tensor logits, Tensor losses, Tensor targets, int vocabulary, float gradientScale)
    {
        var (rows, padded) = (logits.Shape.Rows, logits.Shape.Columns);
        OperandCheck.Any(logits, Working);
        OperandCheck.Count(losses, Float, rows);
        OperandCheck.Count(targets, ElementType.Int32, rows);
        if (vocabulary < 1 || vocabulary > padded)
            throw new ArgumentOutOfRangeException(nameof(vocabulary), $"{vocabulary} is not between 1 and the {padded} columns of the logits");
        Observer?.Before(OperationCost.SoftmaxCrossEntropy(E, rows, vocabulary, padded, gradientScale != 0));
        SoftmaxCrossEntropy(logits, losses, targets, rows, vocabulary, padded, gradientScale);
        Observer?.After();
    }

    /// <inheritdoc/>
    public void AddMean(Tensor total, Tensor values, double scale, bool accumulate)
    {
        OperandCheck.Exactly(total, ElementType.Float64, new Shape(1));
        OperandCheck.Any(values, Float);
        Observer?.Before(OperationCost.AddMean(values));
        AddMean(total, values, checked((int)values.Count), scale, accumulate);
        Observer?.After();
    }

    /// <inheritdoc/>
    public void SumOfSquares(Tensor values, ReadOnlySpan<Segment> segments, Span<double> sums)
    {
        OperandCheck.Segments(values, segments, sums.Length);
        Observer?.Before(OperationCost.SumOfSquares(segments));
        AddSquares(values, segments, sums);
        Observer?.After();
    }

    /// <inheritdoc/>
    public void UpdateAverage(Tensor average, Tensor weights, double coefficient)
    {
        OperandCheck.Any(average, Float);
        OperandCheck.Count(weights, Float, average.Count);
        if (!(coefficient >= 0.5) || !((float)coefficient < 1))
            throw new ArgumentOutOfRangeException(nameof(coefficient), $"{coefficient} is not in [1/2, 1) in single precision");
        Observer?.Before(OperationCost.UpdateAverage(average));
        UpdateAverage(average, weights, (float)coefficient);
        Observer?.After();
    }

    /// <inheritdoc/>
    public abstract IOptimizerPass CreateOptimizer(ParameterLayout layout, TrainingTensors tensors, OptimizerOptions options);

    /// <inheritdoc/>
    public void Dispose()
    {
        Dispose(true);
        GC.SuppressFinalize(this);
    }

    /// <summary>Frees what the backend holds; may be called again.</summary>
    /// <param name="disposing">True: there is no finalizer.</param>
    protected abstract void Dispose(bool disposing);

    /// <summary>Allocates zeroed memory.</summary>
    protected abstract nint Allocate(long bytes);

    /// <summary>Copies to a tensor of as many elements of this type.</summary>
    protected abstract void CopyToDevice<T>(ReadOnlySpan<T> source, Tensor destination)
        where T : unmanaged;

    /// <summary>Copies from a tensor of as many elements of this type.</summary>
    protected abstract void CopyToHost<T>(Tensor source, Span<T> destination)
        where T : unmanaged;

    /// <inheritdoc cref="IBackend.Zero"/>
    protected abstract void Clear(Tensor tensor);

    /// <inheritdoc cref="IBackend.Convert"/>
    protected abstract void ConvertElements(Tensor destination, Tensor source);

    /// <inheritdoc cref="IBackend.EmbeddingForward"/>
    protected abstract void EmbeddingForward(Tensor output, Tensor tokens, Tensor tokenTable, Tensor positionTable, int b, int t, int c);

    /// <inheritdoc cref="IBackend.EmbeddingBackward"/>
    protected abstract void EmbeddingBackward(Tensor dTokenTable, Tensor dPositionTable, Tensor dOutput, Tensor tokens, int b, int t, int c);

    /// <inheritdoc cref="IBackend.LayerNormForward"/>
    protected abstract void LayerNormForward(Tensor output, Tensor mean, Tensor rstd, Tensor input, Tensor weight, Tensor bias, int rows, int c);

    /// <inheritdoc cref="IBackend.ResidualLayerNormForward"/>
    protected abstract void ResidualLayerNormForward(
        Tensor sum, Tensor output, Tensor mean, Tensor rstd, Tensor residual, Tensor branch, Tensor weight, Tensor bias, int rows, int c);

    /// <inheritdoc cref="IBackend.LayerNormBackward"/>
    protected abstract void LayerNormBackward(
        Tensor dInput, Tensor dWeight, Tensor dBias, Tensor dOutput, Tensor input, Tensor weight, Tensor mean, Tensor rstd, int rows, int c);

    /// <inheritdoc cref="IBackend.LinearForward"/>
    protected abstract void LinearForward(Tensor output, Tensor input, Tensor weight, Tensor bias, Tensor preActivation, int rows, int n, int k);

    /// <inheritdoc cref="IBackend.GeluForward"/>
    protected abstract void GeluForward(Tensor output, Tensor preActivation, long count);

    /// <inheritdoc cref="IBackend.LinearBackwardInput"/>
    protected abstract void LinearBackwardInput(Tensor dInput, Tensor dOutput, Tensor weight, Tensor preActivation, int rows, int n, int k);

    /// <inheritdoc cref="IBackend.LinearBackwardWeight"/>
    protected abstract void LinearBackwardWeight(Tensor dWeight, Tensor dBias, Tensor dOutput, Tensor input, int rows, int n, int k, bool accumulate);

    /// <inheritdoc cref="IBackend.AttentionForward"/>
    protected abstract void AttentionForward(Tensor output, Tensor logSumExp, Tensor qkv, int b, int t, int c, int heads);

    /// <inheritdoc cref="IBackend.AttentionBackward"/>
    protected abstract void AttentionBackward(Tensor dQkv, Tensor dOutput, Tensor output, Tensor logSumExp, Tensor qkv, int b, int t, int c, int heads);

    /// <inheritdoc cref="IBackend.SoftmaxCrossEntropy"/>
    protected abstract void SoftmaxCrossEntropy(Tensor logits, Tensor losses, Tensor targets, int rows, int vocabulary, int padded, float gradientScale);

    /// <inheritdoc cref="IBackend.AddMean"/>
    protected abstract void AddMean(Tensor total, Tensor values, int count, double scale, bool accumulate);

    /// <inheritdoc cref="IBackend.SumOfSquares"/>
    protected abstract void AddSquares(Tensor values, ReadOnlySpan<Segment> segments, Span<double> sums);

    /// <inheritdoc cref="IBackend.UpdateAverage"/>
    protected abstract void UpdateAverage(Tensor average, Tensor weights, float coefficient);

    private void CheckNorm(Tensor mean, Tensor rstd, Tensor weight, int rows, int c)
    {
        OperandCheck.Count(mean, Float, rows);
        OperandCheck.Count(rstd, Float, rows);
        OperandCheck.Exactly(weight, Working, new Shape(c));
    }

    private (int B, int T, int C, int Heads) CheckAttention(Tensor output, Tensor logSumExp, Tensor qkv)
    {
        var (b, t, c, heads) = (output.Shape[0], output.Shape[1], output.Shape.Columns, logSumExp.Shape[1]);
        OperandCheck.Exactly(output, Working, new Shape(b, t, c));
        OperandCheck.Exactly(logSumExp, Float, new Shape(b, heads, t));
        OperandCheck.Exactly(qkv, Working, new Shape(b, t, 3 * c));
        if (heads < 1 || c % heads != 0)
            throw new ArgumentException($"{heads} heads do not divide {c} channels", nameof(logSumExp));
        return (b, t, c, heads);
    }
}
