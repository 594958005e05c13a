using System.Runtime.InteropServices;
using Trainer.Compute;
using Trainer.Cuda.Kernels;
using Trainer.Optimization;

namespace Trainer.Cuda;

/// <content>The operations but for linear layers and attention.</content>
public sealed partial class CudaBackend
{
    private const int NoIgnoredTarget = -1;

    private readonly Dictionary<LaunchKey, PreparedKernel> _prepared = [];
    private SquareSumsLaunch? _squares;

    /// <inheritdoc/>
    protected override void ConvertElements(Tensor destination, Tensor source)
    {
        long count = source.Count;
        if (destination.Type == source.Type)
        {
            long bytes = count * Tensor.SizeOf(source.Type);
            var cost = KernelLaunch.OfDriver("copy", 2 * bytes);
            _context.MakeCurrent();
            LaunchObserver?.Before(cost);
            Driver.Copy((ulong)destination.Address, (ulong)source.Address, (nuint)bytes, _context.Stream);
            LaunchObserver?.After(cost);
        }
        else if (source.Type == ElementType.Float32)
        {
            Kernel(LaunchKey.OfCount(LaunchOperation.CastToBf16, count), static (key, _) => ElementwiseKernels.CastToBf16(key.Count))
                .Launch(destination, source, count, (int)Rounding.Nearest, 0u, 0u);
        }
        else
        {
            Kernel(LaunchKey.OfCount(LaunchOperation.CastToFloat, count), static (key, _) => ElementwiseKernels.CastToFloat(key.Count))
                .Launch(destination, source, count);
        }
    }

    /// <inheritdoc/>
    protected override void UpdateAverage(Tensor average, Tensor weights, float coefficient) =>
        Kernel(LaunchKey.OfCount(LaunchOperation.UpdateAverage, average.Count), static (key, _) => ElementwiseKernels.UpdateAverage(key.Count))
        .Launch(average, weights, average.Count, coefficient);

    /// <inheritdoc/>
    protected override void EmbeddingForward(Tensor output, Tensor tokens, Tensor tokenTable, Tensor positionTable, int b, int t, int c) =>
        Kernel(new(LaunchOperation.EmbeddingForward, b, t, c, Math.Min(b * t, tokenTable.Shape.Rows)),
            static (key, self) => EmbeddingKernels.Forward(key.A, key.B, key.C, key.D, self._type))
        .Launch(output, tokens, tokenTable, positionTable, b * t, t, c);

    /// <inheritdoc/>
    protected override void EmbeddingBackward(Tensor dTokenTable, Tensor dPositionTable, Tensor dOutput, Tensor tokens, int b, int t, int c)
    {
        int rows = b * t, vocabulary = dTokenTable.Shape.Rows;
        Kernel(new(LaunchOperation.EmbeddingBackwardPositions, b, t, c),
                static (key, self) => EmbeddingKernels.BackwardPositions(key.A, key.B, key.C, self._type))
            .Launch(dPositionTable, dOutput, b, t, c);

        ulong pairBytes = (ulong)EmbeddingPairBytes(rows);
        ulong sorted = _scratch.Take(EmbeddingScratchBytes(rows, c)), other = sorted + pairBytes, parts = other + pairBytes;
        Kernel(new(LaunchOperation.EmbeddingSortTokens, rows, vocabulary), static (key, _) => EmbeddingKernels.SortTokens(key.A, key.B))
            .Launch(sorted, other, tokens, rows, EmbeddingKernels.SortPasses(vocabulary));
        Kernel(new(LaunchOperation.EmbeddingBackwardTokens, rows, c, Math.Min(rows, vocabulary)),
                static (key, self) => EmbeddingKernels.BackwardTokens(key.A, key.B, key.C, self._type))
            .Launch(dTokenTable, parts, dOutput, sorted, rows, c);
        Kernel(new(LaunchOperation.EmbeddingBackwardTokensFinish, rows, c), static (key, _) => EmbeddingKernels.BackwardTokensFinish(key.A, key.B))
            .Launch(dTokenTable, parts, sorted, rows, c);
    }

    /// <inheritdoc/>
    protected override void LayerNormForward(Tensor output, Tensor mean, Tensor rstd, Tensor input, Tensor weight, Tensor bias, int rows, int c) =>
        Kernel(new(LaunchOperation.LayerNormForward, rows, c), static (key, self) => LayerNormKernels.Forward(key.A, key.B, self._type))
        .Launch(output, mean, rstd, input, weight, bias, rows, c);

    /// <inheritdoc/>
    protected override void ResidualLayerNormForward(
        Tensor sum, Tensor output, Tensor mean, Tensor rstd, Tensor residual, Tensor branch, Tensor weight, Tensor bias, int rows, int c) =>
        Kernel(new(LaunchOperation.ResidualLayerNormForward, rows, c), static (key, self) => LayerNormKernels.ResidualForward(key.A, key.B, self._type))
        .Launch(sum, output, mean, rstd, residual, branch, weight, bias, rows, c);

