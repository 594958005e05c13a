using Trainer.Checkpoints;
using Trainer.Compute;
using Trainer.Cpu;
using Trainer.Cuda;
using Trainer.Model;
using Trainer.Tests.Training;
using Trainer.Training;

namespace Trainer.Tests.Cuda;

/// <summary>Whole training runs on the simulated GPU, beside those of the CPU.</summary>
[Category("Device")]
public sealed class CudaTrainingTests
{
    private const int LaunchFailed = 719, OutOfMemory = 2, DeviceLost = 46;

    private TemporaryFolder _folder = null!;
    private TrainingSettings _settings = null!;

    [SetUp]
    public void SetUp()
    {
        SimulatedDriver.Require();
        _folder = new TemporaryFolder();
        SmallCorpus.Prepare(_folder);
        _settings = new TrainingSettings
        {
            Data = _folder.PathOf("data"),
            Layers = 2,
            Heads = 2,
            Channels = 128,
            SeqLen = 16,
            BatchSize = 2,
            TotalBatchTokens = 64,
            Steps = 20,
            Lr = 3e-3,
            EvalEvery = 0,
            CheckpointEvery = 0,
            SampleEvery = 0,
        };
    }

    [TearDown]
    public void TearDown()
    {
        if (_folder is null)
            return;
        _folder.Dispose();
        Assert.That(SimulatedDriver.LiveObjects(), Is.Empty);
    }

    // fp32 differs from the CPU by the order of its sums alone; bf16 keeps 8 bits of every activation.
    [TestCase("fp32", "decay", 1e-4)]
    [TestCase("fp32", "norm-control", 1e-4)]
    [TestCase("bf16-mixed", "decay", 0.02)]
    [TestCase("bf16-mixed", "norm-control", 0.02)]
    public void Twenty_steps_follow_those_of_the_cpu(string precision, string regularizer, double relative)
    {
        // Where the loss falls by a tenth in a step, two runs that round differently are a part of a step apart: at a rate of 3e-3, up to 2.2 % in bf16.
        var settings = _settings with
        {
            Lr = 1e-3,
            Regularizer = regularizer,
            NormTarget = regularizer == "norm-control" ? 1.5 : null,
            NormRate = 0.5,
            NormRampSteps = 5,
        };
        var cpu = TrainOnCpu(settings with { Run = _folder.PathOf("cpu") });
        var gpu = Train(settings with { Run = _folder.PathOf("gpu") }, Options(precision));
        Assert.That(gpu.Steps, Has.Count.EqualTo(20));
        Assert.That(cpu.Steps[^1].Loss, Is.LessThan(cpu.Steps[0].Loss - 1), "there is something to follow");
        for (int i = 0; i < 20; i++)
        {
            Assert.That(gpu.Steps[i].Loss, Is.EqualTo(cpu.Steps[i].Loss).Within(100 * relative).Percent, $"loss of step {i + 1}");
            Assert.That(gpu.Steps[i].WeightNorm, Is.EqualTo(cpu.Steps[i].WeightNorm).Within(100 * relative).Percent, $"norm after step {i + 1}");
        }
    }

    [Test]
    public void Micro_batches_of_any_size_make_the_same_step()
    {
        var recorders = new[] { 8, 4, 2 }.Select(b => Train(
            _settings with { Run = _folder.PathOf($"b{b}"), BatchSize = b, TotalBatchTokens = 8 * 16, Steps = 1, DataOrder = "sequential" }, Options("fp32"))).ToList();
        var whole = recorders[0].Steps[0];
        foreach (var parts in recorders.Skip(1).Select(recorder => recorder.Steps[0]))
        {
            // The same rows in sums of another order: 4 √128 roundings of 2⁻²⁴ are 2.7e-6.
            Assert.That(parts.Loss, Is.EqualTo(whole.Loss).Within(2.7e-6 * whole.Loss));
            Assert.That(parts.GradientNorm, Is.EqualTo(whole.GradientNorm).Within(2.7e-6 * whole.GradientNorm));
        }
    }

