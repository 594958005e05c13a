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
        foreach (var gain in _model.Layout.Tensors.Where(tensor => tensor.Kind == ParameterKind.LayerNorm))
        {
            if (!gain.Name.EndsWith("weight", StringComparison.Ordinal))
                continue;
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
    /// The diagonal of the Hessian from losses alone, (L(θ+h) - 2 L(θ) + L(θ-h)) / h². A loss of 2.5 has errors of about 2e-7, so that such a difference
    /// over h = 0.05 has one of √6 · 2e-7 / 0.0025 = 2e-4, and their sum over some 1000 coordinates √1000 times as much, 0.0063. What fourth derivatives add
    /// grows with h², so that it is a third of what twice the step changes. Differences of gradients over 0.02 are a hundred times as exact. Four of what
    /// is random and two of what is not are allowed. The probes have their standard error besides: large, for most of this Hessian is off its diagonal.
    /// </summary>
    [Test]
    public void Trace_agrees_with_second_differences_of_the_loss_along_every_coordinate()
    {
        const float h = 0.05f;
        double byLosses = TraceByLosses(h);
        double bias = Math.Abs(TraceByLosses(2 * h) - byLosses) / 3;
        double byGradients = TraceByGradients(0.01f);
        Upload(_weights);
        var byProbes = Probe().Estimate(new HessianTraceOptions { Probes = 500 });
        TestContext.Out.WriteLine(
            $"{byLosses} by losses, off by {bias} for the step; {byGradients} by gradients; {byProbes.Trace} ± {byProbes.StandardError} by probes");
        double tolerance = (4 * 0.0063) + (2 * bias);
        Assert.Multiple(() =>
        {
            Assert.That(byGradients, Is.EqualTo(byLosses).Within(tolerance));
            Assert.That(byProbes.Trace, Is.EqualTo(byGradients).Within(4 * byProbes.StandardError));
            Assert.That(tolerance, Is.LessThan(0.05 * byLosses), "the tolerance is small enough to tell");
            Assert.That(4 * byProbes.StandardError, Is.LessThan(0.3 * byLosses), "and that of the probes");
        });
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

    private double TraceByLosses(float h)
    {
        Upload(_weights);
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

        return trace;
    }

    private double TraceByGradients(float h)
    {
        Gpt2HessianTrace probe = Probe();
        float[] parameters = [.. _weights.Where((_, i) => !IsPadding(i))];
        float[] ahead = new float[parameters.Length], behind = new float[parameters.Length];
        double trace = 0;
        for (int i = 0; i < parameters.Length; i++)
        {
            float kept = parameters[i];
            float right = kept + h, left = kept - h;
            parameters[i] = right;
            probe.Gradient(parameters, ahead);
            parameters[i] = left;
            probe.Gradient(parameters, behind);
            parameters[i] = kept;
            trace += ((double)ahead[i] - behind[i]) / ((double)right - left);
        }

        return trace;
    }

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
