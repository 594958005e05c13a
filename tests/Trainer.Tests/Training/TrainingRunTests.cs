using Trainer.Checkpoints;
using Trainer.Cpu;
using Trainer.Data;
using Trainer.Metrics;
using Trainer.Training;

namespace Trainer.Tests.Training;

public sealed class TrainingRunTests
{
    private TemporaryFolder _folder = null!;
    private TrainingSettings _settings = null!;

    [SetUp]
    public void SetUp()
    {
        _folder = new TemporaryFolder();
        SmallCorpus.Prepare(_folder);
        _settings = new TrainingSettings
        {
            Data = _folder.PathOf("data"),
            Layers = 2,
            Heads = 2,
            Channels = 32,
            SeqLen = 16,
            BatchSize = 2,
            TotalBatchTokens = 64,
            Steps = 20,
            Lr = 3e-3,
            EvalEvery = 5,
            EvalBatches = 2,
            CheckpointEvery = 10,
            SampleEvery = 10,
            SampleTokens = 8,
            Threads = 2,
        };
    }

    [TearDown]
    public void TearDown() => _folder.Dispose();

    [TestCase("shuffled", "decay")]
    [TestCase("sequential", "norm-control")]
    [TestCase("random", "decay-decoupled")]
    public void Resumed_run_has_the_bytes_of_one_that_was_not_interrupted(string order, string regularizer)
    {
        var settings = _settings with
        {
            DataOrder = order,
            Regularizer = regularizer,
            NormTarget = regularizer == "norm-control" ? 1.5 : null,
            NormRampSteps = 15,
        };
        Train(settings with { Run = _folder.PathOf("straight") });

        // The second run is stopped at step 13 without a word, as a kill would: its last checkpoint is that of step 10.
        using (var data = TrainingData.Open(settings))
        {
            using var backend = new CpuBackend(threads: 1);
            using var run = TrainingRun.Open(settings with { Run = _folder.PathOf("killed") }, data, backend);
            Assert.That(() => run.Train(new TrainingRecorder { AfterStep = TrainingRecorder.KillAt(13) }), Throws.TypeOf<KilledException>());
        }

        Train(settings with { Run = _folder.PathOf("killed"), Resume = true });
        foreach (string file in new[] { "model.bin", "optimizer.bin", "state.json", "digests.json" })
        {
            byte[] straight = File.ReadAllBytes(Path.Combine(_folder.PathOf("straight"), "checkpoints", "step-00000020", file));
            byte[] resumed = File.ReadAllBytes(Path.Combine(_folder.PathOf("killed"), "checkpoints", "step-00000020", file));
            Assert.That(resumed.AsSpan().SequenceEqual(straight), Is.True, file);
        }

        Assert.That(File.ReadAllText(Path.Combine(_folder.PathOf("killed"), "samples.txt")), Is.EqualTo(File.ReadAllText(Path.Combine(_folder.PathOf("straight"), "samples.txt"))));
        var lines = MetricsReader.Read(Path.Combine(_folder.PathOf("killed"), "metrics.jsonl")).ToList();
        Assert.That(lines.Where(line => line.Training is not null).Select(line => line.Step), Is.EqualTo(Enumerable.Range(1, 20)));
    }

    [Test]
    public void Training_lowers_the_loss_and_tells_the_observer()
    {
        var recorder = new TrainingRecorder();
        var summary = Train(_settings with { Run = _folder.PathOf("run"), Steps = 60, Lr = 1e-2 }, recorder);
        Assert.Multiple(() =>
        {
            Assert.That(recorder.Steps.Select(step => step.Step), Is.EqualTo(Enumerable.Range(1, 60)));
            Assert.That(recorder.Steps[0].Loss, Is.EqualTo(Math.Log(257)).Within(0.2));
            Assert.That(recorder.Evaluations[^1].ValidationLoss, Is.LessThan(3.2));
            Assert.That(recorder.Evaluations.Select(evaluation => evaluation.Step), Is.EqualTo(Enumerable.Range(1, 12).Select(i => i * 5)));
            Assert.That(recorder.Samples, Has.Count.EqualTo(6));
            Assert.That(summary.Interrupted, Is.False);
            Assert.That(summary.Checkpoint, Does.EndWith("step-00000060"));
            Assert.That(Directory.GetDirectories(Path.Combine(_folder.PathOf("run"), "checkpoints")), Has.Length.EqualTo(2), "keeps the newest two");
            Assert.That(recorder.Steps.TrueForAll(step => step.TokensPerSecond > 0 && step.GradientNorm > 0 && step.NormRatio > 0.5));
        });
    }

