using Trainer.Compute;
using Trainer.Optimization;

namespace Trainer.Tests.Optimization;

[TestFixtureSource(typeof(OptimizerBackends), nameof(OptimizerBackends.All))]
public sealed class AdamOptimizerTests(Func<IBackend> create)
{
    private static readonly OptimizerOptions[] Rules =
    [
        new() { LearningRate = 0.01 },
        new() { LearningRate = 0.01, Regularizer = new() { Kind = RegularizerKind.NormControl, NormTarget = 2, NormTargetSchedule = Schedule.Ramp(15) } },
        new()
        {
            LearningRate = 0.01,
            Schedule = new() { Shape = ScheduleShape.Cosine, WarmupSteps = 5, Steps = 20 },
            Regularizer = new()
            {
                Kind = RegularizerKind.NormControl,
                NormTarget = 2,
                NormRate = 0.2,
                NormScope = NormScope.Tensor,
                Order = RegularizerOrder.Pre,
            },
        },
    ];

    [Test]
    public void The_gradient_norm_is_told_before_clipping_and_clipped_steps_are_those_of_double_precision([Values(0, 0.5, 100)] double clip)
    {
        var options = new OptimizerOptions { LearningRate = 0.01, GradientClip = clip, Regularizer = new() { Kind = RegularizerKind.None } };
        using var trial = new OptimizerTrial(create, options);
        var reference = new AdamReference([.. trial.Read().Select(w => (double)w)]);
        for (int t = 1; t <= 6; t++)
        {
            double[] gradients = [.. Enumerable.Range(0, (int)trial.Layout.Count).Select(i => (double)OptimizerTrial.Gradient(t, i))];
            Assert.That(trial.Step().GradientNorm, Is.EqualTo(Math.Sqrt(gradients.Sum(g => g * g))).Within(1e-9));
            reference.Step(gradients, 0.01, clip);
        }

        Assert.That(trial.Read(), Is.EqualTo(reference.Weights).Within(2e-6));
    }

    [Test]
    public void The_clip_factor_is_that_of_torch()
    {
        // With ε = 1 Adam's first step is the gradient itself; here the norm is as small as torch's 1e-6, so that half of it is left.
        var options = new OptimizerOptions { LearningRate = 1, Epsilon = 1, GradientClip = 1e-6, Regularizer = new() { Kind = RegularizerKind.None } };
        using var trial = new OptimizerTrial(create, options, _ => 0);
        trial.Set(trial.Gradients, i => i == 0 ? 1e-6f : 0);
        trial.Optimizer.Step();
        Assert.That(trial.Read()[0], Is.EqualTo(-0.5e-6).Within(1e-10));
    }

    [Test]
    public void Gradients_that_are_not_finite_leave_everything_as_it_was([Values(float.NaN, float.PositiveInfinity, float.NegativeInfinity)] float value,
        [Values(0, 1)] double clip)
    {
        using var trial = new OptimizerTrial(create, Rules[1] with { GradientClip = clip });
        trial.Run(2);
        OptimizerState state = trial.Optimizer.State();
        int[] weights = trial.Bits();
        int[][] moments = [.. trial.Optimizer.Moments.Select(moment => OptimizerTrial.Bits(trial.Read(moment)))];

        trial.Set(trial.Gradients, i => i == trial.Layout.Count - 1 ? value : 0.1f);
        OptimizerStep step = trial.Optimizer.Step();

        Assert.That(step.Taken, Is.False);
        Assert.That(step.Step, Is.EqualTo(3));
        Assert.That(double.IsFinite(step.GradientNorm), Is.False);
        Assert.That(trial.Optimizer.StepsTaken, Is.EqualTo(2));
        Assert.That(trial.Bits(), Is.EqualTo(weights));
        Assert.That(trial.Optimizer.Moments.Select(moment => OptimizerTrial.Bits(trial.Read(moment))), Is.EqualTo(moments));
        Assert.That(trial.Optimizer.State().SumsOfSquares, Is.EqualTo(state.SumsOfSquares));
    }

