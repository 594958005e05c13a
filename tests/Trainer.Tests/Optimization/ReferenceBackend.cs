using System.Runtime.InteropServices;
using Trainer.Compute;
using Trainer.Model;
using Trainer.Optimization;
using Trainer.Tests.Compute;

namespace Trainer.Tests.Optimization;

/// <summary>The operations that an optimizer and a checkpoint need, one element at a time, exactly as <see cref="IBackend"/> states them.</summary>
internal sealed unsafe class ReferenceBackend : IBackend, IWeightPasses
{
    private readonly HashSet<nint> _allocations = [];

    public string Description => "scalar reference";

    public Precision Precision { get; init; } = Precision.Float32;

    public uint RoundingSeed { get; init; } = 1;

    public bool RunsAhead => false;

    public IReadOnlyDictionary<string, string> Choices { get; } = new Dictionary<string, string>();

    public long AvailableBytes { get; init; } = long.MaxValue;

    /// <summary>What operations of some sizes are said to need; nothing needs any.</summary>
    public Func<PassShape, long> Workspace { get; init; } = _ => 0;

    /// <summary>What ends a step in place of a <see cref="HostOptimizer"/>.</summary>
    public IOptimizerPass? Optimizer { get; init; }

    public double MeasurePeakFlops() => throw new NotSupportedException();

    public int LiveAllocations => _allocations.Count;

    public IOperationObserver? Observer { get; set; }

    /// <summary>The bytes of everything that was ever allocated.</summary>
    public long AllocatedBytes { get; private set; }

    public Tensor Allocate(ElementType type, Shape shape)
    {
        nuint bytes = checked((nuint)(shape.Count * Tensor.SizeOf(type)));
        void* memory = NativeMemory.AlignedAlloc(bytes, 64);
        NativeMemory.Clear(memory, bytes);
        _allocations.Add((nint)memory);
        AllocatedBytes += (long)bytes;
        return new Tensor((nint)memory, type, shape);
    }

    public void Free(Tensor allocation)
    {
        if (!_allocations.Remove(allocation.Address))
            throw new ArgumentException("not an allocation of this backend", nameof(allocation));
        NativeMemory.AlignedFree((void*)allocation.Address);
    }

    public void CheckSupports(ModelConfig config)
    {
    }

    public long WorkspaceBytes(in PassShape shape) => Workspace(shape);

    public void Prepare(in PassShape shape, IReadOnlyDictionary<string, string>? choices)
    {
    }

    public void UseWorkspace(Tensor workspace)
    {
    }

    public void Synchronize()
    {
    }

    public void Upload<T>(ReadOnlySpan<T> source, Tensor destination)
        where T : unmanaged
    {
        Assert.That(destination.Count, Is.EqualTo(source.Length));
        source.CopyTo(new Span<T>((void*)destination.Address, source.Length));
    }

    public void Download<T>(Tensor source, Span<T> destination)
        where T : unmanaged
    {
        Assert.That(source.Count, Is.EqualTo(destination.Length));
        new ReadOnlySpan<T>((void*)source.Address, destination.Length).CopyTo(destination);
    }

    public void Zero(Tensor tensor) => Floats(tensor).Clear();

    public void SumOfSquares(Tensor values, ReadOnlySpan<Segment> segments, Span<double> sums)
    {
        for (int s = 0; s < segments.Length; s++)
        {
            double sum = 0;
            foreach (float value in Floats(values).Slice((int)segments[s].Offset, (int)segments[s].Count))
                sum += (double)value * value;
            sums[s] = sum;
        }
    }