    [Test]
    public void A_stop_writes_a_checkpoint_of_the_step_just_taken()
    {
        using var stop = new CancellationTokenSource();
        using var data = TrainingData.Open(_settings);
        using var backend = new CpuBackend(threads: 1);
        using var run = TrainingRun.Open(_settings with { Run = _folder.PathOf("run") }, data, backend);
        var summary = run.Train(new TrainingRecorder { AfterStep = step => { if (step == 7) stop.Cancel(); } }, stop.Token);
        Assert.That(summary.Interrupted, Is.True);
        Assert.That(summary.Step, Is.EqualTo(7));
        Assert.That(Checkpoint.Open(summary.Checkpoint!).Step, Is.EqualTo(7));
    }

    [Test]
    public void A_loss_that_is_not_finite_stops_the_run_and_leaves_the_last_checkpoint()
    {
        var settings = _settings with { Run = _folder.PathOf("run"), Steps = 4, EvalEvery = 0, SampleEvery = 0 };
        string good = Train(settings).Checkpoint!;
        var before = Directory.GetFiles(good).ToDictionary(file => file, File.ReadAllBytes);

        // Weights of about 1e38 after one more step: its square, and so the loss of the step after, is beyond single precision.
        var exploding = settings with { Resume = true, Steps = 100, Lr = 3e38, GradClip = 0, WarmupSteps = 0, WeightDecay = 0, CheckpointEvery = 0 };
        var error = Assert.Throws<RunFailedException>(() => Train(exploding));
        Assert.That(error!.Message, Does.Match("the (loss|gradient norm) is").And.Contain("--lr").And.Contain("no weight was changed").And.Contain("step-00000004"));
        Assert.That(new CheckpointStore(Path.Combine(_folder.PathOf("run"), "checkpoints")).FindNewest(), Is.EqualTo(good));
        foreach (var (file, bytes) in before)
            Assert.That(File.ReadAllBytes(file), Is.EqualTo(bytes), file);
    }

    [Test]
    public void What_is_hardly_meant_is_said_before_the_run_begins()
    {
        var recorder = new TrainingRecorder();
        Train(_settings with { Run = _folder.PathOf("run"), Steps = 1, Regularizer = "decay-decoupled", WeightDecay = 0.1 }, recorder);
        Assert.That(recorder.Plan!.Warnings, Has.One.Contains("--weight-decay"));
    }

    [Test]
    public void A_step_allocates_nothing_after_the_first()
    {
        using var data = TrainingData.Open(_settings);
        using var backend = new CpuBackend(threads: 2);
        using var run = TrainingRun.Open(_settings with { Run = _folder.PathOf("run"), Steps = 100, Regularizer = "norm-control", NormTarget = 2 }, data, backend);
        for (int i = 0; i < 3; i++)
            run.Step();
        long before = GC.GetAllocatedBytesForCurrentThread();
        for (int i = 0; i < 20; i++)
            run.Step();
        Assert.That(GC.GetAllocatedBytesForCurrentThread() - before, Is.Zero);
    }

    [Test]
    public void Weight_norm_control_ends_at_its_target()
    {
        var recorder = new TrainingRecorder();
        Train(_settings with { Run = _folder.PathOf("run"), Regularizer = "norm-control", NormTarget = 1.7, NormRate = 1, NormRampSteps = 10 }, recorder);
        Assert.That(recorder.Steps[^1].NormRatio, Is.EqualTo(1.7).Within(1e-6));
    }

    [Test]
    public void A_directory_that_holds_a_run_is_refused_and_stays_as_it_was()
    {
        Train(_settings with { Run = _folder.PathOf("run"), Steps = 2 });
        string before = File.ReadAllText(Path.Combine(_folder.PathOf("run"), "metrics.jsonl"));
        Assert.That(() => Train(_settings with { Run = _folder.PathOf("run") }), Throws.TypeOf<RequestException>().With.Message.Contains("--resume"));
        Assert.That(File.ReadAllText(Path.Combine(_folder.PathOf("run"), "metrics.jsonl")), Is.EqualTo(before));
    }