    [Test]
    public void A_restored_run_has_the_same_bits([Range(0, 2)] int rule)
    {
        using var straight = new OptimizerTrial(create, Rules[rule]);
        OptimizerStep expected = straight.Run(20);

        using var first = new OptimizerTrial(create, Rules[rule]);
        first.Run(10);
        float[] weights = first.Read(), m = first.Read(first.Optimizer.Moments[0]), v = first.Read(first.Optimizer.Moments[1]);
        using var second = new OptimizerTrial(create, Rules[rule], i => weights[i]);
        second.Set(second.Optimizer.Moments[0], i => m[i]);
        second.Set(second.Optimizer.Moments[1], i => v[i]);
        second.Optimizer.Restore(first.Optimizer.State());

        Assert.That(second.Optimizer.NormRatio, Is.EqualTo(first.Optimizer.NormRatio));
        Assert.That(second.Run(10), Is.EqualTo(expected));
        Assert.That(second.Bits(), Is.EqualTo(straight.Bits()));
    }

    [Test]
    public void A_step_allocates_nothing([Range(0, 2)] int rule)
    {
        using var trial = new OptimizerTrial(create, Rules[rule]);
        trial.Run(3);
        long before = GC.GetAllocatedBytesForCurrentThread();
        for (int i = 0; i < 10; i++)
            trial.Optimizer.Step();
        Assert.That(GC.GetAllocatedBytesForCurrentThread() - before, Is.Zero);
    }

    [Test]
    public void The_step_reports_rate_norms_and_sums()
    {
        using var trial = new OptimizerTrial(create, Rules[2]);
        double initial = trial.Norm(OptimizerTrial.HasTwoDimensions);
        Assert.That(trial.Optimizer.WeightNorm, Is.EqualTo(initial).Within(1e-9));
        OptimizerStep step = trial.Run(4);
        Assert.That(step.Step, Is.EqualTo(4));
        Assert.That(step.LearningRate, Is.EqualTo(0.01 * 4 / 6).Within(1e-15));
        Assert.That(step.WeightNorm, Is.EqualTo(trial.Norm(OptimizerTrial.HasTwoDimensions)).Within(1e-9));
        Assert.That(step.NormRatio, Is.EqualTo(step.WeightNorm / initial).Within(1e-9));
        Assert.That(trial.Optimizer.WeightSumsOfSquares().ToArray().Sum(), Is.EqualTo(Math.Pow(trial.Norm(_ => true), 2)).Within(1e-6));
        Assert.That(Math.Sqrt(trial.Optimizer.GradientSumsOfSquares().ToArray().Sum()), Is.EqualTo(step.GradientNorm).Within(1e-12));
    }

    [Test]
    public void An_empty_regularised_set_has_no_ratio()
    {
        var none = new ParameterGroupOptions { Overrides = [new("*", null)] };
        using var trial = new OptimizerTrial(create, new OptimizerOptions { Regularizer = new() { Groups = none } });
        OptimizerStep step = trial.Step();
        Assert.That(step.WeightNorm, Is.Zero);
        Assert.That(step.NormRatio, Is.NaN);
    }

    [Test]
    public void A_step_without_a_beginning_is_refused()
    {
        using IBackend backend = create();
        var layout = new Trainer.Model.ParameterLayout(OptimizerTrial.Model);
        TrainingTensors tensors = OptimizerTrial.Allocate(backend, layout);
        using (var optimizer = new AdamOptimizer(backend, layout, tensors, new OptimizerOptions()))
        {
            Assert.That(() => optimizer.Step(), Throws.InvalidOperationException);
            Assert.That(() => optimizer.Restore(new OptimizerState(1, [1], [1])), Throws.TypeOf<RequestException>());
        }

        OptimizerTrial.Free(backend, tensors);
    }
}
