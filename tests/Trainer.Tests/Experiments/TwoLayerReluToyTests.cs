using Trainer.Experiments;

namespace Trainer.Tests.Experiments;

public sealed class TwoLayerReluToyTests
{
    private static readonly TwoLayerReluOptions Short = new() { LearningRate = 0.01, Steps = 400, DropStep = 300, Width = 20 };

    /// <summary>
    /// Along one coordinate the loss is quadratic between kinks, so that differences have no error but rounding: eps · loss / h = 1e-12 and eps · loss / h²
    /// = 1e-8 at h = 1e-4, the loss being of order 1, and some times more for sums over 20 samples.
    /// </summary>
    [TestCase(ReluTask.Regression)]
    [TestCase(ReluTask.TeacherStudent)]
    public void Gradient_and_trace_agree_with_finite_differences(ReluTask task)
    {
        const double h = 1e-4;
        var (train, _) = ReluSamples.Draw(Short with { Task = task });
        var network = new TwoLayerRelu(train.Dimension, Short.Width);
        double[] parameters = network.Initialize(new CounterRandom(1, 1));
        var gradient = new double[network.Count];
        double loss = 0;
        for (int i = 0; i < train.Count; i++)
            loss += network.AddGradient(parameters, train.Input(i), train.Targets[i], 1.0 / train.Count, gradient) / train.Count;
        double centre = network.Loss(parameters, train);
        double trace = 0;
        Assert.Multiple(() =>
        {
            Assert.That(loss, Is.EqualTo(centre).Within(1e-14));
            for (int i = 0; i < network.Count; i++)
            {
                double kept = parameters[i];
                parameters[i] = kept + h;
                double ahead = network.Loss(parameters, train);
                parameters[i] = kept - h;
                double behind = network.Loss(parameters, train);
                parameters[i] = kept;
                Assert.That((ahead - behind) / (2 * h), Is.EqualTo(gradient[i]).Within(1e-11), $"parameter {i}");
                trace += (ahead + behind - (2 * centre)) / (h * h);
            }

            Assert.That(network.HessianTrace(parameters, train), Is.EqualTo(trace).Within(1e-7 * network.Count));
            Assert.That(gradient.Max(Math.Abs), Is.GreaterThan(0.05), "the slopes are large enough to tell");
        });
    }

    /// <summary>Away from kinks, in a network at its start, the estimate of the trace is the exact one.</summary>
    [Test]
    public void Trace_is_what_probes_find()
    {
        var (train, _) = ReluSamples.Draw(Short);
        var network = new TwoLayerRelu(train.Dimension, Short.Width);
        double[] parameters = network.Initialize(new CounterRandom(1, 1));
        var options = new HessianTraceOptions { Probes = 1000, RelativeStep = 1e-6 };
        var estimate = HessianTrace.Estimate<double>(parameters, Gradient, options);
        double trace = network.HessianTrace(parameters, train);
        Assert.That(estimate.Trace, Is.EqualTo(trace).Within(4 * estimate.StandardError));
        Assert.That(4 * estimate.StandardError, Is.LessThan(0.2 * trace), "the tolerance is small enough to tell");

        void Gradient(ReadOnlySpan<double> at, Span<double> gradient)
        {
            gradient.Clear();
            for (int i = 0; i < train.Count; i++)
                network.AddGradient(at, train.Input(i), train.Targets[i], 1.0 / train.Count, gradient);
        }
    }

    /// <summary>Gradient descent does not raise a loss whose curvature, at most its trace of about 20, stays below 2/η = 2000.</summary>
    [Test]
    public void Whole_batches_of_small_steps_descend()
    {
        var losses = new List<double>();
        new TwoLayerReluToy(Short with { BatchSize = 20, LearningRate = 1e-3 }).Run(point => losses.Add(point.TrainLoss), points: 400);
        Assert.That(losses, Has.Count.EqualTo(400));
        Assert.That(losses, Is.Ordered.Descending);
        Assert.That(losses[^1], Is.LessThan(0.9 * losses[0]));
    }

