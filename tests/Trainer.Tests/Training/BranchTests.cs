using Trainer.Checkpoints;
using Trainer.Cpu;
using Trainer.Metrics;
using Trainer.Training;

namespace Trainer.Tests.Training;

public sealed class BranchTests
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
            Data = _folder.PathOf("data"), Layers = 1, Heads = 2, Channels = 16, SeqLen = 16, BatchSize = 2, Steps = 12, Lr = 3e-3,
            EvalEvery = 0, CheckpointEvery = 4, Keep = 10, SampleEvery = 0, Threads = 1,
        };
        Train(_settings with { Run = _folder.PathOf("origin") });
    }

    [TearDown]
    public void TearDown() => _folder.Dispose();

    [Test]
    public void A_branch_under_the_same_settings_has_the_bytes_of_its_origin()
    {
        Train(Branch("same", 8));
        foreach (string file in new[] { "model.bin", "optimizer.bin", "state.json" })
            Assert.That(File.ReadAllBytes(FileAt("same", 12, file)).AsSpan().SequenceEqual(File.ReadAllBytes(FileAt("origin", 12, file))), Is.True, file);
        Assert.That(MetricsReader.Read(new RunPaths(_folder.PathOf("same")).Metrics).Select(line => line.Step), Is.EqualTo(new long[] { 9, 10, 11, 12 }));
    }

    [Test]
    public void Another_rule_keeps_the_initial_norms_and_the_place_in_the_data()
    {
        Train(Branch("controlled", 8) with { Regularizer = "norm-control", NormTarget = 1.25, NormRate = 1, NormRampSteps = 0, Steps = 14 });
        StepMetrics[] steps = [.. MetricsReader.Read(new RunPaths(_folder.PathOf("controlled")).Metrics).Select(line => line.Training!.Value)];
        Assert.That(steps.Select(step => step.Step), Is.EqualTo(new long[] { 9, 10, 11, 12, 13, 14 }));
        Assert.That(steps.Select(step => step.NormRatio), Is.All.EqualTo(1.25).Within(1e-6));

        // The first step is of the same weights on the same tokens.
        StepMetrics origin = MetricsReader.Read(new RunPaths(_folder.PathOf("origin")).Metrics).First(line => line.Step == 9).Training!.Value;
        Assert.That((steps[0].Loss, steps[0].GradientNorm), Is.EqualTo((origin.Loss, origin.GradientNorm)));
    }

    [Test]
    public void A_branch_that_is_killed_before_its_first_checkpoint_begins_again_at_the_branch()
    {
        TrainingSettings branch = Branch("killed", 8) with { Lr = 1e-4, LrSchedule = "constant" };
        Train(branch with { Run = _folder.PathOf("whole") });
        using (var data = TrainingData.Open(branch))
        using (var backend = new CpuBackend(threads: 1))
        using (var run = TrainingRun.Open(branch, data, backend))
            Assert.That(() => run.Train(new TrainingRecorder { AfterStep = TrainingRecorder.KillAt(10) }), Throws.TypeOf<KilledException>());
        Train(branch with { Resume = true });
        Assert.That(File.ReadAllBytes(FileAt("killed", 12, "model.bin")).AsSpan().SequenceEqual(File.ReadAllBytes(FileAt("whole", 12, "model.bin"))), Is.True);
    }

    [Test]
    public void The_command_line_takes_everything_it_does_not_say_from_the_origin()
    {
        var given = new Dictionary<string, string> { ["--branch-from"] = Path.Combine(_folder.PathOf("origin"), "checkpoints", "step-00000008"), ["--lr"] = "0.5" };
        TrainingSettings settings = TrainingSettings.Load(null, given.ToDictionary(
            pair => TrainingSettings.Definitions.Single(definition => definition.Name == pair.Key), IReadOnlyList<string> (pair) => [pair.Value]));
        Assert.That((settings.Lr, settings.Layers, settings.Steps, settings.CheckpointEvery), Is.EqualTo((0.5, 1, 12, 4)));
    }

    [Test]
    public void What_cannot_be_a_branch_is_refused()
    {
        Refused(Branch("b", 8) with { BranchFrom = _folder.PathOf("nowhere") }, "neither a run nor one of its checkpoints");
        Refused(Branch("b", 8) with { Steps = 8 }, "has taken all of --steps 8");
        Refused(Branch("b", 8) with { Seed = 2 }, "--seed 2 is not that of the run");
        Refused(Branch("b", 8) with { Regularizer = "max-norm", NormTarget = 1 }, "no norms of rows");
        Refused(Branch("b", 8) with { Optimizer = "sgd" }, "the number of moments 1, but found 2");
        Assert.That(Directory.Exists(_folder.PathOf("b")), Is.False, "a refused request leaves nothing behind");
    }

    private TrainingSettings Branch(string name, int step) => _settings with
    {
        Run = _folder.PathOf(name),
        BranchFrom = Path.Combine(_folder.PathOf("origin"), "checkpoints", $"step-{step:D8}"),
    };

    private string FileAt(string run, int step, string file) => Path.Combine(_folder.PathOf(run), "checkpoints", $"step-{step:D8}", file);

    private static void Refused(TrainingSettings settings, string message) =>
        Assert.That(() => Train(settings), Throws.TypeOf<RequestException>().With.Message.Contains(message));

    private static void Train(TrainingSettings settings)
    {
        using var data = TrainingData.Open(settings);
        using var backend = new CpuBackend(threads: 1);
        using var run = TrainingRun.Open(settings, data, backend);
        run.Train(new TrainingRecorder());
    }
}
