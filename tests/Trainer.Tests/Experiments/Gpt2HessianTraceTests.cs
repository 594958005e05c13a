using Trainer.Compute;
using Trainer.Cpu;
using Trainer.Experiments;
using Trainer.Model;

namespace Trainer.Tests.Experiments;

public sealed class Gpt2HessianTraceTests
{
    private const int B = 2, T = 4;

    private static readonly ModelConfig Tiny = new(Layers: 1, Heads: 2, Channels: 8, SequenceLength: T, Vocabulary: 11) { PaddedVocabulary = 16 };

    private CpuBackend _backend = null!;
    private Gpt2 _model = null!;
    private float[] _weights = null!;
    private int[] _tokens = null!;
    private int[] _targets = null!;

    [SetUp]
    public void SetUp()
    {
        _backend = new CpuBackend(threads: 1);
        _model = new Gpt2(_backend, Tiny, B, T, ModelUse.Train);
        var random = new Random(1);
        _weights = new float[_model.Layout.Count];
        for (int i = 0; i < _weights.Length; i++)
            _weights[i] = (random.NextSingle() - 0.5f) * 0.8f;
        foreach (var gain in _model.Layout.Tensors.Where(tensor => tensor.Kind == ParameterKind.LayerNorm && tensor.Name.EndsWith("weight", StringComparison.Ordinal)))
        {
            for (long i = gain.Segment.Offset; i < gain.Segment.Offset + gain.Segment.Count; i++)
                _weights[i] += 1;
        }

        _tokens = [.. Enumerable.Range(0, 2 * B * T).Select(_ => random.Next(Tiny.Vocabulary))];
        _targets = [.. Enumerable.Range(0, 2 * B * T).Select(_ => random.Next(Tiny.Vocabulary))];
        Upload(_weights);
    }

    [TearDown]
    public void TearDown()
    {
        _model.Dispose();
        _backend.Dispose();
    }

    /// <summary>
    /// The sum over all coordinates of (L(θ+h) - 2 L(θ) + L(θ-h)) / h². A loss of 2.5 has errors of about 2e-7, so that a second difference
    /// over h = 0.05 has one of √6 · 2e-7 / 0.0025 = 2e-4, and 1100 of them √1100 times as much, 0.0066; the fourth derivatives add h²/12 = 2e-4 of their sum,
    /// which is of the order of ten traces at weights of order 0.3: 0.2 %. The estimate has its standard error, of which four are allowed.
    /// </summary>
    [Test]
    public void Trace_agrees_with_second_differences_of_the_loss_along_every_coordinate()
    {
        const float h = 0.05f;
        double centre = Loss();
        double trace = 0;
        for (int i = 0; i < _weights.Length; i++)
        {
            if (IsPadding(i))
                continue;
            float kept = _weights[i];
            float ahead = kept + h, behind = kept - h;
            double sum = LossWith(i, ahead) + LossWith(i, behind);
            double step = ((double)ahead - behind) / 2;
            trace += (sum - (2 * centre)) / (step * step);
            _weights[i] = kept;
        }

        Upload(_weights);
        var estimate = Probe().Estimate(new HessianTraceOptions { Probes = 1000 });
        double tolerance = (4 * estimate.StandardError) + (4 * 0.0066) + (0.002 * trace);
        Assert.That(estimate.Trace, Is.EqualTo(trace).Within(tolerance));
        Assert.That(tolerance, Is.LessThan(0.1 * trace), "the tolerance is small enough to tell");
    }

    [Test]
    public void Parameters_are_put_back_to_the_bit()
    {
        Probe().Estimate(new HessianTraceOptions { Probes = 2, PowerIterations = 1 });
        Assert.That(Download(), Is.EqualTo(_weights));
    }

    [Test]
    public void Parameters_are_put_back_when_a_pass_fails()
    {
        _tokens[0] = Tiny.Vocabulary;
        Assert.That(() => Probe().Estimate(new HessianTraceOptions()), Throws.Exception);
        Assert.That(Download(), Is.EqualTo(_weights));
    }

    /// <summary>Two micro-batches are one mean: the rounding of other orders of addition, 1e-7 of the gradient, over a step of 1e-3.</summary>
    [Test]
    public void Micro_batches_are_one_probe_batch()
    {
        var options = new HessianTraceOptions { Probes = 8 };
        var two = Probe().Estimate(options);
        using var whole = new Gpt2(_backend, Tiny, 2 * B, T, ModelUse.Train);
        _backend.Upload<float>(_weights, whole.Parameters);
        var one = new Gpt2HessianTrace(_backend, whole, _tokens, _targets, 2 * B, T).Estimate(options);
        Assert.That(two.Trace, Is.EqualTo(one.Trace).Within(0.1).Percent);
    }

    /// <summary>Padding rows count neither as parameters nor in the norm, whatever they hold.</summary>
    [Test]
    public void Padding_does_not_count()
    {
        var options = new HessianTraceOptions { Probes = 4 };
        var first = Probe().Estimate(options);
        for (int i = 0; i < _weights.Length; i++)
            _weights[i] = IsPadding(i) ? 100 : _weights[i];
        Upload(_weights);
        Assert.That(Probe().Estimate(options), Is.EqualTo(first));
    }

    [Test]
    public void Impossible_requests_are_refused()
    {
        Assert.Multiple(() =>
        {
            Assert.That(() => new Gpt2HessianTrace(_backend, _model, _tokens.AsSpan(1), _targets.AsSpan(1), B, T), Throws.TypeOf<RequestException>());
            Assert.That(() => new Gpt2HessianTrace(_backend, _model, _tokens, _targets.AsSpan(1), B, T), Throws.TypeOf<RequestException>());
            Assert.That(() => new Gpt2HessianTrace(_backend, _model, [], [], B, T), Throws.TypeOf<RequestException>());
        });
        using var evaluating = new Gpt2(_backend, Tiny, B, T, ModelUse.Evaluate);
        Assert.That(() => new Gpt2HessianTrace(_backend, evaluating, _tokens, _targets, B, T), Throws.ArgumentException);
    }

    private Gpt2HessianTrace Probe() => new(_backend, _model, _tokens, _targets, B, T);

    private static bool IsPadding(int i) => i >= Tiny.Vocabulary * Tiny.Channels && i < Tiny.PaddedVocabulary * Tiny.Channels;

    private double LossWith(int i, float value)
    {
        _weights[i] = value;
        Upload(_weights);
        return Loss();
    }

    private double Loss()
    {
        const int size = B * T;
        for (int i = 0; i < 2; i++)
            _model.ForwardLoss(_tokens.AsSpan(i * size, size), _targets.AsSpan(i * size, size), B, T, batches: 2, accumulate: i > 0);
        return _model.ReadLoss();
    }

    private void Upload(float[] weights)
    {
        _backend.Upload<float>(weights, _model.Parameters);
        _model.RefreshWeights();
    }

    private float[] Download()
    {
        var values = new float[_weights.Length];
        _backend.Download<float>(_model.Parameters, values);
        return values;
    }
}
