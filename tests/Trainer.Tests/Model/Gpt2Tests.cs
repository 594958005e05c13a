using Trainer.Compute;
using Trainer.Cpu;
using Trainer.Model;
using Trainer.Optimization;

namespace Trainer.Tests.Model;

public sealed class Gpt2Tests
{
    private static readonly ModelConfig Tiny = new(Layers: 2, Heads: 2, Channels: 8, SequenceLength: 6, Vocabulary: 11) { PaddedVocabulary = 16 };

    private CpuBackend _backend = null!;

    [SetUp]
    public void SetUp() => _backend = new CpuBackend(threads: 2);

    [TearDown]
    public void TearDown()
    {
        int live = _backend.LiveAllocations;
        _backend.Dispose();
        Assert.That(live, Is.Zero, "device memory was not given back");
    }

    /// <summary>
    /// The slope of the loss along a random direction within each parameter tensor is the gradient's, by central differences. The loss is
    /// known to about eps · loss · √terms = 2e-7 · 2.4; over a step of 2h that is an error of 5e-7 / 2h in the slope, and the third
    /// derivative adds about h²; h = 0.01 balances them, and the weights are large enough to give slopes of 0.01 to 1.
    /// </summary>
    [Test]
    public void Gradient_of_every_tensor_agrees_with_finite_differences()
    {
        const int B = 2, T = 5;
        const float H = 0.01f;
        using var model = new Gpt2(_backend, Tiny, B, T, ModelUse.Train);
        var weights = new float[model.Layout.Count];
        var random = new Random(1);
        for (int i = 0; i < weights.Length; i++)
            weights[i] = (random.NextSingle() - 0.5f) * 0.8f;
        foreach (var gain in model.Layout.Tensors.Where(tensor => tensor.Kind == ParameterKind.LayerNorm && tensor.Name.EndsWith("weight", StringComparison.Ordinal)))
        {
            for (long i = gain.Segment.Offset; i < gain.Segment.Offset + gain.Segment.Count; i++)
                weights[i] += 1;
        }

        int[] tokens = [.. Enumerable.Range(0, B * T).Select(_ => random.Next(Tiny.Vocabulary))];
        int[] targets = [.. Enumerable.Range(0, B * T).Select(_ => random.Next(Tiny.Vocabulary))];
        Upload(model, weights);
        model.LossAndGradients(tokens, targets, B, T);
        var gradients = new float[weights.Length];
        _backend.Download<float>(model.Gradients, gradients);

        Assert.Multiple(() =>
        {
            foreach (var tensor in model.Layout.Tensors)
            {
                var (offset, count) = ((int)tensor.Segment.Offset, (int)tensor.Segment.Count);
                float[] direction = [.. Enumerable.Range(0, count).Select(_ => (float)((random.NextDouble() - 0.5) * Math.Sqrt(12.0 / count)))];
                double slope = Enumerable.Range(0, count).Sum(i => (double)gradients[offset + i] * direction[i]);
                double difference = (LossAt(H) - LossAt(-H)) / (2 * H);
                Assert.That(difference, Is.EqualTo(slope).Within(3e-4), tensor.Name);

                double LossAt(float step)
                {
                    var moved = (float[])weights.Clone();
                    for (int i = 0; i < count; i++)
                        moved[offset + i] += step * direction[i];
                    Upload(model, moved);
                    return Loss(model, tokens, targets, B, T);
                }
            }

            Assert.That(gradients.Max(Math.Abs), Is.GreaterThan(0.05), "the slopes are large enough to tell");
        });
    }

    [Test]
    public void Untrained_loss_is_the_logarithm_of_the_vocabulary()
    {
        var config = new ModelConfig(Layers: 3, Heads: 4, Channels: 64, SequenceLength: 32, Vocabulary: 1000);
        using var model = new Gpt2(_backend, config, 4, 32, ModelUse.Evaluate);
        ParameterInitializer.Initialize(_backend, model.Layout, model.Parameters, seed: 1);
        var random = new Random(2);
        int[] tokens = [.. Enumerable.Range(0, 128).Select(_ => random.Next(1000))];
        int[] targets = [.. Enumerable.Range(0, 128).Select(_ => random.Next(1000))];
        Assert.That(Loss(model, tokens, targets, 4, 32), Is.EqualTo(Math.Log(1000)).Within(0.1));
    }