    [Test]
    public void A_run_is_not_resumed_on_other_data()
    {
        Train(_settings with { Run = _folder.PathOf("run"), Steps = 2 });
        File.AppendAllText(_folder.PathOf("corpus.txt"), "something else");
        CorpusPreparer.Prepare(new CorpusOptions { Inputs = [_folder.PathOf("corpus.txt")], Output = _folder.PathOf("other"), Tokenizer = "bytes", Threads = 1 });
        Assert.That(() => Train(_settings with { Run = _folder.PathOf("run"), Data = _folder.PathOf("other"), Resume = true }),
            Throws.TypeOf<RequestException>().With.Message.Contains("data"));
    }

    [Test]
    public void A_wrong_request_leaves_no_run_directory()
    {
        Assert.Multiple(() =>
        {
            Assert.That(() => Train(_settings with { Run = _folder.PathOf("a"), Heads = 3 }), Throws.TypeOf<RequestException>().With.Message.Contains("--heads"));
            Assert.That(() => Train(_settings with { Run = _folder.PathOf("b"), SeqLen = 100_000, BatchSize = 1, TotalBatchTokens = null }), Throws.TypeOf<RequestException>());
            Assert.That(() => Train(_settings with { Run = _folder.PathOf("c"), DecayGroup = ["nothing.*=0.1"] }), Throws.TypeOf<RequestException>());
            Assert.That(() => Train(_settings with { Run = _folder.PathOf("d"), InitFrom = _folder.PathOf("missing.bin") }), Throws.TypeOf<RequestException>());
            foreach (string name in new[] { "a", "b", "c", "d" })
                Assert.That(Directory.Exists(_folder.PathOf(name)), Is.False, name);
        });
    }

    [Test]
    public void Weights_of_a_run_begin_another()
    {
        Train(_settings with { Run = _folder.PathOf("first"), Steps = 10 });
        var recorder = new TrainingRecorder();
        Train(_settings with { Run = _folder.PathOf("second"), InitFrom = _folder.PathOf("first"), Steps = 1 }, recorder);
        Assert.That(recorder.Steps[0].Loss, Is.LessThan(5.4), "well below ln 257 = 5.55");
    }

    [Test]
    public void A_run_that_began_from_weights_is_resumed_without_them()
    {
        Train(_settings with { Run = _folder.PathOf("first"), Steps = 2 });
        Train(_settings with { Run = _folder.PathOf("second"), InitFrom = _folder.PathOf("first"), Steps = 2 });
        Directory.Delete(_folder.PathOf("first"), recursive: true);
        Assert.That(Train(Resumed("second", ("--steps", "3"))).Step, Is.EqualTo(3));
        Assert.That(() => Resumed("second", ("--init-from", _folder.PathOf("second"))), Throws.TypeOf<RequestException>().With.Message.Contains("--init-from"));
    }

    [Test]
    public void The_record_has_the_sizes_of_the_model_that_was_loaded()
    {
        Train(_settings with { Run = _folder.PathOf("first"), Steps = 2 });
        TrainingSettings second = _settings with { Run = _folder.PathOf("second"), InitFrom = _folder.PathOf("first"), Steps = 2, Layers = null, Heads = null, Channels = null, SeqLen = null };
        Train(second);
        var recorded = TrainingSettings.FromFile(Path.Combine(_folder.PathOf("second"), "config.json"));
        Assert.That((recorded.Layers, recorded.Heads, recorded.Channels, recorded.SeqLen), Is.EqualTo((2, 2, 32, 16)));
        Assert.That(() => Train(second with { Run = _folder.PathOf("third"), Layers = 3 }), Throws.TypeOf<RequestException>().With.Message.Contains("--layers 3"));
        Assert.That(Directory.Exists(_folder.PathOf("third")), Is.False);
    }