    [Test]
    public void Rate_drops_once()
    {
        var points = new List<TwoLayerReluPoint>();
        new TwoLayerReluToy(Short with { DropFactor = 0.25 }).Run(points.Add, points: 400);
        Assert.That(points.Select(point => point.LearningRate), Is.EqualTo(points.Select(point => point.Step <= 300 ? 0.01 : 0.0025)));
    }

    /// <summary>
    /// With a rate so small that the gradient hardly counts, decay takes 1 - ηλ in each step: η times a gradient of order 1, 400 times, is 4e-7 beside a
    /// norm of some 6.
    /// </summary>
    [TestCase(0.0)]
    [TestCase(1e6)]
    public void Decay_shrinks_all_parameters(double weightDecay)
    {
        const double rate = 1e-9;
        var result = new TwoLayerReluToy(Short with { LearningRate = rate, WeightDecay = weightDecay, DropStep = long.MaxValue }).Run();
        Assert.That(result.NormRatio, Is.EqualTo(Math.Pow(1 - (rate * weightDecay), 400)).Within(4e-7));
    }

    [Test]
    public void A_rate_too_large_is_seen()
    {
        var points = new List<TwoLayerReluPoint>();
        var result = new TwoLayerReluToy(Short with { LearningRate = 10 }).Run(points.Add);
        Assert.Multiple(() =>
        {
            Assert.That(result.Diverged);
            Assert.That(result.Steps, Is.LessThan(400));
            Assert.That(points[^1].Step, Is.EqualTo(result.Steps));
            Assert.That(points.Select(point => point.Step), Is.Unique);
            Assert.That(double.IsFinite(result.WeightNorm), Is.False);
        });
    }

    [Test]
    public void Settings_alone_decide_a_run()
    {
        var first = new TwoLayerReluToy(Short).Run();
        Assert.That(first.Diverged, Is.False);
        Assert.That(new TwoLayerReluToy(Short).Run(_ => { }, points: 7), Is.EqualTo(first), "watching changes nothing");
        Assert.That(new TwoLayerReluToy(Short with { Seed = 2 }).Run(), Is.Not.EqualTo(first));
    }

    [Test]
    public void Test_samples_are_others_and_have_no_noise()
    {
        var (train, test) = ReluSamples.Draw(Short);
        Assert.Multiple(() =>
        {
            Assert.That(train.Inputs.Intersect(test.Inputs), Is.Empty);
            for (int i = 0; i < test.Count; i++)
                Assert.That(test.Targets[i], Is.EqualTo(Math.Sin(3 * test.Inputs[i])));
            Assert.That(train.Inputs.Concat(test.Inputs), Is.All.InRange(-1, 1));
        });

        // 20 errors of deviation 0.1: their root mean square is within 0.1 (1 ± 4/√40).
        double rms = Math.Sqrt(Enumerable.Range(0, 20).Average(i => Math.Pow(train.Targets[i] - Math.Sin(3 * train.Inputs[i]), 2)));
        Assert.That(rms, Is.EqualTo(0.1).Within(0.1 * 4 / Math.Sqrt(40)));
    }

    [Test]
    public void Grids_are_made_of_runs_that_end_at_one_rate()
    {
        foreach (var task in Enum.GetValues<ReluTask>())
        {
            var grid = TwoLayerReluOptions.Grid(task, seed: 3);
            Assert.That(grid, Has.Count.EqualTo(10));
            Assert.That(grid.Select(run => run.LearningRate * run.DropFactor), Is.All.EqualTo(1e-3).Within(1e-15));
            Assert.That(grid.Select(run => run.Validated().Seed), Is.All.EqualTo(3));
        }
    }

    [Test]
    public void Impossible_settings_are_refused()
    {
        Assert.Multiple(() =>
        {
            foreach (var options in new[]
            {
                Short with { Width = 0 }, Short with { LearningRate = -1 }, Short with { WeightDecay = -1 }, Short with { WeightDecay = 100 },
                Short with { Steps = 0 }, Short with { DropStep = 0 }, Short with { DropFactor = 0 }, Short with { BatchSize = 0 },
                Short with { TrainSamples = 0 }, Short with { LabelNoise = -1 },
            })
            {
                Assert.That(() => new TwoLayerReluToy(options), Throws.TypeOf<RequestException>(), options.ToString());
            }
        });
    }
}
