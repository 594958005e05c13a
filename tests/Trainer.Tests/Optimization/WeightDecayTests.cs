using Trainer.Compute;
using Trainer.Model;
using Trainer.Optimization;

namespace Trainer.Tests.Optimization;

[TestFixtureSource(typeof(OptimizerBackends), nameof(OptimizerBackends.All))]
public sealed class WeightDecayTests(Func<IBackend> create, double normError)
{
    private static readonly Schedule Cosine = new() { Shape = ScheduleShape.Cosine, WarmupSteps = 3, Steps = 20 };

    [TestCase(RegularizerKind.Decay, 0.1)]
    [TestCase(RegularizerKind.DecayDecoupled, 1e-4)]
    public void One_step_from_one_is_0_9989(RegularizerKind kind, double weightDecay)
    {
        var options = new OptimizerOptions { GradientClip = 0, Regularizer = new() { Kind = kind, WeightDecay = weightDecay } };
        using var trial = new OptimizerTrial(create, options, _ => 1f);
        trial.Set(trial.Gradients, _ => 0.1f);
        OptimizerStep step = trial.Optimizer.Step();

        float[] weights = trial.Read();
        Assert.That(trial.Indices(OptimizerTrial.HasTwoDimensions).Select(i => weights[i]), Is.All.EqualTo(0.9989).Within(1e-7));
        Assert.That(trial.Indices(tensor => !OptimizerTrial.HasTwoDimensions(tensor)).Select(i => weights[i]), Is.All.EqualTo(0.999).Within(1e-7));
        Assert.That(step.NormRatio, Is.EqualTo(0.9989).Within(1e-7 + (2 * normError)));
        double gradientNorm = 0.1 * Math.Sqrt(trial.Layout.Count);
        Assert.That(step.GradientNorm, Is.EqualTo(gradientNorm).Within(1e-6 + (normError * gradientNorm)));
    }

    [Test]
    public void Twenty_steps_are_those_of_double_precision([Values(RegularizerKind.Decay, RegularizerKind.DecayDecoupled)] RegularizerKind kind,
        [Values] RegularizerOrder order)
    {
        const double alpha = 0.01, lambda = 0.5;
        var options = new OptimizerOptions
        {
            LearningRate = alpha,
            Schedule = Cosine,
            Regularizer = new() { Kind = kind, WeightDecay = lambda, Order = order },
        };
        using var trial = new OptimizerTrial(create, options);
        var reference = new AdamReference([.. trial.Read().Select(w => (double)w)]);
        int[] decayed = [.. trial.Indices(OptimizerTrial.HasTwoDimensions)];
        for (int t = 1; t <= 20; t++)
        {
            trial.Step();
            double eta = Cosine.Multiplier(t - 1);
            void Shrink(double[] weights)
            {
                foreach (int i in decayed)
                    weights[i] *= 1 - (kind == RegularizerKind.Decay ? alpha * eta * lambda : eta * lambda);
            }

            double[] gradients = [.. Enumerable.Range(0, (int)trial.Layout.Count).Select(i => (double)OptimizerTrial.Gradient(t, i))];
            if (order == RegularizerOrder.Pre)
                reference.Step(gradients, alpha * eta, clip: 1, before: Shrink);
            else
                reference.Step(gradients, alpha * eta, clip: 1, after: Shrink);
        }

        Assert.That(trial.Read(), Is.EqualTo(reference.Weights).Within(2e-6));
    }

    [Test]
    public void Both_conventions_agree_at_equal_strength()
    {
        using var a = new OptimizerTrial(create, Options(RegularizerKind.Decay, 0.1));
        using var b = new OptimizerTrial(create, Options(RegularizerKind.DecayDecoupled, 0.1 * 0.01));
        a.Run(10);
        b.Run(10);
        Assert.That(b.Bits(), Is.EqualTo(a.Bits()));
    }

    [Test]
    public void A_decay_of_zero_is_plain_Adam()
    {
        using var decay = new OptimizerTrial(create, Options(RegularizerKind.Decay, 0));
        using var none = new OptimizerTrial(create, Options(RegularizerKind.None, 0.1));
        decay.Run(5);
        none.Run(5);
        Assert.That(decay.Bits(), Is.EqualTo(none.Bits()));
    }

    [Test]
    public void Groups_decay_with_their_own_strength_and_their_own_schedule()
    {
        var options = new OptimizerOptions
        {
            LearningRate = 0.01,
            Regularizer = new()
            {
                WeightDecay = 1,
                WeightDecaySchedule = Schedule.Ramp(4),
                Groups = new() { Overrides = [new("wpe.weight", 10), new("wte.weight", null), new("*.mlp.c_fc.weight", 0)] },
            },
        };
        using var trial = new OptimizerTrial(create, options, _ => 1f);
        trial.Set(trial.Gradients, _ => 0);
        trial.Optimizer.Step();

        // With no gradient the step is the decay alone; the ramp has reached a quarter.
        float[] weights = trial.Read();
        foreach (ParameterTensor tensor in trial.Layout.Tensors)
        {
            float expected = tensor.Name == "wpe.weight" ? 1 - 0.025f
                : tensor.Name != "wte.weight" && !tensor.Name.EndsWith("c_fc.weight", StringComparison.Ordinal) && tensor.Shape.Rank == 2 ? 1 - 0.0025f
                : 1;
            Assert.That(weights[tensor.Segment.Offset], Is.EqualTo(expected).Within(1e-7), tensor.Name);
        }
    }

    private static OptimizerOptions Options(RegularizerKind kind, double weightDecay) => new()
    {
        LearningRate = 0.01,
        Schedule = Cosine,
        Regularizer = new() { Kind = kind, WeightDecay = weightDecay },
    };
}
