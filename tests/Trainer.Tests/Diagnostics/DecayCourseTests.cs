using Trainer.Diagnostics;
using Trainer.Optimization;

namespace Trainer.Tests.Diagnostics;

public sealed class DecayCourseTests
{
    private static readonly OptimizerOptions AdamW = new()
    {
        LearningRate = 1e-2,
        Schedule = new Schedule { Shape = ScheduleShape.Linear, Steps = 100, FinalFraction = 0, WarmupSteps = 10 },
        Regularizer = new RegularizerOptions { Kind = RegularizerKind.Decay, WeightDecay = 0.5 },
    };

    [TestCase(RegularizerKind.Decay, 1e-2)]
    [TestCase(RegularizerKind.DecayDecoupled, 1)]
    public void Lambda_is_the_sum_over_all_steps_in_whatever_order_it_is_asked_for(RegularizerKind kind, double scale)
    {
        var course = new DecayCourse(AdamW with { Regularizer = AdamW.Regularizer with { Kind = kind } });
        double expected = 0;
        for (int step = 1; step <= 60; step++)
            expected += scale * AdamW.Schedule.Multiplier(step - 1) * 0.5;
        double whole = course.Total(60);
        Assert.That(whole, Is.EqualTo(expected).Within(1e-12));
        Assert.That(course.Total(30), Is.LessThan(whole));
        Assert.That(course.Total(60), Is.EqualTo(whole), "to the bit, as after a resume");
    }

    [Test]
    public void Equilibrium_formulas_agree_with_their_other_forms()
    {
        var options = AdamW with { Schedule = Schedule.Constant };
        var course = new DecayCourse(options);
        const double rate = 1e-2, lambda = 0.5;
        Assert.Multiple(() =>
        {
            Assert.That(course.TimeConstant(7), Is.EqualTo(1 / (rate * lambda)).Within(1e-12));
            Assert.That(course.AdamEquilibrium(7, rate, Math.Sqrt(rate / (2 * lambda))), Is.EqualTo(1).Within(1e-12), "1 at the predicted norm");
            Assert.That(course.SgdEquilibrium(7, rate, 3), Is.EqualTo(3 / Math.Sqrt(rate / lambda)).Within(1e-12));
            Assert.That(course.PredictedAngle(7), Is.EqualTo(Math.Sqrt(2 * rate * lambda * 0.1 / 1.9)).Within(1e-12));
        });
    }

    [TestCase(RegularizerKind.None, OptimizerKind.Adam)]
    [TestCase(RegularizerKind.NormControl, OptimizerKind.Adam)]
    [TestCase(RegularizerKind.L2, OptimizerKind.Adam)]
    public void Rules_that_take_away_no_fixed_share_have_no_course(RegularizerKind kind, OptimizerKind optimizer)
    {
        var course = new DecayCourse(AdamW with { Kind = optimizer, Regularizer = AdamW.Regularizer with { Kind = kind } });
        Assert.That(new[] { course.Share(3), course.Total(3), course.TimeConstant(3), course.PredictedAngle(3) }, Is.All.NaN);
    }

    [Test]
    public void Prior_of_l2_is_exact_and_that_of_adamw_scaled_by_the_mean_root()
    {
        var values = new DiagnosticValues();
        var l2 = AdamW with { Regularizer = AdamW.Regularizer with { Kind = RegularizerKind.L2 } };
        PriorDiagnostics.AddTo(values, l2, double.NaN, l2: 0.25, learningRate: 1, meanRootSecondMoment: double.NaN, squares: 8, tokens: 100);
        Assert.That(values.All, Is.EqualTo(new[] { ("priorLambda", 0.25), ("priorSigmaSum", 2.0), ("priorSigmaData", 0.2), ("negLogPrior", 1.0) }));

        var implied = new DiagnosticValues();
        PriorDiagnostics.AddTo(implied, AdamW, decayShare: 0.005, l2: 0.5, learningRate: 0.01, meanRootSecondMoment: 1e-2, squares: 8, tokens: 100);
        Assert.That(implied.All[0], Is.EqualTo(("priorLambda", 0.005)));
    }
}
