using Trainer.Cli.Profiling;
using Trainer.Compute;
using Trainer.Cuda;
using Trainer.Cuda.Profiling;
using Trainer.Profiling;
using Trainer.Training;

namespace Trainer.Tests.Cuda;

/// <summary>Profiles of the CUDA backend, on the simulated driver.</summary>
public sealed class CudaTimelineTests
{
    private CudaBackend _backend = null!;

    [OneTimeSetUp]
    public void Open()
    {
        SimulatedDriver.Require();
        if (PtxModules.All().Count == 0)
            Assert.Ignore("this build has no CUDA kernels: nvcc was not found");
        _backend = new CudaBackend(new CudaBackendOptions());
    }

    [OneTimeTearDown]
    public void Close() => _backend?.Dispose();

    [Test]
    public void Every_launch_of_a_step_is_there()
    {
        const int c = 64, rows = 16, padded = 128;
        var settings = new TrainingSettings { Layers = 1, Heads = 1, Channels = c, SeqLen = rows, BatchSize = 1 };
        StepProfile profile = StepProfiler.Run(_backend, settings, vocabulary: 30, steps: 1, () => new Roofline(1e9, 1e9), CancellationToken.None);
        IReadOnlyList<OperationRow> rowsByName = profile.ByName();
        ProfiledStep step = profile.Steps.Single();
        Assert.Multiple(() =>
        {
            foreach (string name in new[]
            {
                "copy to device", "fill", "embedding_forward", "layernorm_forward", "residual_layernorm_forward", "attention_forward",
                "softmax_cross_entropy", "mean", "layernorm_backward", "layernorm_backward_reduce", "attention_backward", "embedding_backward_positions",
                "embedding_sort_tokens", "square_sums", "sum_chunks", "before_step", "adam_update", "after_step",
            })
            {
                Assert.That(rowsByName.Select(row => row.Operation), Has.Some.StartsWith(name));
            }

            // Each linear layer three times, whoever does it: at least 2 R N K operations, tiles being more.
            var linear = profile.BySize().Where(row => row.Sizes.Split('x').Length == 3 && row.Sizes.StartsWith($"{rows}x", StringComparison.Ordinal));
            double products = linear.Sum(row => row.Flops);
            Assert.That(products, Is.AtLeast(3 * 2.0 * rows * ((12 * c * c) + (padded * c))));
            Assert.That(rowsByName.Sum(row => row.Share), Is.EqualTo(1).Within(1e-12));
            Assert.That(profile.HostSeconds, Is.Positive.And.AtMost(profile.StepSeconds));
            Assert.That(step.Host.Select(call => call.Cost.Operation), Does.Contain("LinearForward").And.Contain("AttentionBackward"));

            // One after the other, and all within the step, by the clock of the host.
            Assert.That(step.Device.Zip(step.Device.Skip(1), (first, second) => second.Start - first.End), Has.All.AtLeast(0));
            Assert.That(step.Device[0].Start, Is.AtLeast(step.Whole.Start - Resolution));
            Assert.That(step.Device[^1].End, Is.AtMost(step.Whole.Start + step.Whole.Seconds + Resolution));
            Assert.That(_backend.LaunchObserver, Is.Null);
            Assert.That(_backend.LiveAllocations, Is.Zero);
        });
    }

    [Test]
    public void Launches_get_the_sizes_of_their_operation_and_the_cost_of_the_kernel()
    {
        var clock = new ProfileClock();
        var host = new HostTimeline(_backend, clock);
        using var device = new CudaTimeline(_backend, clock, host);
        Tensor values = _backend.Allocate(ElementType.BFloat16, new Shape(4, 64)), floats = _backend.Allocate(ElementType.Float32, new Shape(4, 64));
        try
        {
            host.Begin();
            device.Begin();
            _backend.Zero(values);
            _backend.Convert(floats, values);
            TimedOperation[] launches = [.. device.End()];
            _backend.Zero(values);
            TimedOperation[] calls = [.. host.End()];
            Assert.That(launches.Select(launch => launch.Cost.Sizes), Is.EqualTo(new[] { new Shape(4, 64), new Shape(4, 64) }));
            Assert.That(launches[0].Cost, Is.EqualTo(new OperationCost("fill", new Shape(4, 64), 512, 0)));
            Assert.That(launches[1].Cost, Is.EqualTo(new OperationCost("cast_to_float", new Shape(4, 64), 512 + 1024, 0)));
            Assert.That(calls.Select(call => call.Cost.Operation), Is.EqualTo(new[] { "Zero", "Convert", "Zero" }));
        }
        finally
        {
            _backend.Free(values);
            _backend.Free(floats);
        }
    }

    [Test]
    public void Without_a_profiler_marks_do_nothing()
    {
        var marks = new ProfilerMarks(usesDriver: true);
        Assert.DoesNotThrow(() =>
        {
            marks.StartRecording();
            marks.Push(new string('ä', 1000));
            marks.Pop();
            marks.StopRecording();
        });
    }

    // Of differences of events on the driver, in seconds: half a microsecond, and a millisecond's last bits as a float.
    private const double Resolution = 2e-6;
}
