using Trainer.Experiments;

namespace Trainer.Tests.Experiments;

public sealed class ScaleInvariantToyTests
{
    private static readonly ScaleInvariantOptions Short = new() { LearningRate = 0.32, WeightDecay = 0.008, Steps = 4688 };

    /// <summary>
    /// Central differences over 2h = 2e-5 are off by h²/6 times the third derivative, at most 50 for inputs of up to 3.5 and weights of norm 1, and by
    /// the rounding of a loss of order 1 over 2h: together below 2e-9. The gradient itself is of order 0.1.
    /// </summary>
    [Test]
    public void Gradient_agrees_with_finite_differences()
    {
        const double h = 1e-5;
        var (weights, samples, labels) = Batch();
        var gradient = new double[weights.Length];
        ScaleInvariantToy.LossAndGradient(weights, samples, labels, gradient);
        Assert.Multiple(() =>
        {
            for (int i = 0; i < weights.Length; i++)
            {
                double difference = (LossAt(i, h) - LossAt(i, -h)) / (2 * h);
                Assert.That(difference, Is.EqualTo(gradient[i]).Within(2e-9), $"weight {i}");
            }
        });
        Assert.That(gradient.Max(Math.Abs), Is.GreaterThan(0.05), "the slopes are large enough to tell");

        double LossAt(int i, double step)
        {
            var moved = (double[])weights.Clone();
            moved[i] += step;
            return ScaleInvariantToy.LossAndGradient(moved, samples, labels, new double[weights.Length]);
        }
    }

    /// <summary>A factor of two rounds nothing, so that this holds to the bit.</summary>
    [Test]
    public void Twice_the_weights_have_the_same_loss_and_half_the_gradient()
    {
        var (weights, samples, labels) = Batch();
        double[] gradient = new double[weights.Length], halved = new double[weights.Length];
        double loss = ScaleInvariantToy.LossAndGradient(weights, samples, labels, gradient);
        double[] twice = [.. weights.Select(weight => 2 * weight)];
        Assert.That(ScaleInvariantToy.LossAndGradient(twice, samples, labels, halved), Is.EqualTo(loss));
        Assert.That(halved, Is.EqualTo(gradient.Select(slope => slope / 2)));
    }

    /// <summary>η → 4 η, λ → λ/4, w → 2 w is a symmetry of SGD with decay on a scale-invariant loss: Labatie's collapse, here to the bit.</summary>
    [Test]
    public void Runs_of_the_same_rate_times_decay_are_the_same_run()
    {
        ScaleInvariantResult one = new ScaleInvariantToy(Short with { Steps = 500 }).Run();
        ScaleInvariantResult other = new ScaleInvariantToy(Short with
        {
            Steps = 500,
            LearningRate = 4 * Short.LearningRate,
            WeightDecay = Short.WeightDecay / 4,
            InitialNorm = 2,
        }).Run();
        Assert.Multiple(() =>
        {
            Assert.That(other.Loss, Is.EqualTo(one.Loss));
            Assert.That(other.Angle, Is.EqualTo(one.Angle));
            Assert.That(other.SquaredNorm, Is.EqualTo(4 * one.SquaredNorm));
            Assert.That(other.NormRatio, Is.EqualTo(one.NormRatio));
            Assert.That(other.SquaredNormToTheory, Is.EqualTo(one.SquaredNormToTheory));
            Assert.That(other.EffectiveRateToTheory, Is.EqualTo(one.EffectiveRateToTheory));
        });
    }

    /// <summary>
    /// The gradient is orthogonal to the weights, so that a step makes a right-angled triangle: |w'|² cos² angle = (1 - ηλ)² |w|². About 6 roundings
    /// for each of 64 terms, 1.1e-16 each, stay below 1e-13.
    /// </summary>
    [TestCase(0.008)]
    [TestCase(0.0)]
    public void Every_step_turns_at_a_right_angle(double weightDecay)
    {
        var options = Short with { WeightDecay = weightDecay, Steps = 1000 };
        double before = options.InitialNorm * options.InitialNorm;
        double worst = 0;
        foreach (var point in Points(options))
        {
            double kept = (1 - (options.LearningRate * weightDecay)) * (1 - (options.LearningRate * weightDecay)) * before;
            double cosine = Math.Cos(point.Angle);
            worst = Math.Max(worst, Math.Abs((point.SquaredNorm * cosine * cosine / kept) - 1));
            before = point.SquaredNorm;
        }

        Assert.That(worst, Is.LessThan(1e-13));
    }

    /// <summary>
    /// The logarithms of the triangles of the second half add up: with N steps and D the change of log |w|² over them, the mean of angle² + angle⁴/6 + ...
    /// is -2 log(1 - ηλ) + D/N. What is left over once 2ηλ, D/N and the mean of angle⁴/6 are taken out is of the order (ηλ)².
    /// </summary>
    [Test]
    public void Angle_of_a_step_in_equilibrium_is_that_of_theory()
    {
        var points = Points(Short);
        long half = Short.Steps / 2;
        double product = Short.LearningRate * Short.WeightDecay;
        double drift = Math.Log(points[^1].SquaredNorm / points[(int)half - 1].SquaredNorm) / (Short.Steps - half);
        double fourth = points.Skip((int)half).Average(point => Math.Pow(point.Angle, 4)) / 6;
        double tolerance = (Math.Abs(drift) + fourth + (2 * product * product)) / (2 * product);
        double ratio = new ScaleInvariantToy(Short).Run().AngleToTheory;
        Assert.That(ratio * ratio, Is.EqualTo(1).Within(tolerance));
        Assert.That(tolerance, Is.LessThan(0.01), "the tolerance is small enough to tell");
    }