    public void AdamUpdate(Tensor weights, Tensor gradients, Tensor firstMoment, Tensor secondMoment,
        ReadOnlySpan<SegmentUpdate> updates, in AdamStep step, Span<double> sumsOfSquares, Span<double> changes, WeightRounding? rounding = null)
    {
        Span<float> w = Floats(weights), gradient = Floats(gradients), m = Floats(firstMoment), v = Floats(secondMoment);
        float correction1 = (float)(1 - Math.Pow(step.Beta1, step.Step));
        float correction2 = (float)(1 - Math.Pow(step.Beta2, step.Step));
        rounding?.Moved.Clear();
        rounding?.Lost.Clear();
        for (int s = 0; s < updates.Length; s++)
        {
            SegmentUpdate update = updates[s];
            double sum = 0, change = 0;
            for (int i = (int)update.Segment.Offset; i < update.Segment.Offset + update.Segment.Count; i++)
            {
                float old = w[i];
                float g = (step.GradientScale * gradient[i]) + (update.L2 * w[i]);
                m[i] = (step.Beta1 * m[i]) + ((1 - step.Beta1) * g);
                v[i] = (step.Beta2 * v[i]) + ((1 - step.Beta2) * g * g);
                float u = m[i] / correction1 / (MathF.Sqrt(v[i] / correction2) + step.Epsilon);
                w[i] = ((update.ShrinkBefore * w[i]) - (update.LearningRate * u)) * update.ShrinkAfter;
                w[i] = Store(w[i], old, i, s, rounding, purpose: 0);
                sum += (double)w[i] * w[i];
                change += Math.Pow((double)w[i] - old, 2);
            }

            (sumsOfSquares[s], changes[s]) = (sum, change);
        }
    }

    public void SgdUpdate(Tensor weights, Tensor gradients, Tensor momentum,
        ReadOnlySpan<SegmentUpdate> updates, in SgdStep step, Span<double> sumsOfSquares, Span<double> changes, WeightRounding? rounding = null)
    {
        Span<float> w = Floats(weights), gradient = Floats(gradients), m = Floats(momentum);
        rounding?.Moved.Clear();
        rounding?.Lost.Clear();
        for (int s = 0; s < updates.Length; s++)
        {
            SegmentUpdate update = updates[s];
            double sum = 0, change = 0;
            for (int i = (int)update.Segment.Offset; i < update.Segment.Offset + update.Segment.Count; i++)
            {
                float old = w[i];
                float g = (step.GradientScale * gradient[i]) + (update.L2 * w[i]);
                m[i] = (step.Momentum * m[i]) + ((step.RateInMomentum ? update.LearningRate : step.Gain) * g);
                w[i] = ((update.ShrinkBefore * w[i]) - (step.RateInMomentum ? m[i] : update.LearningRate * m[i])) * update.ShrinkAfter;
                w[i] = Store(w[i], old, i, s, rounding, purpose: 0);
                sum += (double)w[i] * w[i];
                change += Math.Pow((double)w[i] - old, 2);
            }

            (sumsOfSquares[s], changes[s]) = (sum, change);
        }
    }

    public void AddScaled(Tensor values, Tensor addend, ReadOnlySpan<Segment> segments, ReadOnlySpan<float> factors)
    {
        for (int s = 0; s < segments.Length; s++)
        {
            for (int i = (int)segments[s].Offset; i < segments[s].Offset + segments[s].Count; i++)
                Floats(values)[i] += factors[s] * Floats(addend)[i];
        }
    }

    public void Scale(Tensor values, ReadOnlySpan<Segment> segments, ReadOnlySpan<float> factors)
    {
        for (int s = 0; s < segments.Length; s++)
        {
            foreach (ref float value in Floats(values).Slice((int)segments[s].Offset, (int)segments[s].Count))
                value *= factors[s];
        }
    }