    [Test]
    public void A_model_overfits_one_batch()
    {
        const int B = 2, T = 16;
        var config = new ModelConfig(Layers: 2, Heads: 2, Channels: 32, SequenceLength: T, Vocabulary: 50);
        using var model = new Gpt2(_backend, config, B, T, ModelUse.Train);
        ParameterInitializer.Initialize(_backend, model.Layout, model.Parameters, seed: 1);
        var options = new OptimizerOptions { LearningRate = 1e-2, Regularizer = new RegularizerOptions { Kind = RegularizerKind.None } };
        using var optimizer = new WeightOptimizer(_backend, model.Layout, model.Tensors, options);
        optimizer.Start();
        var random = new Random(3);
        int[] tokens = [.. Enumerable.Range(0, B * T).Select(_ => random.Next(50))];
        int[] targets = [.. Enumerable.Range(0, B * T).Select(_ => random.Next(50))];
        double loss = double.NaN;
        for (int step = 0; step < 150; step++)
        {
            model.LossAndGradients(tokens, targets, B, T);
            loss = optimizer.Step(model.TotalLoss).Loss;
        }

        Assert.That(loss, Is.LessThan(0.1));
    }

    [Test]
    public void Micro_batches_add_up_to_the_gradient_of_the_whole_batch()
    {
        const int B = 4, T = 6;
        using var model = new Gpt2(_backend, Tiny, B, T, ModelUse.Train);
        ParameterInitializer.Initialize(_backend, model.Layout, model.Parameters, seed: 1);
        var random = new Random(4);
        int[] tokens = [.. Enumerable.Range(0, B * T).Select(_ => random.Next(Tiny.Vocabulary))];
        int[] targets = [.. Enumerable.Range(0, B * T).Select(_ => random.Next(Tiny.Vocabulary))];
        model.LossAndGradients(tokens, targets, B, T);
        double whole = model.ReadLoss();
        var expected = Download(model.Gradients);
        for (int b = 0; b < B; b++)
            model.LossAndGradients(tokens.AsSpan(b * T, T), targets.AsSpan(b * T, T), 1, T, B, accumulate: b > 0);
        double parts = model.ReadLoss();

        // Other orders of single-precision addition: some roundings of the largest gradient.
        float tolerance = 1e-6f * expected.Max(Math.Abs);
        Assert.That(parts, Is.EqualTo(whole).Within(1e-6));
        Assert.That(Download(model.Gradients), Is.EqualTo(expected).Within(tolerance));
    }

    [Test]
    public void A_loss_does_not_depend_on_what_the_model_is_built_for()
    {
        const int T = 6;
        int[] tokens = [1, 2, 3, 4, 5, 6], targets = [2, 3, 4, 5, 6, 7];
        var losses = new List<double>();
        foreach (var use in new[] { ModelUse.Train, ModelUse.Evaluate })
        {
            using var model = new Gpt2(_backend, Tiny, 2, T, use);
            ParameterInitializer.Initialize(_backend, model.Layout, model.Parameters, seed: 1);
            losses.Add(Loss(model, tokens, targets, 1, T));
        }

        Assert.That(losses[1], Is.EqualTo(losses[0]));
    }

    [Test]
    public void Next_token_logits_see_the_past_only_and_name_the_loss()
    {
        int[] tokens = [1, 2, 3, 4, 5, 6], targets = [2, 3, 4, 5, 6, 7];
        using var sampling = new Gpt2(_backend, Tiny, 1, 6, ModelUse.Sample);
        using var evaluating = new Gpt2(_backend, Tiny, 1, 6, ModelUse.Evaluate);
        ParameterInitializer.Initialize(_backend, sampling.Layout, sampling.Parameters, seed: 1);
        ParameterInitializer.Initialize(_backend, evaluating.Layout, evaluating.Parameters, seed: 1);
        double sum = 0;
        var logits = new float[Tiny.Vocabulary];
        for (int t = 1; t <= 6; t++)
        {
            sampling.NextTokenLogits(tokens.AsSpan(0, t), logits);
            sum += Math.Log(logits.Sum(logit => Math.Exp(logit))) - logits[targets[t - 1]];
        }

        Assert.That(sum / 6, Is.EqualTo(Loss(evaluating, tokens, targets, 1, 6)).Within(1e-5));
    }

