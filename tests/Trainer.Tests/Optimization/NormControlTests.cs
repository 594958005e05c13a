using Trainer.Compute;
using Trainer.Model;
using Trainer.Optimization;

namespace Trainer.Tests.Optimization;

[TestFixtureSource(typeof(OptimizerBackends), nameof(OptimizerBackends.All))]
public sealed class NormControlTests(Func<IBackend> create, double normError)
{
    private static readonly Schedule Cosine = new() { Shape = ScheduleShape.Cosine, WarmupSteps = 3, Steps = 30 };

    [Test]
    public void Three_four_after_a_step_of_a_half_is_scaled_by_0_96225()
    {
        var options = new OptimizerOptions
        {
            LearningRate = 0.5,
            GradientClip = 0,
            Regularizer = new() { Kind = RegularizerKind.NormControl, NormTarget = 1, NormRate = 0.5 },
        };
        using var trial = new OptimizerTrial(create, options, i => i == 0 ? 3 : i == 1 ? 4 : 0);
        trial.Set(trial.Gradients, i => i == 1 ? -1 : 0);
        OptimizerStep step = trial.Optimizer.Step();

        Assert.That(step.WeightNorm, Is.EqualTo(5.204163).Within(1e-6));
        Assert.That(step.NormRatio, Is.EqualTo(5.204163 / 5).Within(1e-6));
        Assert.That(trial.Read()[..3], Is.EqualTo(new[] { 3 * 0.962250f, 4.5f * 0.962250f, 0 }).Within(2e-6f));
    }

    [Test]
    public void With_target_zero_it_is_weight_decay_to_the_bit([Values(RegularizerKind.Decay, RegularizerKind.DecayDecoupled)] RegularizerKind kind,
        [Values] RegularizerOrder order, [Values] NormScope scope)
    {
        const double alpha = 0.01, lambda = 0.3;
        using var decay = new OptimizerTrial(create, Options(new() { Kind = kind, WeightDecay = lambda, Order = order }));
        using var control = new OptimizerTrial(create, Options(new()
        {
            Kind = RegularizerKind.NormControl,
            NormTarget = 0,
            NormRate = kind == RegularizerKind.Decay ? alpha * lambda : lambda,
            NormRateSchedule = Cosine,
            NormScope = scope,
            Order = order,
        }));
        decay.Run(30);
        control.Run(30);
        Assert.That(control.Bits(), Is.EqualTo(decay.Bits()));
    }

    [Test]
    public void With_rate_zero_it_is_plain_Adam_to_the_bit([Values] RegularizerOrder order)
    {
        using var none = new OptimizerTrial(create, Options(new() { Kind = RegularizerKind.None }));
        using var control = new OptimizerTrial(create, Options(new() { Kind = RegularizerKind.NormControl, NormTarget = 2, NormRate = 0, Order = order }));
        none.Run(10);
        control.Run(10);
        Assert.That(control.Bits(), Is.EqualTo(none.Bits()));
    }

    [Test]
    public void With_rate_one_the_norm_is_the_target_after_every_step([Values(1, 2.415)] double target, [Values] NormScope scope)
    {
        var rule = new RegularizerOptions { Kind = RegularizerKind.NormControl, NormTarget = target, NormRate = 1, NormScope = scope };
        using var trial = new OptimizerTrial(create, Options(rule));
        double[] initial = [.. trial.Layout.Tensors.Select(tensor => trial.Norm(t => t == tensor))];
        double all = trial.Norm(OptimizerTrial.HasTwoDimensions);
        for (int t = 0; t < 10; t++)
        {
            OptimizerStep step = trial.Step();
            Assert.That(trial.Norm(OptimizerTrial.HasTwoDimensions), Is.EqualTo(target * all).Within(1e-4).Percent);
            Assert.That(step.NormRatio, Is.EqualTo(target).Within(1e-6 + (normError * target)));
            Assert.That(step.WeightNorm, Is.EqualTo(trial.Norm(OptimizerTrial.HasTwoDimensions)).Within(1e-6 + (normError * target * all)));
        }

        if (scope == NormScope.Tensor)
        {
            for (int i = 0; i < initial.Length; i++)
            {
                ParameterTensor tensor = trial.Layout.Tensors[i];
                if (OptimizerTrial.HasTwoDimensions(tensor))
                    Assert.That(trial.Norm(t => t == tensor), Is.EqualTo(target * initial[i]).Within(1e-4).Percent, tensor.Name);
            }
        }
    }

