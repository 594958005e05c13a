using Trainer.Compute;
using Trainer.Optimization;

namespace Trainer.Tests.Optimization;

[TestFixtureSource(typeof(OptimizerBackends), nameof(OptimizerBackends.All))]
public sealed class WeightOptimizerTests(Func<IBackend> create, double normError)
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
            double norm = Math.Sqrt(gradients.Sum(g => g * g));
            Assert.That(trial.Step().GradientNorm, Is.EqualTo(norm).Within(normError * norm));
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

        Assert.That(second.Optimizer.NormRatio, Is.EqualTo(first.Optimizer.NormRatio).Within(1e-15), "the one is made of the other's sums");
        Assert.That(second.Run(10), Is.EqualTo(expected));
        Assert.That(second.Bits(), Is.EqualTo(straight.Bits()));
    }

    [Test]
    public void A_step_allocates_nothing([Range(0, 2)] int rule)
    {
        using var trial = new OptimizerTrial(create, Rules[rule]);
        trial.Run(3);
        Assert.That(ManagedAllocations.Fewest(() => trial.Optimizer.Step()), Is.Zero);
    }

    [Test]
    public void The_step_reports_rate_norms_and_sums()
    {
        using var trial = new OptimizerTrial(create, Rules[2]);
        double initial = trial.Norm(OptimizerTrial.HasTwoDimensions);
        Assert.That(trial.Optimizer.WeightNorm, Is.EqualTo(initial).Within(normError * initial));
        OptimizerStep step = trial.Run(4);
        Assert.That(step.Step, Is.EqualTo(4));
        Assert.That(step.LearningRate, Is.EqualTo(0.01 * 4 / 6).Within(1e-15));
        double norm = trial.Norm(OptimizerTrial.HasTwoDimensions), all = trial.Norm(_ => true);
        Assert.That(step.WeightNorm, Is.EqualTo(norm).Within(normError * norm));
        Assert.That(step.NormRatio, Is.EqualTo(step.WeightNorm / initial).Within(normError));
        Assert.That(trial.Optimizer.Sums.Weights.ToArray().Sum(), Is.EqualTo(all * all).Within(2 * normError * all * all));
        Assert.That(Math.Sqrt(trial.Optimizer.Sums.Gradients.ToArray().Sum()), Is.EqualTo(step.GradientNorm).Within(1e-12));
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
        using (var optimizer = new WeightOptimizer(backend, layout, tensors, new OptimizerOptions()))
        {
            Assert.That(() => optimizer.Step(), Throws.InvalidOperationException);
            Assert.That(() => optimizer.Restore(new OptimizerState(1, [1], [1])), Throws.TypeOf<RequestException>());
        }

        OptimizerTrial.Free(backend, tensors);
    }

    [Test]
    public void A_step_is_finished_once_and_only_after_it_was_begun()
    {
        using var trial = new OptimizerTrial(create, Rules[0]);
        Assert.That(() => trial.Optimizer.FinishStep(), Throws.InvalidOperationException);
        trial.Set(trial.Gradients, i => OptimizerTrial.Gradient(1, i));
        trial.Optimizer.BeginStep();
        Assert.That(trial.Optimizer.StepsInFlight, Is.EqualTo(1));
        Assert.That(trial.Optimizer.StepsTaken, Is.Zero);
        Assert.That(trial.Optimizer.FinishStep().Step, Is.EqualTo(1));
        Assert.That(trial.Optimizer.StepsInFlight, Is.Zero);
        Assert.That(() => trial.Optimizer.FinishStep(), Throws.InvalidOperationException);
    }

    [Test]
    public void No_more_steps_are_begun_than_the_device_can_hold()
    {
        using var trial = new OptimizerTrial(create, Rules[0]);
        trial.Set(trial.Gradients, i => OptimizerTrial.Gradient(1, i));
        int begun = BeginAll(trial.Optimizer);
        Assert.That(begun, Is.InRange(1, 8));
        Assert.That(trial.Optimizer.StepsInFlight, Is.EqualTo(begun));
        for (int step = 1; step <= begun; step++)
            Assert.That(trial.Optimizer.FinishStep() is { Taken: true } finished && finished.Step == step);
        Assert.That(trial.Step().Step, Is.EqualTo(begun + 1));
    }

    [Test]
    public void Steps_in_flight_have_the_bits_of_steps_one_by_one([Range(0, 2)] int rule)
    {
        using var alone = new OptimizerTrial(create, Rules[rule]);
        using var ahead = new OptimizerTrial(create, Rules[rule]);
        alone.Set(alone.Gradients, i => OptimizerTrial.Gradient(1, i));
        ahead.Set(ahead.Gradients, i => OptimizerTrial.Gradient(1, i));
        int steps = BeginAll(ahead.Optimizer);
        List<OptimizerStep> expected = [.. Enumerable.Range(0, steps).Select(_ => alone.Optimizer.Step())];
        List<OptimizerStep> found = [.. Enumerable.Range(0, steps).Select(_ => ahead.Optimizer.FinishStep())];
        Assert.That(found, Is.EqualTo(expected));
        Assert.That(ahead.Bits(), Is.EqualTo(alone.Bits()));
    }

    [Test]
    public void After_a_step_that_was_not_taken_none_is_until_the_state_is_restored()
    {
        using var straight = new OptimizerTrial(create, Rules[1]);
        OptimizerStep expected = straight.Run(4);
        using var trial = new OptimizerTrial(create, Rules[1]);
        trial.Run(2);
        int[] weights = trial.Bits();
        OptimizerState state = trial.Optimizer.State();

        // The steps behind it are begun before anyone knows, with gradients that are finite.
        trial.Set(trial.Gradients, i => i == 0 ? float.NaN : 0.1f);
        trial.Optimizer.BeginStep();
        trial.Set(trial.Gradients, i => OptimizerTrial.Gradient(3, i));
        int behind = BeginAll(trial.Optimizer);
        for (int i = 0; i <= behind; i++)
        {
            OptimizerStep step = trial.Optimizer.FinishStep();
            Assert.That(step.Taken, Is.False);
            Assert.That(step.Step, Is.EqualTo(3));
            Assert.That(step.GradientNorm, Is.NaN, "of the first step that was not taken");
        }

        Assert.That(trial.Optimizer.StepsInFlight, Is.Zero);
        Assert.That(trial.Step().Taken, Is.False);
        Assert.That(trial.Optimizer.StepsTaken, Is.EqualTo(2));
        Assert.That(trial.Bits(), Is.EqualTo(weights));
        Assert.That(trial.Optimizer.State().SumsOfSquares, Is.EqualTo(state.SumsOfSquares));

        trial.Optimizer.Restore(state);
        Assert.That(trial.Run(2), Is.EqualTo(expected));
        Assert.That(trial.Bits(), Is.EqualTo(straight.Bits()));
    }

    [TestCase(2.5, true)]
    [TestCase(double.NaN, false)]
    [TestCase(double.PositiveInfinity, false)]
    public void A_step_whose_loss_is_not_finite_is_not_taken(double value, bool taken)
    {
        using var trial = new OptimizerTrial(create, Rules[0]);
        trial.Set(trial.Gradients, i => OptimizerTrial.Gradient(1, i));
        int[] before = trial.Bits();
        Tensor loss = trial.Backend.Allocate(ElementType.Float64, new Shape(1));
        trial.Backend.Upload<double>([value], loss);
        OptimizerStep step = trial.Optimizer.Step(loss);
        Assert.That((step.Taken, step.Loss, trial.Optimizer.StepsTaken), Is.EqualTo((taken, value, taken ? 1L : 0L)));
        Assert.That(trial.Bits().AsSpan().SequenceEqual(before), Is.EqualTo(!taken));
        trial.Backend.Free(loss);
    }

    [Test]
    public void A_step_without_a_loss_has_none()
    {
        using var trial = new OptimizerTrial(create, Rules[0]);
        Assert.That(trial.Step().Loss, Is.NaN);
    }

    private static int BeginAll(WeightOptimizer optimizer)
    {
        for (int begun = 0; ; begun++)
        {
            try
            {
                optimizer.BeginStep();
            }
            catch (InvalidOperationException)
            {
                return begun;
            }
        }
    }
}
