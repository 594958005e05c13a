using Trainer.Checkpoints;
using Trainer.Cli;
using Trainer.Compute;
using Trainer.Cpu;
using Trainer.Metrics;
using Trainer.Tests.Compute;
using Trainer.Training;

namespace Trainer.Tests.Training;

/// <summary>Whole runs with fewer bits on a CPU.</summary>
public sealed class PrecisionRunTests
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
            Data = _folder.PathOf("data"), Device = "cpu", Layers = 1, Heads = 2, Channels = 32, SeqLen = 16, BatchSize = 2, TotalBatchTokens = 64, Steps = 12,
            Lr = 3e-3, EvalEvery = 6, EvalBatches = 1, CheckpointEvery = 6, SampleEvery = 0, Threads = 2,
        };
    }

    [TearDown]
    public void TearDown() => _folder.Dispose();

    [TestCase("bf16-pure", "decay")]
    [TestCase("bf16-pure-stochastic", "decay")]
    [TestCase("bf16-pure-stochastic", "norm-control")]
    [TestCase("mantissa:3", "decay")]
    public void Resumed_run_has_the_bytes_of_one_that_was_not_interrupted(string precision, string regularizer)
    {
        var settings = _settings with { Precision = precision, Regularizer = regularizer, NormTarget = regularizer == "decay" ? null : 1.5, NormRampSteps = 8 };
        Train(settings with { Run = _folder.PathOf("straight") });
        Assert.That(() => Train(settings with { Run = _folder.PathOf("killed") }, killAt: 9), Throws.TypeOf<KilledException>());
        Train(settings with { Run = _folder.PathOf("killed"), Resume = true });
        foreach (string file in new[] { "model.bin", "optimizer.bin", "state.json", "digests.json" })
            Assert.That(Bytes("killed", file).AsSpan().SequenceEqual(Bytes("straight", file)), Is.True, file);

        List<StepMetrics> Steps(string run) => [.. MetricsReader.Read(Path.Combine(_folder.PathOf(run), "metrics.jsonl")).Where(line => line.Training is not null).Select(line => line.Training!.Value)];
        double[] lost = [.. Steps("straight").Select(step => step.LostUpdates)];
        Assert.That(Steps("killed").Select(step => step.LostUpdates), Is.EqualTo(lost));
        if (precision == "mantissa:3")
        {
            Assert.That(lost, Is.All.NaN);
            return;
        }

        // The learning rate falls to a tenth: more and more changes are less than half of the distance between bf16 numbers.
        Assert.That(lost, Is.All.InRange(0, 1));
        Assert.That(lost[^1], Is.GreaterThan(lost[1]).And.GreaterThan(0.01));
    }

    [Test]
    public void Weights_are_bf16_numbers_from_the_beginning()
    {
        // Steps of 1e-30 leave every weight but those that begin at zero, the biases.
        _settings = _settings with { Precision = "bf16-pure", Steps = 1, Lr = 1e-30, Run = _folder.PathOf("still"), WeightDecay = 0 };
        Train(_settings);
        Train(_settings with { Precision = "fp32", Run = _folder.PathOf("exact") });
        float[] pure = [.. Weights("still").Where(IsWeight)], exact = [.. Weights("exact").Where(IsWeight)];
        Assert.That(pure, Is.EqualTo(exact.Rounded()).And.Not.EqualTo(exact));

        static bool IsWeight(float value) => Math.Abs(value) > 1e-20;
    }

    [Test]
    public void All_bits_of_mantissa_make_the_run_of_fp32()
    {
        foreach (string precision in new[] { "fp32", "mantissa:23", "mantissa:22" })
            Train(_settings with { Precision = precision, Run = _folder.PathOf(precision) });
        Assert.That(Bytes("mantissa:23", "model.bin"), Is.EqualTo(Bytes("fp32", "model.bin")));
        Assert.That(Bytes("mantissa:22", "model.bin"), Is.Not.EqualTo(Bytes("fp32", "model.bin")));
    }

    [Test]
    public void A_precision_that_a_device_has_not_is_refused()
    {
        Assert.That(() => Devices.Open("cuda", "mantissa:7"), Throws.TypeOf<RequestException>().With.Message.EqualTo(
            "--precision mantissa:7 is not available on a GPU; use --device cpu."));
        Assert.That(() => Devices.Open("cpu", "mantissa:24"), Throws.TypeOf<RequestException>().With.Message.Contains("1 to 23"));
        foreach (string name in new[] { "tf32", "bf16-mixed" })
            Assert.That(() => Devices.Open("cpu", name), Throws.TypeOf<RequestException>().With.Message.Contains("needs a GPU"));
        Assert.That(() => new CpuBackend(1, precision: Precision.BFloat16Pure), Throws.ArgumentException);
        using IBackend pure = Devices.Open("cpu", "bf16-pure-stochastic", threads: 1);
        Assert.That(pure.Description, Does.EndWith("1 thread, bf16-pure-stochastic emulated"));
        Assert.That(pure.Precision.Name, Is.EqualTo("bf16-pure-stochastic"));
    }

    [Test]
    public void Settings_know_the_names()
    {
        (_settings with { Precision = "mantissa:7" }).Validate();
        Assert.That(() => (_settings with { Precision = "mantissa:x" }).Validate(), Throws.TypeOf<RequestException>().With.Message.Contains("--precision"));
        Assert.That(() => (_settings with { Precision = "mantissa" }).Validate(), Throws.TypeOf<RequestException>());
    }

    private byte[] Bytes(string run, string file) =>
        File.ReadAllBytes(Path.Combine(_folder.PathOf(run), "checkpoints", $"step-{_settings.Steps:00000000}", file));

    // All weights of the only checkpoint of a run.
    private float[] Weights(string run)
    {
        using var backend = new CpuBackend(1);
        var source = ModelSource.Open(_folder.PathOf(run));
        var layout = new Trainer.Model.ParameterLayout(source.Config);
        var weights = backend.Allocate(ElementType.Float32, new Shape((int)layout.Count));
        source.Load(backend, weights);
        var values = new float[layout.Count];
        backend.Download(weights, values.AsSpan());
        return values;
    }

    private static void Train(TrainingSettings settings, long killAt = -1)
    {
        using var data = TrainingData.Open(settings);
        using var backend = Devices.Open(settings.Device, settings.Precision, settings.Threads, settings.Isa, settings.Seed);
        using var run = TrainingRun.Open(settings, data, backend);
        run.Train(new TrainingRecorder { AfterStep = TrainingRecorder.KillAt(killAt) });
    }
}