    [Test]
    public void At_the_target_it_does_nothing([Values] NormScope scope, [Values] RegularizerOrder order)
    {
        var rule = new RegularizerOptions { Kind = RegularizerKind.NormControl, NormTarget = 1, NormRate = 0.5, NormScope = scope, Order = order };
        using var trial = new OptimizerTrial(create, Options(rule) with { LearningRate = 0 });
        int[] before = trial.Bits();
        trial.Run(3);
        Assert.That(trial.Bits(), Is.EqualTo(before));
    }

    [TestCase(0.01)]
    [TestCase(0.5)]
    public void The_new_norm_lies_the_share_k_between_the_norm_of_the_gradient_step_and_the_target(double rate)
    {
        using var plain = new OptimizerTrial(create, Options(new() { Kind = RegularizerKind.None }));
        using var control = new OptimizerTrial(create, Options(new() { Kind = RegularizerKind.NormControl, NormTarget = 3, NormRate = rate }));
        double initial = control.Norm(OptimizerTrial.HasTwoDimensions);
        plain.Step();
        OptimizerStep step = control.Step();

        double expected = ((1 - rate) * plain.Norm(OptimizerTrial.HasTwoDimensions)) + (rate * 3 * initial);
        Assert.That(control.Norm(OptimizerTrial.HasTwoDimensions), Is.EqualTo(expected).Within(1e-6 + (normError * expected)));
        Assert.That(step.WeightNorm, Is.EqualTo(expected).Within(1e-6 + (normError * expected)));
        static bool Others(ParameterTensor tensor) => !OptimizerTrial.HasTwoDimensions(tensor);
        Assert.That(control.Norm(Others), Is.EqualTo(plain.Norm(Others)));
    }

    [Test]
    public void Before_the_step_rate_one_leaves_the_displacement_of_the_gradient_step()
    {
        var rule = new RegularizerOptions { Kind = RegularizerKind.NormControl, NormTarget = 2, NormRate = 1, Order = RegularizerOrder.Pre };
        using var plain = new OptimizerTrial(create, Options(new() { Kind = RegularizerKind.None }));
        using var control = new OptimizerTrial(create, Options(rule));
        float[] start = plain.Read();
        plain.Step();
        control.Step();

        float[] moved = plain.Read(), found = control.Read();
        foreach (int i in control.Indices(OptimizerTrial.HasTwoDimensions))
            Assert.That(found[i], Is.EqualTo((2.0 * start[i]) + (moved[i] - start[i])).Within(1e-6));
    }

    [Test]
    public void Twenty_steps_are_those_of_double_precision([Values] RegularizerOrder order, [Values] NormScope scope)
    {
        const double alpha = 0.01, rate = 0.1, target = 1.5;
        using var trial = new OptimizerTrial(create, Options(new()
        {
            Kind = RegularizerKind.NormControl,
            NormTarget = target,
            NormRate = rate,
            NormTargetSchedule = Schedule.Ramp(8),
            NormScope = scope,
            Order = order,
        }));
        var reference = new AdamReference([.. trial.Read().Select(w => (double)w)]);
        int[][] units = trial.Units(scope);
        static double Norm(double[] weights, int[] unit) => Math.Sqrt(unit.Sum(i => weights[i] * weights[i]));
        double[] initial = [.. units.Select(unit => Norm(reference.Weights, unit))];

        for (int t = 1; t <= 20; t++)
        {
            trial.Step();
            double r = 1 + ((target - 1) * Math.Min(1, t / 8.0));
            void Control(double[] weights)
            {
                for (int u = 0; u < units.Length; u++)
                {
                    double scale = 1 - (rate * (1 - (r * initial[u] / Norm(weights, units[u]))));
                    foreach (int i in units[u])
                        weights[i] *= scale;
                }
            }

            double[] gradients = [.. Enumerable.Range(0, (int)trial.Layout.Count).Select(i => (double)OptimizerTrial.Gradient(t, i))];
            double learningRate = alpha * Cosine.Multiplier(t - 1);
            if (order == RegularizerOrder.Pre)
                reference.Step(gradients, learningRate, clip: 1, before: Control);
            else
                reference.Step(gradients, learningRate, clip: 1, after: Control);
        }

        Assert.That(trial.Read(), Is.EqualTo(reference.Weights).Within(3e-6));
    }