    [TestCase("--layers", "3")]
    [TestCase("--heads", "4")]
    [TestCase("--channels", "64")]
    [TestCase("--seed", "9")]
    [TestCase("--steps", "1")]
    [TestCase("--preset", "small")]
    [TestCase("--seq-len", "32")]
    public void What_a_resumed_run_cannot_change_is_refused_and_its_record_stays(string option, string value)
    {
        Train(_settings with { Run = _folder.PathOf("run"), Steps = 2 });
        string config = Path.Combine(_folder.PathOf("run"), "config.json"), before = File.ReadAllText(config);
        Assert.That(() => Train(Resumed("run", (option, value))), Throws.TypeOf<RequestException>().With.Message.Contains(option));
        Assert.That(File.ReadAllText(config), Is.EqualTo(before));
    }

    [Test]
    public void A_damaged_checkpoint_leaves_the_record_of_its_run()
    {
        var summary = Train(_settings with { Run = _folder.PathOf("run"), Steps = 2 });
        File.WriteAllText(Path.Combine(summary.Checkpoint!, "state.json"), "{}");
        string config = Path.Combine(_folder.PathOf("run"), "config.json"), before = File.ReadAllText(config);
        Assert.That(() => Train(Resumed("run", ("--steps", "4"))), Throws.TypeOf<RequestException>().With.Message.Contains($"delete {summary.Checkpoint}"));
        Assert.That(File.ReadAllText(config), Is.EqualTo(before));
    }

    [Test]
    public void A_finished_run_that_is_resumed_stays_as_it_is()
    {
        Train(_settings with { Run = _folder.PathOf("run"), Steps = 3 });
        string metrics = Path.Combine(_folder.PathOf("run"), "metrics.jsonl"), before = File.ReadAllText(metrics);
        var summary = Train(Resumed("run"));
        Assert.That((summary.Step, summary.Interrupted), Is.EqualTo((3L, false)));
        Assert.That(File.ReadAllText(metrics), Is.EqualTo(before));
    }

    [Test]
    public void The_last_checkpoint_knows_the_last_evaluation()
    {
        var recorder = new TrainingRecorder();
        var summary = Train(_settings with { Run = _folder.PathOf("run"), Steps = 4, CheckpointEvery = 2, EvalEvery = 100 }, recorder);
        Assert.That(recorder.Evaluations.Select(evaluation => evaluation.Step), Is.EqualTo(new[] { 4 }));
        Assert.That(Checkpoint.Open(summary.Checkpoint!).State.Progress.BestValidationLoss, Is.EqualTo(recorder.Evaluations[0].ValidationLoss));
    }

    [Test]
    public void Any_number_of_steps_can_begin()
    {
        using var data = TrainingData.Open(_settings);
        using var backend = new CpuBackend(threads: 1);
        using var run = TrainingRun.Open(_settings with { Run = _folder.PathOf("run"), Steps = int.MaxValue }, data, backend);
        Assert.That(run.Step().Step, Is.EqualTo(1));
    }

    [Test]
    public void Shards_of_another_tokenizer_are_refused_before_the_run()
    {
        string shard = _folder.PathOf("shard.bin");
        using (var writer = new TokenShardWriter(shard, 65536))
        {
            writer.Write(Enumerable.Repeat(60_000, 500).ToArray());
            writer.Complete();
        }

        Assert.That(() => TrainingData.Open(_settings with { Data = null, TrainData = shard, ValData = shard }),
            Throws.TypeOf<RequestException>().With.Message.Contains("outside the vocabulary of 50257"));
    }

    private TrainingSettings Resumed(string run, params (string Option, string Value)[] options) => TrainingSettings.Load(
        configFile: null,
        options.Append(("--run", _folder.PathOf(run))).Append(("--resume", "true")).ToDictionary(
            given => TrainingSettings.Definitions.Single(definition => definition.Name == given.Item1),
            given => (IReadOnlyList<string>)[given.Item2]));

    private static TrainingSummary Train(TrainingSettings settings, TrainingRecorder? recorder = null)
    {
        using var data = TrainingData.Open(settings);
        using var backend = new CpuBackend(settings.Threads);
        using var run = TrainingRun.Open(settings, data, backend);
        return run.Train(recorder ?? new TrainingRecorder());
    }
}
