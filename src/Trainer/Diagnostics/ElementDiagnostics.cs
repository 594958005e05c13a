using Trainer.Compute;
using Trainer.Model;
using Trainer.Optimization;

namespace Trainer.Diagnostics;

/// <summary>
/// What only the elements tell: extremes, the directions of gradient and step, what bf16 loses. Weights, gradients and moments are copied from the device
/// for it, the weights once before and once after the step.
/// </summary>
/// <remarks>Rows that pad the vocabulary are no weights and are left out. One copy of the weights is kept on the host, the rest comes in chunks.</remarks>
/// <param name="backend">The device.</param>
/// <param name="model">The model.</param>
/// <param name="optimizer">What takes the step.</param>
/// <param name="options">Its rule.</param>
/// <param name="groups">The groups.</param>
public sealed class ElementDiagnostics(IBackend backend, Gpt2 model, WeightOptimizer optimizer, OptimizerOptions options, IReadOnlyList<DiagnosticGroup> groups)
{
    private const int Chunk = 1 << 16;

    private readonly float[][] _chunks = [new float[Chunk], new float[Chunk], new float[Chunk], new float[Chunk]];
    private float[] _before = [];
    private float[] _half = [];
    private ElementSums[] _tensors = [];
    private GradientNoise? _noise;

    /// <summary>Keeps the gradients of the first half of a step's micro-batches, for <see cref="GradientNoise"/>.</summary>
    public void KeepHalf()
    {
        _half = new float[model.Layout.Count];
        InChunks(0, _half.Length, (at, count) => backend.Download(Slice(model.Gradients, at, count), _half.AsSpan((int)at, count)));
    }

    /// <summary>Looks at weights and gradients before a step.</summary>
    public void BeforeStep()
    {
        _before = new float[model.Layout.Count];
        _tensors = [.. model.Layout.Tensors.Select(_ => new ElementSums())];
        _noise = _half.Length > 0 ? new GradientNoise() : null;
        for (int tensor = 0; tensor < _tensors.Length; tensor++)
        {
            int index = tensor;
            Segment segment = Weights(tensor, model.Layout.Segments[tensor]);
            InChunks(segment.Offset, segment.Count, (at, count) =>
            {
                Span<float> weights = _before.AsSpan((int)at, count), gradients = _chunks[0].AsSpan(0, count);
                backend.DownloadFloats(Slice(model.Parameters, at, count), weights);
                backend.Download(Slice(model.Gradients, at, count), gradients);
                _tensors[index].AddGradients(gradients, weights);
                _noise?.Add(gradients, _half.AsSpan((int)at, count));
            });
        }

        _half = [];
    }

    /// <summary>Looks at everything after the step and adds what was found.</summary>
    /// <param name="values">What is added to.</param>
    /// <param name="loss">The loss of the step.</param>
    /// <param name="learningRate">That of the regularised set.</param>
    /// <param name="factors">s of every segment.</param>
    /// <returns>The sums of the regularised set.</returns>
    public ElementSums AddTo(DiagnosticValues values, double loss, double learningRate, ReadOnlySpan<double> factors)
    {
        ArgumentNullException.ThrowIfNull(values);
        double rate = options.LearningRate * options.Schedule.Multiplier(optimizer.StepsTaken - 1);
        for (int tensor = 0; tensor < _tensors.Length; tensor++)
            AddStep(tensor, optimizer.Regularizer.Groups.Members.Contains(tensor) ? learningRate : rate, factors);
        _before = [];

        ElementSums[] sums = [.. groups.Select(Total)];
        Add("maxAbs", static sum => sum.LargestMagnitude);
        Add("siCos", static sum => sum.GradientCosine);
        Add("radial", static sum => sum.DirectionCosine);
        Add("bf16Lost", static sum => sum.LostUpdates);
        Add("bf16LostDecay", static sum => sum.LostDecay);
        Add("bf16Err", static sum => sum.RoundingError);
        if (!model.Tensors.Master.IsNone)
            Add("masterGap", static sum => sum.MasterGap);
        if (options.Kind == OptimizerKind.Adam)
            values.Add("elrAdam", sums[^1].MeanAdamRate);
        if (_noise is { } noise)
        {
            values.Add("gnoise", noise.Noise);
            values.Add("gnoiseRatio", noise.Ratio);
            values.Add("gnoiseLoss", noise.Noise / loss);
        }

        return Total(new DiagnosticGroup(DiagnosticGroup.Decayed, optimizer.Regularizer.Groups.Members.ToArray()));

        void Add(string name, Func<ElementSums, double> value)
        {
            for (int i = 0; i < sums.Length; i++)
                values.Add(name, groups[i].Name, value(sums[i]));
        }
    }

    private static Tensor Slice(Tensor all, long at, int count) => all.Slice(at, new Shape(count));

    private static void InChunks(long offset, long count, Action<long, int> look)
    {
        for (long done = 0; done < count; done += Chunk)
            look(offset + done, (int)Math.Min(Chunk, count - done));
    }

    private ElementSums Total(DiagnosticGroup group)
    {
        var total = new ElementSums();
        foreach (int tensor in group.Tensors)
            total.Add(_tensors[tensor]);
        return total;
    }

    private void AddStep(int tensor, double rate, ReadOnlySpan<double> factors)
    {
        WeightSegments segments = optimizer.Regularizer.Segments;
        bool adam = options.Kind == OptimizerKind.Adam, after = optimizer.Regularizer.Options.EffectiveOrder == RegularizerOrder.Post;
        long step = optimizer.StepsTaken;
        (int start, int count) = segments.Of(tensor).GetOffsetAndLength(segments.Count);
        for (int segment = start; segment < start + count; segment++)
        {
            double factor = factors[segment];
            var rule = new ElementRule(adam, adam || !options.RateInMomentum ? rate : 1, factor, after ? factor : 1,
                1 - Math.Pow(options.Beta1, step), 1 - Math.Pow(options.Beta2, step), options.Epsilon,
                IsStoredInBFloat16: model.Parameters.Type == ElementType.BFloat16);
            Segment weights = Weights(tensor, segments.Segments[segment]);
            InChunks(weights.Offset, weights.Count, (at, length) => AddChunk(_tensors[tensor], rule, at, length));
        }
    }

    private void AddChunk(ElementSums sums, in ElementRule rule, long at, int count)
    {
        Span<float> after = _chunks[0].AsSpan(0, count), first = _chunks[1].AsSpan(0, count), second = _chunks[2].AsSpan(0, count);
        backend.DownloadFloats(Slice(model.Parameters, at, count), after);
        backend.Download(Slice(model.Tensors.FirstMoment, at, count), first);
        if (rule.IsAdam)
            backend.Download(Slice(model.Tensors.SecondMoment, at, count), second);
        sums.AddStep(rule, _before.AsSpan((int)at, count), after, first, second);
        if (model.Tensors.Master.IsNone)
            return;
        Span<float> copy = _chunks[3].AsSpan(0, count);
        backend.DownloadFloats(Slice(model.Tensors.Weights, at, count), copy);
        sums.AddCopy(copy, after);
    }

    // The part of a segment that is no padding.
    private Segment Weights(int tensor, Segment segment)
    {
        if (model.Layout.Tensors[tensor].Kind != ParameterKind.TokenEmbedding)
            return segment;
        long end = model.Layout.Segments[tensor].Offset + ((long)model.Config.Vocabulary * model.Config.Channels);
        return segment with { Count = Math.Clamp(end - segment.Offset, 0, segment.Count) };
    }
}