    public void ScaleRounded(Tensor weights, ReadOnlySpan<Segment> segments, ReadOnlySpan<float> factors,
        WeightRounding rounding, Span<double> sumsOfSquares, Span<double> changes)
    {
        Span<float> w = Floats(weights);
        for (int s = 0; s < segments.Length; s++)
        {
            if (factors[s] == 1)
                continue;
            sumsOfSquares[s] = changes[s] = rounding.Moved[s] = rounding.Lost[s] = 0;
            for (int i = (int)segments[s].Offset; i < segments[s].Offset + segments[s].Count; i++)
            {
                w[i] = Store(w[i] * factors[s], rounding.Before[i], i, s, rounding, purpose: 1);
                sumsOfSquares[s] += (double)w[i] * w[i];
                changes[s] += Math.Pow((double)w[i] - rounding.Before[i], 2);
            }
        }
    }

    public IOptimizerPass CreateOptimizer(ParameterLayout layout, TrainingTensors tensors, OptimizerOptions options) =>
        Optimizer ?? new HostOptimizer(this, layout, tensors, options, Precision.RoundsWeights ? new WeightRounding(Precision.RoundsStochastically, RoundingSeed) : null);

    public void Dispose()
    {
        foreach (nint allocation in _allocations)
            NativeMemory.AlignedFree((void*)allocation);
        _allocations.Clear();
    }

    public void Convert(Tensor destination, Tensor source) => throw new NotSupportedException();

    public void EmbeddingForward(Tensor output, Tensor tokens, Tensor tokenTable, Tensor positionTable) => throw new NotSupportedException();

    public void EmbeddingBackward(Tensor dTokenTable, Tensor dPositionTable, Tensor dOutput, Tensor tokens) => throw new NotSupportedException();

    public void LayerNormForward(Tensor output, Tensor mean, Tensor rstd, Tensor input, Tensor weight, Tensor bias) => throw new NotSupportedException();

    public void ResidualLayerNormForward(Tensor sum, Tensor output, Tensor mean, Tensor rstd, Tensor residual, Tensor branch, Tensor weight, Tensor bias) =>
        throw new NotSupportedException();

    public void LayerNormBackward(Tensor dInput, Tensor dWeight, Tensor dBias, Tensor dOutput, Tensor input, Tensor weight, Tensor mean, Tensor rstd) =>
        throw new NotSupportedException();

    public void LinearForward(Tensor output, Tensor input, Tensor weight, Tensor bias = default, Tensor preActivation = default) =>
        throw new NotSupportedException();

    public void GeluForward(Tensor output, Tensor preActivation) => throw new NotSupportedException();

    public void LinearBackwardInput(Tensor dInput, Tensor dOutput, Tensor weight, Tensor preActivation = default) => throw new NotSupportedException();

    public void LinearBackwardWeight(Tensor dWeight, Tensor dBias, Tensor dOutput, Tensor input, bool accumulate) => throw new NotSupportedException();

    public void AttentionForward(Tensor output, Tensor logSumExp, Tensor qkv) => throw new NotSupportedException();

    public void AttentionBackward(Tensor dQkv, Tensor dOutput, Tensor output, Tensor logSumExp, Tensor qkv) => throw new NotSupportedException();

    public void SoftmaxCrossEntropy(Tensor logits, Tensor losses, Tensor targets, int vocabulary, float gradientScale) => throw new NotSupportedException();

    public void AddMean(Tensor total, Tensor values, double scale, bool accumulate) => throw new NotSupportedException();

    public void UpdateAverage(Tensor average, Tensor weights, double coefficient) => throw new NotSupportedException();

    private static float Store(float exact, float old, int element, int segment, WeightRounding? rounding, uint purpose)
    {
        if (rounding is null)
            return exact;
        float rounded = rounding.IsStochastic ? Philox.Round(exact, element, purpose, (uint)rounding.Step, rounding.Seed) : Bf16.Value(Bf16.Round(exact));
        if (purpose == 0 && rounding.Before.Length > 0)
            rounding.Before[element] = old;
        rounding.Moved[segment] += exact == old ? 0 : 1;
        rounding.Lost[segment] += exact != old && rounded == old ? 1 : 0;
        return rounded;
    }

    private static Span<float> Floats(Tensor tensor) => new((void*)tensor.Address, checked((int)tensor.Count));
}
