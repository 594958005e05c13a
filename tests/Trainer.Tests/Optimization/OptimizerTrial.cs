using Trainer.Compute;
using Trainer.Model;
using Trainer.Optimization;

namespace Trainer.Tests.Optimization;

/// <summary>A small model's parameters under an optimizer, with weights and gradients that are functions of nothing but their index and step.</summary>
internal sealed class OptimizerTrial : IDisposable
{
    public static readonly ModelConfig Model = new(Layers: 2, Heads: 2, Channels: 8, SequenceLength: 4, Vocabulary: 10) { PaddedVocabulary = 16 };

    private readonly bool _ownsBackend;

    public OptimizerTrial(Func<IBackend> create, OptimizerOptions options, Func<int, float>? weight = null)
        : this(create(), options, weight)
    {
        _ownsBackend = true;
    }

    public OptimizerTrial(IBackend backend, OptimizerOptions options, Func<int, float>? weight = null)
    {
        Backend = backend;
        Layout = new ParameterLayout(Model);
        Tensors = Allocate(backend, Layout);
        Set(Weights, weight ?? InitialWeight);
        Optimizer = new WeightOptimizer(backend, Layout, Tensors, options);
        Optimizer.Start();
    }

    public IBackend Backend { get; }

    public ParameterLayout Layout { get; }

    public TrainingTensors Tensors { get; }

    public Tensor Weights => Tensors.Weights;

    public Tensor Gradients => Tensors.Gradients;

    public WeightOptimizer Optimizer { get; }

    /// <summary>Weights, gradients and moments of fp32, all zero.</summary>
    public static TrainingTensors Allocate(IBackend backend, ParameterLayout layout)
    {
        Tensor Floats() => backend.Allocate(ElementType.Float32, new Shape((int)layout.Count));
        return new(Floats(), default, Floats(), Floats(), Floats());
    }

    public static void Free(IBackend backend, TrainingTensors tensors)
    {
        foreach (Tensor tensor in new[] { tensors.Weights, tensors.Gradients, tensors.FirstMoment, tensors.SecondMoment })
            backend.Free(tensor);
    }

    /// <summary>Biases are zero and gains one, as GPT-2 begins; the rest is normal.</summary>
    public float InitialWeight(int index)
    {
        ParameterTensor tensor = Layout.Tensors.Single(t => index >= t.Segment.Offset && index < t.Segment.Offset + t.Segment.Count);
        return tensor.Name.EndsWith("bias", StringComparison.Ordinal) ? 0
            : tensor.Kind == ParameterKind.LayerNorm ? 1
            : (float)(0.1 * new CounterRandom(1, 1).Normal((ulong)index));
    }

    /// <summary>A gradient whose size changes from step to step, so that clipping matters to Adam.</summary>
    public static float Gradient(long step, int index) =>
        (float)((0.02 + (0.05 * (step % 3))) * new CounterRandom(2, (ulong)step).Normal((ulong)index));

    public OptimizerStep Step()
    {
        long step = Optimizer.StepsTaken + 1;
        Set(Gradients, i => Gradient(step, i));
        return Optimizer.Step();
    }

    public OptimizerStep Run(int steps)
    {
        OptimizerStep last = default;
        for (int i = 0; i < steps; i++)
            last = Step();
        return last;
    }

    public void Set(Tensor tensor, Func<int, float> value)
    {
        var values = new float[tensor.Count];
        for (int i = 0; i < values.Length; i++)
            values[i] = value(i);
        Backend.Upload<float>(values, tensor);
    }

    public float[] Read(Tensor tensor)
    {
        var values = new float[tensor.Count];
        Backend.Download(tensor, values.AsSpan());
        return values;
    }

    public float[] Read() => Read(Weights);

    public int[] Bits() => Bits(Read());

    public static int[] Bits(float[] values) => [.. values.Select(BitConverter.SingleToInt32Bits)];

    /// <summary>The norm of some tensors, computed anew.</summary>
    public double Norm(Func<ParameterTensor, bool> which) => Norm(Read(), which);

    public double Norm(float[] values, Func<ParameterTensor, bool> which) => Math.Sqrt(Indices(which).Sum(i => (double)values[i] * values[i]));

    public IEnumerable<int> Indices(Func<ParameterTensor, bool> which) =>
        Layout.Tensors.Where(which).SelectMany(tensor => Enumerable.Range((int)tensor.Segment.Offset, (int)tensor.Segment.Count));

    /// <summary>The indices of the weights that share a norm, of all tensors of two dimensions.</summary>
    public int[][] Units(NormScope scope) => scope switch
    {
        NormScope.Global => [[.. Indices(HasTwoDimensions)]],
        NormScope.Tensor => [.. Layout.Tensors.Where(HasTwoDimensions).Select(tensor => Indices(t => t == tensor).ToArray())],
        _ => [.. Layout.Tensors.Where(HasTwoDimensions).SelectMany(tensor => Indices(t => t == tensor).Chunk(tensor.Shape.Columns))],
    };

    /// <summary>nanoGPT's rule: two dimensions.</summary>
    public static bool HasTwoDimensions(ParameterTensor tensor) => tensor.Shape.Rank == 2;

    public void Dispose()
    {
        Optimizer.Dispose();
        Free(Backend, Tensors);
        Assert.That(_ownsBackend ? Backend.LiveAllocations : 0, Is.Zero);
        if (_ownsBackend)
            Backend.Dispose();
    }
}
