using Trainer.Cpu;
using Trainer.Experiments;
using Trainer.Reports;
using Trainer.Tests.Training;
using Trainer.Training;

namespace Trainer.Tests.Experiments;

public sealed class LabRunnerTests
{
    private TemporaryFolder _folder = null!;
    private TrainingSettings _common = null!;

    [SetUp]
    public void SetUp()
    {
        _folder = new TemporaryFolder();
        SmallCorpus.Prepare(_folder);
        _common = new TrainingSettings
        {
            Data = _folder.PathOf("data"), Layers = 1, Heads = 2, Channels = 16, SeqLen = 16, BatchSize = 2, Steps = 6, Lr = 3e-3,
            EvalEvery = 6, EvalBatches = 2, CheckpointEvery = 2, SampleEvery = 0, Threads = 1, Device = "cpu",
        };
    }

    [TearDown]
    public void TearDown() => _folder.Dispose();

    [TestCase(1)]
    [TestCase(3)]
    public void Every_arm_runs_for_every_seed_after_those_it_builds_on(int jobs)
    {
        var recorder = new Recorder();
        ExperimentResults results = Runner(jobs, recorder).Run(Pair(), 2, CancellationToken.None);
        Assert.That(results.Runs.Select(run => (run.Arm, run.Seed)), Is.EqualTo(new[] { ("decay", 1UL), ("decay", 2UL), ("control", 1UL), ("control", 2UL) }));
        Assert.That(recorder.Finished.Select(entry => entry.Done).Max(), Is.EqualTo(4));
        foreach (int seed in new[] { 0, 1 })
            Assert.That(results.Values("control", Measure.NormRatio)[seed], Is.EqualTo(results.Values("decay", Measure.NormRatio)[seed]).Within(1e-6));
        Assert.That(results.Values("decay", Measure.ValidationLoss)[0], Is.Not.EqualTo(results.Values("decay", Measure.ValidationLoss)[1]), "seeds differ");
    }

    [Test]
    public void What_is_finished_is_not_run_again_and_other_settings_are_refused()
    {
        Runner(1, new Recorder()).Run(Pair(), 1, CancellationToken.None);
        var recorder = new Recorder();
        Runner(1, recorder).Run(Pair(), 1, CancellationToken.None);
        Assert.That(recorder.Finished.Select(entry => entry.Elapsed), Is.All.EqualTo(TimeSpan.Zero));
        _common = _common with { Lr = 1e-3 };
        Assert.That(() => Runner(1, new Recorder()).Run(Pair(), 1, CancellationToken.None), Throws.TypeOf<RequestException>().With.Message.Contains("other settings"));
    }

    [Test]
    public void An_interrupted_experiment_goes_on_to_the_same_end()
    {
        double whole = Runner(1, new Recorder(), "whole").Run(Pair(), 1, CancellationToken.None).Values("control", Measure.ValidationLoss)[0];
        using var stop = new CancellationTokenSource();
        var recorder = new Recorder { AfterFirst = stop.Cancel };
        Assert.That(() => Runner(1, recorder, "cut").Run(Pair(), 1, stop.Token), Throws.InstanceOf<OperationCanceledException>());
        Assert.That(Runner(1, recorder, "cut").Load(Pair()), Is.Null);
        Assert.That(Runner(1, new Recorder(), "cut").Run(Pair(), 1, CancellationToken.None).Values("control", Measure.ValidationLoss)[0], Is.EqualTo(whole));
        Assert.That(Runner(1, recorder, "cut").Load(Pair())!.Seeds, Is.EqualTo(new[] { 1UL }));
    }

    [Test]
    public void A_run_that_fails_ends_the_experiment_with_its_reason()
    {
        Experiment broken = Pair() with { Arms = [new TrainingArm("bad", x => x.Common with { Regularizer = "norm-control" })] };
        Assert.That(() => Runner(2, new Recorder()).Run(broken, 1, CancellationToken.None), Throws.TypeOf<RequestException>().With.Message.Contains("--norm-target"));
    }

    [Test]
    public void The_report_has_claim_verdicts_numbers_and_the_command()
    {
        ExperimentResults results = Runner(1, new Recorder()).Run(Pair(), 2, CancellationToken.None);
        using var page = new StringWriter();
        HtmlReport.Write(LabReport.Of(results, "trainer lab run T1"), page);
        Assert.That(page.ToString(), Does.Contain("The claim.").And.Contain("They end at the same norm.").And.Contain("trainer lab run T1").And.Contain("control"));
        HtmlReport.Write(LabReport.Overview([results]), page);
        Assert.That(LabReport.VerdictsOf(results).Items.Single().Outcome, Is.EqualTo(Outcome.Seen));
    }

    private static Experiment Pair() => new("T1", "a pair", "The claim.", "nobody")
    {
        Setting = "small",
        Arms =
        [
            new TrainingArm("decay", x => x.Common with { WeightDecay = 1 }),
            new TrainingArm("control", x => x.Common with { Regularizer = "norm-control", NormTarget = x.Of("decay").Last("normRatio"), NormRate = 1, NormRampSteps = 0 }) { After = ["decay"] },
        ],
        Expectations =
        [
            new("They end at the same norm.", r =>
            {
                Sample difference = r.Difference("control", "decay", Measure.NormRatio);
                return new(Judge.Inside(difference.Values, -1e-6, 1e-6), difference.Text());
            }),
        ],
    };

    private LabRunner Runner(int jobs, ILabObserver observer, string output = "lab") =>
        new(_folder.PathOf(output), _common, jobs, _ => new CpuBackend(threads: 1), observer);

    private sealed class Recorder : ILabObserver
    {
        private readonly Lock _lock = new();

        public List<(string Arm, TimeSpan Elapsed, int Done)> Finished { get; } = [];

        public Action? AfterFirst { get; init; }

        void ILabObserver.Finished(FinishedRun run, TimeSpan elapsed, int done, int total)
        {
            lock (_lock)
                Finished.Add((run.Arm, elapsed, done));
            AfterFirst?.Invoke();
        }
    }
}
