using Trainer.Checkpoints;
using Trainer.Cpu;
using Trainer.Experiments;
using Trainer.Metrics;
using Trainer.Tests.Training;
using Trainer.Training;

namespace Trainer.Tests.Experiments;

public sealed class ChallengeTests
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
            Data = _folder.PathOf("data"), Layers = 1, Heads = 2, Channels = 16, SeqLen = 16, BatchSize = 2, Steps = 20, Lr = 3e-3, WeightDecay = 2,
            EvalEvery = 0, CheckpointEvery = 0, SampleEvery = 0, Threads = 1, Run = _folder.PathOf("run"), DecayGroup = ["wpe.weight=none", "wte.weight=1"],
        };
    }

    [TearDown]
    public void TearDown() => _folder.Dispose();

    [Test]
    public void The_challenger_ends_at_the_norm_of_the_run_on_the_same_data()
    {
        Train(_settings);
        var challenge = Challenge.Of(_folder.PathOf("run"), _folder.PathOf("challenger"), rate: 1, replaysNorm: false);
        Assert.That(challenge.Settings.DecayGroup, Is.EqualTo(new[] { "wpe.weight=none" }));
        Train(challenge.Settings);
        StepMetrics[] run = Steps("run"), challenger = Steps("challenger");
        Assert.That(challenger[^1].NormRatio, Is.EqualTo(run[^1].NormRatio).Within(1e-6));
        Assert.That(challenger[0].Loss, Is.EqualTo(run[0].Loss), "the first step is of the same weights and tokens");
    }

    [Test]
    public void A_replayed_norm_is_that_of_the_run_at_every_step()
    {
        Train(_settings);
        Train(Challenge.Of(_folder.PathOf("run"), _folder.PathOf("challenger"), rate: 1, replaysNorm: true).Settings);
        Assert.That(Steps("challenger").Select(step => step.NormRatio), Is.EqualTo(Steps("run").Select(step => step.NormRatio)).Within(1e-6));
    }

    [Test]
    public void A_replayed_effective_rate_is_that_of_the_run_at_every_step()
    {
        Train(_settings);
        Train(_settings with { Run = _folder.PathOf("replayed"), Regularizer = "none", WeightDecay = null, LrSchedule = "replay", ReplayRun = _folder.PathOf("run") });
        StepMetrics[] run = Steps("run"), replayed = Steps("replayed");
        for (int i = 1; i < run.Length; i++)
            Assert.That(replayed[i].LearningRate / replayed[i - 1].WeightNorm, Is.EqualTo(run[i].LearningRate / run[i - 1].WeightNorm).Within(1e-9).Percent);
        Assert.That(() => Train(_settings with { Run = _folder.PathOf("longer"), Steps = 21, LrSchedule = "replay", ReplayRun = _folder.PathOf("run") }),
            Throws.TypeOf<RequestException>().With.Message.Contains("has 20 steps, but --steps 21").And.Message.Contains("at most --steps 20"));
    }

    [Test]
    public void The_suggested_rate_allows_an_overshoot_of_two_percent()
    {
        Train(_settings);
        StepMetrics last = Steps("run")[^1];
        var challenge = Challenge.Of(_folder.PathOf("run"), _folder.PathOf("challenger"), rate: null, replaysNorm: false);
        double rms = last.WeightNorm / Math.Sqrt(FinishedRun.Load("run", 1, _folder.PathOf("run")).RegularisedParameters);
        double overshoot = Math.Pow(3e-3 / rms, 2) / (2 * challenge.Rate);
        Assert.That(overshoot, Is.LessThanOrEqualTo(0.02));
        Assert.That(challenge.Rate == 1 || challenge.Rate == 0.01 || overshoot > 0.01, "the smallest of one digit");
    }

    [Test]
    public void What_cannot_be_challenged_is_refused()
    {
        Refused("no run");
        Train(_settings with { Regularizer = "norm-control", NormTarget = 1, WeightDecay = null, DecayGroup = [] });
        Refused("sets the norm itself");
    }

    private void Refused(string message) => Assert.That(() => Challenge.Of(_folder.PathOf("run"), _folder.PathOf("challenger"), null, false),
        Throws.TypeOf<RequestException>().With.Message.Contains(message));

    private StepMetrics[] Steps(string run) => [.. MetricsReader.Read(new RunPaths(_folder.PathOf(run)).Metrics).Select(line => line.Training).OfType<StepMetrics>()];

    private static void Train(TrainingSettings settings)
    {
        using var data = TrainingData.Open(settings);
        using var backend = new CpuBackend(threads: 1);
        using var run = TrainingRun.Open(settings, data, backend);
        run.Train(new TrainingRecorder());
    }
}