    /// <inheritdoc/>
    protected override void LayerNormBackward(
        Tensor dInput, Tensor dWeight, Tensor dBias, Tensor dOutput, Tensor input, Tensor weight, Tensor mean, Tensor rstd, int rows, int c)
    {
        ulong partial = _scratch.Take(LayerNormScratchBytes(rows, c));
        Kernel(new(LaunchOperation.LayerNormBackward, rows, c), static (key, self) => LayerNormKernels.Backward(key.A, key.B, self._type))
            .Launch(dInput, partial, dOutput, input, weight, mean, rstd, rows, c);
        Kernel(new(LaunchOperation.LayerNormBackwardReduce, rows, c), static (key, _) => LayerNormKernels.BackwardReduce(key.A, key.B))
            .Launch(dWeight, dBias, partial, LayerNormKernels.BackwardBlocks(rows), c);
    }

    /// <inheritdoc/>
    protected override void GeluForward(Tensor output, Tensor preActivation, long count) =>
        Kernel(LaunchKey.OfCount(LaunchOperation.GeluForward, count), static (key, self) => ElementwiseKernels.GeluForward(key.Count, self._type))
        .Launch(output, preActivation, count);

    /// <inheritdoc/>
    protected override void SoftmaxCrossEntropy(Tensor logits, Tensor losses, Tensor targets, int rows, int vocabulary, int padded, float gradientScale) =>
        Kernel(new(LaunchOperation.SoftmaxCrossEntropy, rows, vocabulary, padded),
            static (key, self) => ClassifierKernels.SoftmaxCrossEntropy(key.A, key.B, key.C, self._context.SharedBytesPerBlock, self._type))
        .Launch(logits, losses, targets, vocabulary, padded, ClassifierKernels.KeptColumns(padded, _context.SharedBytesPerBlock, _type),
            NoIgnoredTarget, gradientScale);

    /// <inheritdoc/>
    protected override void AddMean(Tensor total, Tensor values, int count, double scale, bool accumulate) =>
        Kernel(new(LaunchOperation.Mean, count), static (key, _) => OptimizerKernels.Mean(key.A))
        .Launch(total, values, count, scale, accumulate ? 1 : 0);

    /// <inheritdoc/>
    protected override void AddSquares(Tensor values, ReadOnlySpan<Segment> segments, Span<double> sums)
    {
        if (_squares is null || !_squares.IsOf(segments))
            _squares = new SquareSumsLaunch(_kernels, segments);
        ReadOnlySpan<byte> spans = MemoryMarshal.AsBytes(_squares.Table.Spans);
        long spanBytes = Arena.RoundUp(spans.Length), partialBytes = Arena.RoundUp(sizeof(double) * (long)_squares.Table.Chunks);
        ulong spanTable = _scratch.Take(spanBytes + partialBytes + (sizeof(double) * segments.Length));
        ulong partial = spanTable + (ulong)spanBytes, result = partial + (ulong)partialBytes;
        _context.MakeCurrent();
        _staging.Upload(spans, spanTable);
        _squares.Squares?.Launch(partial, values, spanTable, segments.Length);
        _squares.Sums.Launch(result, partial, spanTable, 1);
        _staging.Download(result, MemoryMarshal.AsBytes(sums));
    }

    private static long LayerNormScratchBytes(int rows, int c) => sizeof(float) * LayerNormKernels.PartialCount(rows, c);

    private static long EmbeddingPairBytes(int rows) => Arena.RoundUp(2L * sizeof(int) * rows);

    private static long EmbeddingScratchBytes(int rows, int c) => (2 * EmbeddingPairBytes(rows)) + (sizeof(float) * EmbeddingKernels.PartCount(rows, c));

    /// <summary>A kernel for some sizes; its launch is worked out the first time.</summary>
    /// <param name="key">What tells kernels and their sizes apart.</param>
    /// <param name="launch">Works out the launch; captures nothing, so that a call does not allocate.</param>
    private PreparedKernel Kernel(in LaunchKey key, Func<LaunchKey, CudaBackend, KernelLaunch> launch)
    {
        if (!_prepared.TryGetValue(key, out PreparedKernel? kernel))
            _prepared.Add(key, kernel = _kernels.Prepare(launch(key, this)));
        return kernel;
    }

    /// <summary>The kernels of the sums of squares of some segments: the last ones asked for are mostly asked for again.</summary>
    private sealed class SquareSumsLaunch
    {
        private readonly Segment[] _segments;

        public SquareSumsLaunch(CudaKernels kernels, ReadOnlySpan<Segment> segments)
        {
            _segments = segments.ToArray();
            var units = new int[segments.Length];
            Array.Fill(units, -1);
            Table = new TensorTable(segments, units);
            Squares = Table.Chunks > 0 ? kernels.Prepare(OptimizerKernels.SquareSums(Table)) : null;
            Sums = kernels.Prepare(OptimizerKernels.SumChunks(Table, 1));
        }

        public TensorTable Table { get; }

        /// <summary>None where all segments are empty.</summary>
        public PreparedKernel? Squares { get; }

        public PreparedKernel Sums { get; }

        public bool IsOf(ReadOnlySpan<Segment> segments) => segments.SequenceEqual(_segments);
    }
}