    [TestCase("bf16-mixed", "norm-control")]
    [TestCase("bf16-pure-stochastic", "decay")]
    public void A_resumed_run_has_the_bytes_of_one_that_was_not_interrupted(string precision, string regularizer)
    {
        var settings = _settings with
        {
            Regularizer = regularizer,
            NormTarget = regularizer == "norm-control" ? 1.5 : null,
            Steps = 8,
            CheckpointEvery = 4,
            EvalEvery = 3,
            EvalBatches = 1,
        };
        Train(settings with { Run = _folder.PathOf("straight") }, Options(precision));
        Assert.That(
            () => Train(settings with { Run = _folder.PathOf("killed") }, Options(precision), new TrainingRecorder { AfterStep = TrainingRecorder.KillAt(6) }),
            Throws.TypeOf<KilledException>());
        Train(settings with { Run = _folder.PathOf("killed"), Resume = true }, Options(precision));
        AssertSameCheckpoint("straight", "killed", step: 8);
    }

    [TestCase("bf16-mixed")]
    [TestCase("fp32")]
    public void A_graph_replays_what_single_launches_do(string precision)
    {
        var settings = _settings with { Regularizer = "norm-control", NormTarget = 1.5, Steps = 4 };
        Train(settings with { Run = _folder.PathOf("graph") }, Options(precision));
        Train(settings with { Run = _folder.PathOf("single") }, Options(precision) with { UsesGraphs = false });
        AssertSameCheckpoint("graph", "single", step: 4);
    }

    [Test]
    public void Nothing_depends_on_when_the_device_does_its_work()
    {
        SimulatedDriver.RequireSimulated();
        var settings = _settings with { Steps = 4, CheckpointEvery = 2 };
        Train(settings with { Run = _folder.PathOf("eager") }, Options("bf16-mixed"));
        SimulatedDriver.SetLazy(true);
        try
        {
            Train(settings with { Run = _folder.PathOf("lazy") }, Options("bf16-mixed"));
        }
        finally
        {
            SimulatedDriver.SetLazy(false);
        }

        AssertSameCheckpoint("eager", "lazy", step: 4);
    }

    [Test]
    public void A_run_goes_from_the_cpu_to_the_gpu_and_back()
    {
        var settings = _settings with { Steps = 9, Run = _folder.PathOf("moved") };
        var whole = TrainOnCpu(settings with { Run = _folder.PathOf("stayed") });
        var steps = TrainOnCpu(settings with { Steps = 3, LrDecaySteps = 9, WarmupSteps = 0 }).Steps;
        steps = [.. steps, .. Train(settings with { Steps = 6, LrDecaySteps = 9, WarmupSteps = 0, Resume = true }, Options("fp32")).Steps];
        steps = [.. steps, .. TrainOnCpu(settings with { LrDecaySteps = 9, WarmupSteps = 0, Resume = true }).Steps];
        Assert.That(steps.Select(step => step.Step), Is.EqualTo(Enumerable.Range(1, 9)));
        for (int i = 0; i < 9; i++)
            Assert.That(steps[i].Loss, Is.EqualTo(whole.Steps[i].Loss).Within(0.01).Percent, $"loss of step {i + 1}");
    }

    [TestCase(Recompute.GeluLayerNorm)]
    [TestCase(Recompute.Block)]
    public void Activations_that_are_computed_again_give_the_same_step(Recompute recompute)
    {
        string name = recompute == Recompute.Block ? "block" : "gelu-layernorm";
        var kept = Train(_settings with { Run = _folder.PathOf("kept"), Layers = 3, Steps = 3 }, Options("fp32"));
        var again = Train(_settings with { Run = _folder.PathOf("again"), Layers = 3, Steps = 3, Recompute = name }, Options("fp32"));
        for (int i = 0; i < 3; i++)
            Assert.That(again.Steps[i].GradientNorm, Is.EqualTo(kept.Steps[i].GradientNorm).Within(1e-4).Percent);
        Assert.That(again.Plan!.Memory.ActivationBytes, Is.LessThan(kept.Plan!.Memory.ActivationBytes));
    }

    [Test]
    public void A_step_allocates_no_managed_memory()
    {
        var settings = (_settings with { Run = _folder.PathOf("run"), Steps = 100, Regularizer = "norm-control", NormTarget = 1.5 }).WithDefaults();
        using var data = TrainingData.Open(settings);
        using var backend = new CudaBackend(Options("bf16-mixed"));
        using var run = TrainingRun.Open(settings, data, backend);
        for (int i = 0; i < 3; i++)
            run.Step();
        long fewest = long.MaxValue;
        for (int attempt = 0; attempt < 5 && fewest > 0; attempt++)
        {
            long before = GC.GetAllocatedBytesForCurrentThread();
            run.Step();
            fewest = Math.Min(fewest, GC.GetAllocatedBytesForCurrentThread() - before);
        }

        Assert.That(fewest, Is.Zero);
    }

