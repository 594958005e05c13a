using Trainer.Compute;
using Trainer.Cpu;
using Trainer.Metrics;
using Trainer.Model;
using Trainer.Optimization;
using Trainer.Tests.Training;
using Trainer.Training;

namespace Trainer.Tests.Optimization;

public sealed class WeightAveragesTests
{
    private static readonly ModelConfig Tiny = new(Layers: 2, Heads: 2, Channels: 8, SequenceLength: 6, Vocabulary: 11) { PaddedVocabulary = 16 };
    private static readonly double[] Coefficients = [0.9, 0.99];

    private TemporaryFolder _folder = null!;

    [SetUp]
    public void SetUp() => _folder = new TemporaryFolder();

    [TearDown]
    public void TearDown() => _folder.Dispose();

    [Test]
    public void Averages_follow_the_weights_and_passes_with_them_leave_no_trace()
    {
        const int steps = 10;
        int[] tokens = [1, 4, 2, 9, 10, 0], targets = [4, 2, 9, 10, 0, 3];
        using var backend = new CpuBackend(threads: 1);
        using var model = new Gpt2(backend, Tiny, 1, 6, ModelUse.Train, averages: 2);
        ParameterInitializer.Initialize(backend, model.Layout, model.Parameters, seed: 1);
        using var optimizer = new WeightOptimizer(backend, model.Layout, model.Tensors, new OptimizerOptions { LearningRate = 0.01 });
        optimizer.Start();
        var averages = new WeightAverages(backend, model.Tensors, Coefficients, model.Averages);
        averages.Start();
        double[][] expected = [.. Coefficients.Select(_ => Array.ConvertAll(Download(model.Parameters), value => (double)value))];
        for (int step = 0; step < steps; step++)
        {
            model.LossAndGradients(tokens, targets, 1, 6);
            optimizer.Step(model.TotalLoss);
            averages.Update();
            float[] weights = Download(model.Parameters);
            for (int a = 0; a < 2; a++)
            {
                double c = (float)Coefficients[a];
                expected[a] = [.. expected[a].Zip(weights, (average, weight) => (c * average) + ((1 - c) * weight))];
            }
        }

        float[] trained = Download(model.Parameters);
        double own = Loss();
        for (int a = 0; a < 2; a++)
        {
            float[] found = Download(averages.Tensors[a]);
            for (int i = 0; i < found.Length; i++)
            {
                // Each step rounds twice, by at most 2^-24 of a magnitude that is below 2 (gains are near 1).
                Assert.That(found[i], Is.EqualTo(expected[a][i]).Within(steps * 2 * Math.Pow(2, -23)));
            }

            double averaged = model.WithWeights(averages.Tensors[a], Loss);
            backend.Upload<float>(found, model.Parameters);
            Assert.That(averaged, Is.EqualTo(Loss()), "the same bits as a model that has these weights");
            Assert.That(averaged, Is.Not.EqualTo(own));
            backend.Upload<float>(trained, model.Parameters);
            Assert.That(Loss(), Is.EqualTo(own));
        }

        double Loss()
        {
            model.ForwardLoss(tokens, targets, 1, 6);
            return model.ReadLoss();
        }

        float[] Download(Tensor tensor)
        {
            var values = new float[tensor.Count];
            backend.Download(tensor, values);
            return values;
        }
    }

    [Test]
    public void A_resumed_run_has_the_averages_and_diagnostics_of_one_that_was_not_interrupted()
    {
        var settings = Settings() with { Average = ["0.9", "0.99"], DiagnosticsEvery = 4, HessianTraceEvery = 8, HessianProbes = 2 };
        Train(settings with { Run = _folder.PathOf("straight") });
        Assert.That(() => Train(settings with { Run = _folder.PathOf("killed") }, new TrainingRecorder { AfterStep = TrainingRecorder.KillAt(11) }), Throws.TypeOf<KilledException>());
        Train(settings with { Run = _folder.PathOf("killed"), Resume = true });
        foreach (string file in new[] { "averages.bin", "digests.json" })
            Assert.That(File.ReadAllBytes(Final("killed", file)), Is.EqualTo(File.ReadAllBytes(Final("straight", file))), file);
        Assert.That(Unclocked("killed"), Is.EqualTo(Unclocked("straight")));

        var history = MetricsHistory.Load(_folder.PathOf("straight/metrics.jsonl"));
        Assert.That(history.Series("valLossEma/0.99").Steps, Is.EqualTo(history.Series("valLoss").Steps));
        Assert.That(history.Series("trainLossEma/0.9").Values, Is.All.InRange(1, 7));
        Assert.That(history.Series("hessianTrace").Steps, Is.EqualTo(new[] { 8L, 16L }));
        Assert.That(history.Series("Lambda").Steps, Is.EqualTo(new[] { 4L, 8, 12, 16 }));

        // Lines of steps have times; all others are the same to the byte.
        string[] Unclocked(string run) => [.. File.ReadLines(_folder.PathOf($"{run}/metrics.jsonl")).Where(line => !line.Contains("stepMs", StringComparison.Ordinal))];
    }

    [Test]
    public void Averages_that_a_checkpoint_lacks_are_refused_on_resume_and_begin_anew_on_a_branch()
    {
        var settings = Settings();
        Train(settings with { Run = _folder.PathOf("run") });
        var more = settings with { Steps = 20, Average = ["0.9"] };
        Assert.That(() => Train(more with { Run = _folder.PathOf("run"), Resume = true }), Throws.TypeOf<RequestException>().With.Message.Contains("no averages.bin"));
        Train(more with { Run = _folder.PathOf("branch"), BranchFrom = _folder.PathOf("run") });
        Assert.That(File.Exists(_folder.PathOf("branch/checkpoints/step-00000020/averages.bin")));
        Assert.That(() => Train(more with { Run = _folder.PathOf("branch"), Resume = true, Steps = 24, Average = ["0.99"] }),
            Throws.TypeOf<RequestException>().With.Message.Contains("--average 0.9, not --average 0.99"));
        Train(more with { Run = _folder.PathOf("branch"), Resume = true, Steps = 24 });
    }

    [TestCase("1")]
    [TestCase("0.4")]
    [TestCase("0.99999999")]
    [TestCase("x")]
    [TestCase("0.9", "0.90")]
    public void Coefficients_that_make_no_average_are_refused(params string[] texts) =>
        Assert.That(() => new TrainingSettings { Average = texts }.Validate(), Throws.TypeOf<RequestException>().With.Message.StartsWith("--average"));

    private string Final(string run, string file) => _folder.PathOf($"{run}/checkpoints/step-00000016/{file}");

    private TrainingSettings Settings()
    {
        if (!Directory.Exists(_folder.PathOf("data")))
            SmallCorpus.Prepare(_folder);
        return new TrainingSettings
        {
            Data = _folder.PathOf("data"),
            Layers = 1,
            Heads = 2,
            Channels = 16,
            SeqLen = 16,
            BatchSize = 2,
            TotalBatchTokens = 64,
            Steps = 16,
            Lr = 3e-3,
            EvalEvery = 5,
            EvalBatches = 1,
            CheckpointEvery = 8,
            SampleEvery = 0,
        };
    }

    private static void Train(TrainingSettings settings, TrainingRecorder? recorder = null)
    {
        using var data = TrainingData.Open(settings);
        using var backend = new CpuBackend(threads: 1);
        using var run = TrainingRun.Open(settings, data, backend);
        run.Train(recorder ?? new TrainingRecorder());
    }
}