    /// <summary>
    /// |w|² = |g̃| √(η/(2λ)) with the root mean square of g̃ that the run itself shows, |g̃| = tan(angle) (1 - ηλ) |w|²/η
    /// with |w| before the step. |w|⁴ is g̃² smoothed over
    /// 1/(4ηλ) = 98 steps; with a relative deviation of g̃² of about 0.8, |w|² has one of 0.8/2 · √(2ηλ) = 3 %, and its mean over 2344 steps, some
    /// 12 independent times, one of 0.8 %. Five of these.
    /// </summary>
    [Test]
    public void Norm_in_equilibrium_is_that_of_theory()
    {
        double shrink = 1 - (Short.LearningRate * Short.WeightDecay);
        double gradient = Math.Sqrt(Points(Short).Skip((int)(Short.Steps / 2)).Average(point =>
        {
            double cosine = Math.Cos(point.Angle);
            double before = point.SquaredNorm * cosine * cosine / (shrink * shrink);
            return Math.Pow(Math.Tan(point.Angle) * shrink * before / Short.LearningRate, 2);
        }));
        Assert.That(new ScaleInvariantToy(Short).Run().SquaredNormToTheory, Is.EqualTo(gradient / Math.Sqrt(2)).Within(0.04));
    }

    /// <summary>
    /// |w|⁴ grows as t + c, with c for what the first steps, of larger gradients, count more: at most 500 steps. Over [T/10, T] that takes
    /// (log((T+c)/T) - log((T/10+c)/(T/10))) / (2 log 10) = 0.019 from the exponent 1/2. The sum of t squared gradients has a relative error of
    /// 0.8/√t, 0.011 at T/10, and moves the exponent by about 0.002.
    /// </summary>
    [Test]
    public void Squared_norm_grows_with_the_square_root_of_time_without_decay()
    {
        var result = new ScaleInvariantToy(Short with { LearningRate = 1.28, WeightDecay = 0, Steps = 50_000 }).Run();
        Assert.That(result.GrowthExponent, Is.EqualTo(0.5).Within(0.021));
        Assert.That(result.AngleToTheory, Is.NaN);
    }

    /// <summary>The sum of 64 squares and the factor have at most some 70 roundings of 1.1e-16.</summary>
    [TestCase(1)]
    [TestCase(7)]
    public void Projection_keeps_the_radius(int projectEvery)
    {
        var points = Points(Short with { SphereRadius = 3, ProjectEvery = projectEvery, WeightDecay = 0, Steps = 210 });
        Assert.Multiple(() =>
        {
            foreach (var point in points)
            {
                double ratio = point.SquaredNorm / 9;
                Assert.That(ratio, point.Step % projectEvery == 0 ? Is.EqualTo(1).Within(1e-14) : Is.GreaterThan(1 + 1e-6), $"step {point.Step}");
            }
        });
    }

    [Test]
    public void Settings_alone_decide_a_run()
    {
        var options = Short with { Steps = 300 };
        var first = new ScaleInvariantToy(options).Run();
        Assert.That(new ScaleInvariantToy(options).Run(_ => { }, points: 10), Is.EqualTo(first), "watching changes nothing");
        Assert.That(new ScaleInvariantToy(options with { Seed = 2 }).Run(), Is.Not.EqualTo(first));
        List<ScaleInvariantPoint> once = Points(options), again = Points(options);
        Assert.That(again, Is.EqualTo(once));
    }

    [Test]
    public void The_grid_is_that_of_the_sources()
    {
        var grid = ScaleInvariantOptions.Grid();
        Assert.That(grid, Has.Count.EqualTo(9));

        // Whole steps: 12 to half of the largest rate times decay, 0.00256.
        Assert.That(grid.Select(run => run.Steps * run.LearningRate * run.WeightDecay), Is.All.EqualTo(12).Within(0.00129));
        Assert.That(grid.Sum(run => run.Steps), Is.EqualTo(2_067_188).Within(2));
    }

    [Test]
    public void Impossible_settings_are_refused()
    {
        Assert.Multiple(() =>
        {
            foreach (var options in new[]
            {
                Short with { LearningRate = 0 }, Short with { LearningRate = double.NaN }, Short with { WeightDecay = -1 }, Short with { WeightDecay = 3.125 },
                Short with { Steps = 19 }, Short with { Dimension = 1 }, Short with { BatchSize = 0 }, Short with { LabelNoise = 0.6 },
                Short with { InitialNorm = 0 }, Short with { SphereRadius = -1 }, Short with { ProjectEvery = 0 },
            })
            {
                Assert.That(() => new ScaleInvariantToy(options), Throws.TypeOf<RequestException>(), options.ToString());
            }
        });
    }

    private static List<ScaleInvariantPoint> Points(ScaleInvariantOptions options)
    {
        var points = new List<ScaleInvariantPoint>();
        new ScaleInvariantToy(options).Run(points.Add, points: (int)options.Steps);
        return points;
    }

    private static (double[] Weights, double[] Samples, double[] Labels) Batch()
    {
        var random = new CounterRandom(1, 1);
        double[] weights = [.. Enumerable.Range(0, 16).Select(i => random.Normal((ulong)i) / 4)];
        double[] samples = [.. Enumerable.Range(16, 64).Select(i => random.Normal((ulong)i))];
        return (weights, samples, [1, -1, -1, 1]);
    }
}
