using Trainer.Cuda.Kernels;
using Trainer.Cuda.Optimizer;
using Trainer.Optimization;

namespace Trainer.Tests.Cuda.Optimizer;

internal sealed class StepInputsTests
{
    private static readonly OptimizerOptions Options = new()
    {
        Momentum = 0.7, Dampening = 0.2, RateInMomentum = true, LearningRate = 0.02, Beta1 = 0.8, Beta2 = 0.9, Epsilon = 1e-7, GradientClip = 3,
        Schedule = new() { Shape = ScheduleShape.Linear, Steps = 10, FinalFraction = 0 },
        Regularizer = new()
        {
            Kind = RegularizerKind.NormControl, NormTarget = 2,
            WeightDecaySchedule = Schedule.Ramp(2), NormTargetSchedule = Schedule.Ramp(4), NormRateSchedule = Schedule.Ramp(8),
        },
    };

    // Steps count from 1, schedules from 0: the first multiplier of a line from 1 to 0 is 1, those of ramps a share of 1.
    [TestCase(1, 1, 0.5, 0.25, 0.125)]
    [TestCase(3, 0.8, 1, 0.75, 0.375)]
    [TestCase(11, 0, 1, 1, 1)]
    public void A_step_has_the_values_of_all_schedules(long step, double rate, double decay, double target, double normRate)
    {
        var input = new StepInputs(Options, seed: 9).At(step);
        Assert.That(input.Multiplier, Is.EqualTo(rate).Within(1e-15));
        Assert.That(input with { Multiplier = 0 }, Is.EqualTo(new StepInput
        {
            Step = (int)step, Seed = 9, PeakRate = 0.02, DecayMultiplier = decay, TargetMultiplier = target, RateMultiplier = normRate,
            Clip = 3, Beta1 = 0.8, Beta2 = 0.9, Epsilon = 1e-7, Momentum = 0.7, Dampening = 0.2, RateInMomentum = 1,
        }));
    }

    [Test]
    public void Steps_that_do_not_exist_are_refused([Values(0, -1, 1L + int.MaxValue)] long step) =>
        Assert.Throws<ArgumentOutOfRangeException>(() => new StepInputs(Options, seed: 9).At(step));

    [Test]
    public void A_step_allocates_nothing()
    {
        var inputs = new StepInputs(Options, seed: 9);
        inputs.At(1);
        long before = GC.GetAllocatedBytesForCurrentThread();
        for (int step = 1; step <= 100; step++)
            inputs.At(step);
        Assert.That(GC.GetAllocatedBytesForCurrentThread() - before, Is.Zero);
    }
}