    [Test]
    public void A_failed_device_ends_the_run_with_its_words_and_leaves_the_last_checkpoint([Values(LaunchFailed, DeviceLost)] int code)
    {
        SimulatedDriver.RequireSimulated();
        var settings = _settings with { Run = _folder.PathOf("run"), CheckpointEvery = 4 };
        var error = WithFailures(() => Assert.Throws<RunFailedException>(() => Train(settings, Options("bf16-mixed"), new TrainingRecorder
        {
            AfterStep = step => SimulatedDriver.SetFailures(step == 6 ? $"cuLaunchKernel:5=~{code}" : string.Empty),
        })));
        Assert.That(error!.Message, Does.Contain("step-00000004").And.Match(@"cu\w+ failed: CU(DA_ERROR|BLAS_STATUS)_\w+ \(\d+\), "));
        Assert.That(Checkpoint.Open(new CheckpointStore(Path.Combine(settings.Run, "checkpoints")).FindNewest()!).Step, Is.EqualTo(4));

        // The next process goes on.
        Assert.That(Train(settings with { Resume = true, Steps = 6 }, Options("bf16-mixed")).Steps.Select(step => step.Step), Is.EqualTo(new[] { 5, 6 }));
    }

    [Test]
    public void Memory_that_runs_out_at_any_allocation_is_said_and_given_back()
    {
        SimulatedDriver.RequireSimulated();
        var settings = _settings with { Run = _folder.PathOf("whole"), Steps = 2 };
        foreach (string call in new[] { "cuMemAlloc_v2", "cuMemHostAlloc" })
        {
            long before = SimulatedDriver.Calls(call);
            Train(settings with { Run = _folder.PathOf(call) }, Options("bf16-mixed"));
            long calls = SimulatedDriver.Calls(call) - before;
            Assert.That(calls, Is.Positive);
            for (int nth = 1; nth <= calls; nth++)
            {
                string run = _folder.PathOf($"{call}-{nth}");
                SimulatedDriver.SetFailures($"{call}:{nth}={OutOfMemory}");
                var error = WithFailures(() => Assert.Catch(() => Train(settings with { Run = run }, Options("bf16-mixed"))));
                Assert.That(error, Is.InstanceOf<DeviceFailedException>().Or.InstanceOf<OutOfMemoryException>(), $"{call} {nth}");
                Assert.That(error!.Message, Does.Contain("memory"), $"{call} {nth}");
                Assert.That(SimulatedDriver.LiveObjects(), Is.Empty, $"{call} {nth}");
            }
        }
    }

    private static CudaBackendOptions Options(string precision) =>
        new() { Precision = Precision.All.Single(known => known.Name == precision), CacheFolder = null };

    private static T WithFailures<T>(Func<T> failing)
    {
        SimulatedDriver.SetPrinting(false);
        try
        {
            return failing();
        }
        finally
        {
            // What a lost device leaves behind ends with its process.
            SimulatedDriver.Reset();
        }
    }

    private static TrainingRecorder Train(TrainingSettings settings, CudaBackendOptions options, TrainingRecorder? recorder = null)
    {
        using var backend = new CudaBackend(options);
        return Train(settings, backend, recorder);
    }

    private static TrainingRecorder TrainOnCpu(TrainingSettings settings)
    {
        using var backend = new CpuBackend(threads: 2);
        return Train(settings, backend, null);
    }

    private static TrainingRecorder Train(TrainingSettings settings, IBackend backend, TrainingRecorder? recorder)
    {
        using var data = TrainingData.Open(settings);
        using var run = TrainingRun.Open(settings, data, backend);
        recorder ??= new TrainingRecorder();
        run.Train(recorder);
        return recorder;
    }

    private void AssertSameCheckpoint(string first, string second, int step)
    {
        foreach (string file in new[] { "model.bin", "optimizer.bin", "state.json" })
        {
            byte[][] both = [.. new[] { first, second }.Select(run =>
                File.ReadAllBytes(Path.Combine(_folder.PathOf(run), "checkpoints", $"step-{step:D8}", file)))];
            Assert.That(both[1].AsSpan().SequenceEqual(both[0]), file);
        }
    }
}
