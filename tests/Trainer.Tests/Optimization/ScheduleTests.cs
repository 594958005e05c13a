using Trainer.Optimization;

namespace Trainer.Tests.Optimization;

public sealed class ScheduleTests
{
    [TestCase(0, 1, 0.2)]
    [TestCase(3, 1, 0.8)]
    [TestCase(4, 1, 1.0)]
    [TestCase(0, 0, 0.0)]
    [TestCase(3, 0, 0.75)]
    [TestCase(4, 0, 1.0)]
    public void Warm_up_counts_from_the_offset(long step, int offset, double expected)
    {
        var schedule = new Schedule { WarmupSteps = 4, WarmupOffset = offset };
        Assert.That(schedule.Multiplier(step), Is.EqualTo(expected).Within(1e-15));
    }

    [TestCase(10, 1.0)]
    [TestCase(35, 0.1 + (0.9 * 0.85355339059327373))]
    [TestCase(60, 0.55)]
    [TestCase(110, 0.1)]
    [TestCase(111, 0.1)]
    [TestCase(1_000_000, 0.1)]
    public void Cosine_goes_from_one_to_the_final_fraction(long step, double expected)
    {
        var schedule = new Schedule { Shape = ScheduleShape.Cosine, WarmupSteps = 10, Steps = 110 };
        Assert.That(schedule.Multiplier(step), Is.EqualTo(expected).Within(1e-12));
    }

    [TestCase(10, 1.0)]
    [TestCase(35, 0.8)]
    [TestCase(60, 0.6)]
    [TestCase(110, 0.2)]
    [TestCase(200, 0.2)]
    public void Linear_is_a_straight_line(long step, double expected)
    {
        var schedule = new Schedule { Shape = ScheduleShape.Linear, WarmupSteps = 10, Steps = 110, FinalFraction = 0.2 };
        Assert.That(schedule.Multiplier(step), Is.EqualTo(expected).Within(1e-12));
    }

    [TestCase(0, 1.0 / 11)]
    [TestCase(10, 1.0)]
    [TestCase(80, 1.0)]
    [TestCase(90, 0.5)]
    [TestCase(100, 0.0)]
    [TestCase(101, 0.0)]
    public void Warmup_stable_decay_is_flat_until_its_last_share(long step, double expected)
    {
        var schedule = new Schedule { Shape = ScheduleShape.WarmupStableDecay, WarmupSteps = 10, Steps = 100, FinalFraction = 0, DecayFraction = 0.2 };
        Assert.That(schedule.Multiplier(step), Is.EqualTo(expected).Within(1e-12));
    }

    [Test]
    public void A_decay_longer_than_the_run_does_not_reach_the_final_fraction()
    {
        var schedule = new Schedule { Shape = ScheduleShape.Cosine, Steps = 65_000 };
        Assert.That(schedule.Multiplier(49_999), Is.EqualTo(0.1 + (0.45 * (1 + Math.Cos(Math.PI * 49_999 / 65_000)))).Within(1e-12));
    }

    [Test]
    public void Ends_without_steps_between_are_numbers(
        [Values(ScheduleShape.Constant, ScheduleShape.Linear, ScheduleShape.Cosine, ScheduleShape.WarmupStableDecay)] ScheduleShape shape)
    {
        var schedule = new Schedule { Shape = shape, WarmupSteps = 5, Steps = 5, DecayFraction = 0 };
        Assert.That(schedule.Multiplier(4), Is.EqualTo(5.0 / 6));
        Assert.That(schedule.Multiplier(5), Is.EqualTo(shape == ScheduleShape.Constant ? 1 : 0.1).Within(1e-15));
    }

    [Test]
    public void Jumps_and_lines_go_through_their_points()
    {
        Schedule jumps = ScheduleText.Parse("--x", "step:3=0.5,6=0.1", new Schedule { WarmupSteps = 2 });
        Assert.That(Enumerable.Range(0, 8).Select(it => jumps.Multiplier(it)), Is.EqualTo(new[] { 1.0 / 3, 2.0 / 3, 1, 0.5, 0.5, 0.5, 0.1, 0.1 }).Within(1e-15));
        Schedule lines = ScheduleText.Parse("--x", "points:1=1,3=0.5,7=0.9", new Schedule());
        Assert.That(Enumerable.Range(0, 9).Select(it => lines.Multiplier(it)), Is.EqualTo(new[] { 1, 1, 0.75, 0.5, 0.6, 0.7, 0.8, 0.9, 0.9 }).Within(1e-15));
        var replay = new Schedule { Shape = ScheduleShape.Replay, Recorded = [3, 1, 2] };
        Assert.That(Enumerable.Range(0, 3).Select(it => replay.Multiplier(it)), Is.EqualTo(new[] { 3, 1, 2 }));
    }

    [TestCase("constant", ScheduleShape.Constant, 0.3)]
    [TestCase("linear", ScheduleShape.Linear, 0.3)]
    [TestCase("cosine:0", ScheduleShape.Cosine, 0)]
    [TestCase("wsd:1", ScheduleShape.WarmupStableDecay, 1)]
    public void A_text_names_a_shape_and_its_end(string text, ScheduleShape shape, double final) =>
        Assert.That(ScheduleText.Parse("--x", text, new Schedule { Steps = 9, FinalFraction = 0.3 }), Is.EqualTo(new Schedule { Shape = shape, Steps = 9, FinalFraction = final }));

    [TestCase("")]
    [TestCase("cosin")]
    [TestCase("cosine:2")]
    [TestCase("cosine:")]
    [TestCase("constant:1")]
    [TestCase("step")]
    [TestCase("step:")]
    [TestCase("step:3")]
    [TestCase("step:3=-1")]
    [TestCase("step:3=NaN")]
    [TestCase("step:5=1,5=2")]
    [TestCase("points:-1=1")]
    public void A_text_without_a_form_is_refused_with_the_forms(string text) => Assert.That(() => ScheduleText.Parse("--lr-schedule", text, new Schedule()),
        Throws.TypeOf<RequestException>().With.Message.StartsWith($"--lr-schedule '{text}' is no schedule").And.Message.Contains(ScheduleText.Forms));

    [Test]
    public void A_ramp_is_t_over_its_steps()
    {
        Schedule ramp = Schedule.Ramp(4);
        Assert.That(Enumerable.Range(0, 6).Select(it => ramp.Multiplier(it)), Is.EqualTo(new[] { 0.25, 0.5, 0.75, 1, 1, 1 }));
        Assert.That(Schedule.Ramp(0).Multiplier(0), Is.EqualTo(1));
    }

    [Test]
    public void Impossible_values_name_their_option()
    {
        Assert.That(() => new Schedule { WarmupSteps = -1 }.Validated(), Throws.TypeOf<RequestException>().With.Message.Contains("--warmup-steps"));
        Assert.That(() => new Schedule { WarmupOffset = 2 }.Validated(), Throws.TypeOf<RequestException>().With.Message.Contains("--warmup-offset"));
        Assert.That(() => new Schedule { FinalFraction = double.NaN }.Validated(),
            Throws.TypeOf<RequestException>().With.Message.Contains("--final-lr-fraction"));
        Assert.That(() => new Schedule { DecayFraction = 1.1 }.Validated(), Throws.TypeOf<RequestException>().With.Message.Contains("--wsd-decay-fraction"));
        Assert.That(() => new Schedule { Shape = ScheduleShape.Cosine }.Validated(), Throws.TypeOf<RequestException>().With.Message.Contains("--steps"));
    }
}