    [Test]
    public void The_target_rises_from_the_initial_norm_along_its_ramp()
    {
        using var trial = new OptimizerTrial(create, Options(new()
        {
            Kind = RegularizerKind.NormControl,
            NormTarget = 3,
            NormRate = 1,
            NormTargetSchedule = Schedule.Ramp(4),
        }));
        double[] ratios = [.. Enumerable.Range(0, 6).Select(_ => trial.Step().NormRatio)];
        Assert.That(ratios, Is.EqualTo(new[] { 1.5, 2, 2.5, 3, 3, 3 }).Within(1e-6 + (3 * normError)));
    }

    [Test]
    public void A_group_with_its_own_target_is_a_unit_of_its_own()
    {
        using var trial = new OptimizerTrial(create, Options(new()
        {
            Kind = RegularizerKind.NormControl,
            NormTarget = 2,
            NormRate = 1,
            Groups = new() { Overrides = [new("h.*.mlp.c_proj.weight", 5)] },
        }));
        static bool Own(ParameterTensor tensor) => tensor.Name.EndsWith("mlp.c_proj.weight", StringComparison.Ordinal);
        static bool Others(ParameterTensor tensor) => OptimizerTrial.HasTwoDimensions(tensor) && !Own(tensor);
        double own = trial.Norm(Own), others = trial.Norm(Others);
        trial.Run(3);
        Assert.That(trial.Norm(Own) / own, Is.EqualTo(5).Within(1e-5));
        Assert.That(trial.Norm(Others) / others, Is.EqualTo(2).Within(1e-5));
    }

    [Test]
    public void A_unit_that_begins_at_zero_is_refused_unless_its_target_is_zero([Values] NormTargetKind kind)
    {
        var groups = new ParameterGroupOptions { DecayBias = true };
        var rule = new RegularizerOptions
        {
            Kind = RegularizerKind.NormControl, NormTarget = 2, NormTargetKind = kind, NormRate = 1, NormScope = NormScope.Tensor, Groups = groups,
        };
        Assert.That(() => new OptimizerTrial(create, Options(rule)).Dispose(),
            Throws.TypeOf<RequestException>().With.Message.Contains("begins with a norm of 0").And.Message.Contains("--norm-scope global"));
        using var decay = new OptimizerTrial(create, Options(rule with { NormTarget = 0, NormRate = 0.01 }));
        decay.Run(3);
        Assert.That(decay.Read(), Has.None.NaN);
    }

    [Test]
    public void Weights_below_the_target_grow_and_weights_above_it_shrink()
    {
        OptimizerOptions still = Options(new() { Kind = RegularizerKind.NormControl, NormTarget = 2, NormRate = 0.1 }) with { LearningRate = 0 };
        using var trial = new OptimizerTrial(create, still);
        Assert.That(trial.Run(1).NormRatio, Is.EqualTo(1.1).Within(1e-6 + (2 * normError)));
        // A factor nearer to 1 than half a unit in the last place of a float is 1: the norm comes to rest at a distance of 2^-24 / k.
        Assert.That(trial.Run(200).NormRatio, Is.EqualTo(2).Within((2 * Math.Pow(2, -24) / still.Regularizer.NormRate) + (2 * normError)));
        using var above = new OptimizerTrial(create, still with { Regularizer = still.Regularizer with { NormTarget = 0.5 } });
        Assert.That(above.Run(1).NormRatio, Is.EqualTo(0.95).Within(1e-6 + normError));
    }

    private static OptimizerOptions Options(RegularizerOptions rule) => new() { LearningRate = 0.01, Schedule = Cosine, Regularizer = rule };
}