    [Test]
    public void Initialisation_has_the_deviations_of_gpt2()
    {
        var config = new ModelConfig(Layers: 2, Heads: 2, Channels: 128, SequenceLength: 64, Vocabulary: 500);
        using var model = new Gpt2(_backend, config, 1, 1, ModelUse.Sample);
        ParameterInitializer.Initialize(_backend, model.Layout, model.Parameters, seed: 5);
        var values = Download(model.Parameters);
        Assert.Multiple(() =>
        {
            foreach (var tensor in model.Layout.Tensors)
            {
                var part = values.AsSpan((int)tensor.Segment.Offset, (int)tensor.Segment.Count).ToArray();
                double expected = tensor.Kind switch
                {
                    ParameterKind.TokenEmbedding => 0.02 * Math.Sqrt(500.0 / 512),
                    ParameterKind.PositionEmbedding => 0.02,
                    ParameterKind.Matrix => tensor.Name.EndsWith("c_proj.weight", StringComparison.Ordinal) ? 0.01 : 0.02,
                    ParameterKind.LayerNorm when tensor.Name.EndsWith("weight", StringComparison.Ordinal) => 1,
                    _ => 0,
                };
                // Five standard errors of a root mean square over n values: 5 / sqrt(2n).
                Assert.That(Math.Sqrt(part.Average(x => (double)x * x)), Is.EqualTo(expected).Within(expected * 5 / Math.Sqrt(2.0 * part.Length)), tensor.Name);
            }

            Assert.That(values.AsSpan(500 * 128, 12 * 128).ToArray(), Is.All.EqualTo(0f), "padding rows");
        });
    }

    [Test]
    public void Initial_norm_of_gpt2_is_the_one_that_weight_norm_control_refers_to()
    {
        // Expected values of the squares, from sizes alone: 124M parameters without layer norms and biases.
        var config = new ModelConfig(12, 12, 768, 1024, 50304);
        double squares = new ParameterLayout(config).Tensors.Sum(tensor => tensor.Kind switch
        {
            ParameterKind.Matrix when tensor.Name.EndsWith("c_proj.weight", StringComparison.Ordinal) => tensor.Segment.Count * 0.0004 / 24,
            ParameterKind.Matrix or ParameterKind.TokenEmbedding or ParameterKind.PositionEmbedding => tensor.Segment.Count * 0.0004,
            _ => 0,
        });
        Assert.That(Math.Sqrt(squares), Is.EqualTo(190.2).Within(0.05));
        Assert.That(new ParameterLayout(config).Count, Is.EqualTo(124_475_904));
    }

    [Test]
    public void Impossible_sizes_are_refused()
    {
        Assert.Multiple(() =>
        {
            Refused(Tiny with { Heads = 3 }, 1, 1, "--heads");
            Refused(Tiny with { Layers = 0 }, 1, 1, "layers");
            Refused(Tiny with { Channels = -8 }, 1, 1, "channels");
            Refused(Tiny, 0, 1, "--batch-size");
            Refused(Tiny, 1, 7, "--seq-len");
            Refused(Tiny, 1, 0, "--seq-len");
        });
    }

    private static double Loss(Gpt2 model, int[] tokens, int[] targets, int b, int t)
    {
        model.ForwardLoss(tokens, targets, b, t);
        return model.ReadLoss();
    }

    private void Refused(ModelConfig config, int b, int t, string option) =>
        Assert.That(() => new Gpt2(_backend, config, b, t, ModelUse.Train), Throws.TypeOf<RequestException>().With.Message.Contains(option));

    private void Upload(Gpt2 model, float[] values) => _backend.Upload<float>(values, model.Parameters);

    private float[] Download(Tensor tensor)
    {
        var values = new float[tensor.Count];
        _backend.Download<float>(tensor, values);
        return values;
    }
}
