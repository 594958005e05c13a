using System.Globalization;
using Trainer.Reports;

namespace Trainer.Experiments.Definitions;

/// <summary>Weight norm control against weight decay: C1, C2, C10, C11, C15.</summary>
internal static class NormControlExperiments
{
    private const double Rate = 0.1;

    public static IEnumerable<Experiment> All => [CoreClaim, Tracking, Sensitivity, Conventions, Bounds];

    private static Experiment CoreClaim => new("C1", "norm control against weight decay at the same norm",
        "At the same final weight norm, AdamWN reaches a lower loss than AdamW.", "Loshchilov, Weight Norm Control (2023), figures 2 and 3")
    {
        Setting = $"{Settings.SmallText}; lr 5e-3, 1200 steps, initial deviation 0.02. AdamW with 13.a lambda 0.5; AdamWN with its final norm ratio as target, reached over 60 steps, rate 0.1.",
        Arms =
        [
            new TrainingArm("adamw", x => x.Small().Decayed(0.5)),
            new TrainingArm("adamwn", x => x.Small().Controlled(x.Of("adamw").Last("normRatio"), Rate)) { After = ["adamw"] },
        ],
        Expectations =
        [
            new("The final norm ratios agree within 2 %.", r =>
            {
                double[] gaps = [.. r.Values("adamwn", Measure.NormRatio).Zip(r.Values("adamw", Measure.NormRatio), (a, b) => (a / b) - 1)];
                return new(Judge.Inside(gaps, -0.02, 0.02), $"relative gap: {new Sample(gaps).Text()}");
            }),
            new("AdamWN has the lower validation loss and the lower training loss in at least 2 of 3 seeds.",
                r => Judge.Lower(r, "adamwn", "adamw", Measure.ValidationLoss, Measure.TrainLoss)),
            new("AdamWN is behind at first, while its norm is held: its training loss over the first quarter is higher.", r =>
            {
                var early = new Measure("training loss over steps 61 to 300", run => run.Mean("loss", 60, 300));
                return Opposite(Judge.Lower(r, "adamwn", "adamw", early));
            }),
        ],
    };

    private static Experiment Tracking => new("C2", "how closely norm control holds its target",
        "With k = 1 the norm is on target; with a smaller k it stands above it by about (lr / rms)^2 / (2 k); the loss does not depend much on k.",
        "Loshchilov, Weight Norm Control (2023), equation 3; overshoot derived from Adam's random walk")
    {
        Setting = $"{Settings.SmallText}; 1200 steps, target 3.1. Three arms with the cosine of C1 and rates 0.01, 0.1 and 1; one at a constant rate of 1e-3 and k = 0.1, where the overshoot is read.",
        Arms =
        [
            new TrainingArm("k=0.01", x => x.Small().Controlled(3.1, 0.01)),
            new TrainingArm("k=0.1", x => x.Small().Controlled(3.1, 0.1)),
            new TrainingArm("k=1", x => x.Small().Controlled(3.1, 1)),
            new TrainingArm("k=0.1, constant lr", x => x.Small(lr: 1e-3).Controlled(3.1, 0.1) with { LrSchedule = "constant" }),
            new TrainingArm("k=0.01, constant lr", x => x.Small(lr: 1e-3).Controlled(3.1, 0.01) with { LrSchedule = "constant" }),
        ],
        Curves = [("targetGap", "Norm above target, over target", "share"), ("loss", "Training loss", "nats per token"), ("normRatio", "Weight norm over its initial value", "ratio")],
        Measures = [Measure.ValidationLoss, Measure.TrainLoss, Measure.NormRatio, StandingGap, PredictedGap, LengthGap],
        Expectations =
        [
            new("With k = 1 the norm is on target to 1e-6 at every step.", r =>
            {
                double[] worst = [.. r.Of("k=1").Select(run => run.History.Series("targetGap").Values.Max(Math.Abs))];
                return new(Judge.Inside(worst, 0, 1e-6), $"largest gap: {new Sample(worst).Text("0.0e0")}");
            }),
            new("At a constant rate the standing overshoot is (lr / rms)^2 / (2 k) within a factor of 2.", r =>
            {
                string[] arms = ["k=0.1, constant lr", "k=0.01, constant lr"];
                double[] factors = [.. arms.SelectMany(arm => r.Of(arm).Select(run => StandingGap.Of(run) / PredictedGap.Of(run)))];
                double[] lengths = [.. arms.SelectMany(arm => r.Of(arm).Select(run => LengthGap.Of(run) / StandingGap.Of(run)))];
                return new(Judge.Inside(factors, 0.5, 2), $"measured over predicted, by arm and seed: {new Sample(factors).Text("0.00")}. The prediction is of a random walk: "
                    + $"the length of each step alone explains the share {new Sample(lengths).Text("0.000")} of the gap; the rest is the outward component of steps that are correlated with those before them");
            }),
            new("The final validation losses of k = 0.01, 0.1 and 1 differ by less than 0.03.", r =>
            {
                double[] spans = [.. Enumerable.Range(0, r.Seeds.Count).Select(seed =>
                {
                    double[] losses = [.. new[] { "k=0.01", "k=0.1", "k=1" }.Select(arm => r.Values(arm, Measure.ValidationLoss)[seed])];
                    return losses.Max() - losses.Min();
                })];
                return new(Judge.Inside(spans, 0, 0.03), $"largest difference: {new Sample(spans).Text()}");
            }),
        ],
    };

    private static Measure StandingGap => new("gap over the last quarter", run => run.Mean("targetGap", run.History.LastStep * 3 / 4, run.History.LastStep));

    // A step of the share u of the norm, at right angles to it, lengthens it by u² / 2; k takes away k times the gap.
    private static Measure LengthGap => new("updateRatio^2/(2k)", run =>
    {
        long last = run.History.LastStep;
        double square = run.History.Series("updateRatio").Values.Skip((int)(last * 3 / 4)).Average(ratio => ratio * ratio);
        return square / (2 * run.Settings.NormRate);
    });

    private static Measure PredictedGap => new("(lr/rms)^2/(2k)", run =>
    {
        double rate = run.Settings.NormRate, rms = run.Last("weightNorm") / Math.Sqrt(run.RegularisedParameters);
        return Math.Pow(run.Last("lr") / rms, 2) / (2 * rate);
    });

    private static Experiment Sensitivity => new("C10", "what sets the final norm",
        "The final norm depends on lambda in a way that moves with learning rate and length; under norm control it is what was asked for.",
        "Loshchilov, Weight Norm Control (2023), figure 3, bottom right")
    {
        Setting = $"{Settings.SmallText}; lr 5e-3, 600 steps; lambda 0 to 2 against targets 1.5 to 6 at rate 0.1; lambda 0.5 also at half the learning rate and at twice the steps.",
        Seeds = 2,
        Arms =
        [
            .. Lambdas.Select(lambda => new TrainingArm(Name("lambda", lambda), x => x.Small(steps: 600).Decayed(lambda))),
            .. Targets.Select(target => new TrainingArm(Name("r", target), x => x.Small(steps: 600).Controlled(target, Rate))),
            new TrainingArm("lambda 0.5, lr 2.5e-3", x => x.Small(lr: 2.5e-3, steps: 600).Decayed(0.5)),
            new TrainingArm("lambda 0.5, 1200 steps", x => x.Small().Decayed(0.5)),
            new TrainingArm("r 3, lr 2.5e-3", x => x.Small(lr: 2.5e-3, steps: 600).Controlled(3, Rate)),
            new TrainingArm("r 3, 1200 steps", x => x.Small().Controlled(3, Rate)),
        ],
        Expectations =
        [
            new("Under norm control the final ratio is the target within 2 %, at any learning rate and length.", r =>
            {
                double[] gaps =
                [
                    .. Targets.SelectMany(target => r.Values(Name("r", target), Measure.NormRatio).Select(ratio => (ratio / target) - 1)),
                    .. new[] { "r 3, lr 2.5e-3", "r 3, 1200 steps" }.SelectMany(arm => r.Values(arm, Measure.NormRatio).Select(ratio => (ratio / 3) - 1)),
                ];
                return new(Judge.Inside(gaps, -0.02, 0.02), string.Create(CultureInfo.InvariantCulture, $"relative gaps from {gaps.Min():0.0000} to {gaps.Max():0.0000}"));
            }),
            new("Under decay the ratio falls with lambda, and not in proportion: from 0.5 to 2 it changes less than from 0 to 0.5.", r =>
            {
                double[] Of(double lambda) => [.. r.Values(Name("lambda", lambda), Measure.NormRatio)];
                double[] share = [.. Of(0).Zip(Of(0.5), Of(2)).Select(x => (x.Second - x.Third) / (x.First - x.Second))];
                return new(Judge.Inside(share, 0, 0.999), $"fall from 0.5 to 2 over that from 0 to 0.5: {new Sample(share).Text("0.000")}");
            }),
            new("The same lambda ends elsewhere at half the learning rate or twice the steps: by more than 5 %.", r =>
            {
                double[] changes = [.. new[] { "lambda 0.5, lr 2.5e-3", "lambda 0.5, 1200 steps" }.SelectMany(arm =>
                    r.Values(arm, Measure.NormRatio).Zip(r.Values(Name("lambda", 0.5), Measure.NormRatio), (a, b) => Math.Abs((a / b) - 1)))];
                return new(Judge.Inside(changes, 0.05, double.PositiveInfinity), $"relative changes, lr then steps, by seed: {new Sample(changes).Text("0.000")}");
            }),
        ],
        Charts = r =>
        [
            new Chart("Final norm ratio against what was asked for", "lambda, or target r", "norm ratio",
            [
                Points(r, "decay", Lambdas, lambda => Name("lambda", lambda), Measure.NormRatio), Points(r, "norm control", Targets, target => Name("r", target), Measure.NormRatio),
            ]),
            new Chart("Final validation loss against final norm ratio", "norm ratio", "nats per token",
            [
                ByNorm(r, "decay", Lambdas.Select(lambda => Name("lambda", lambda))), ByNorm(r, "norm control", Targets.Select(target => Name("r", target))),
            ]),
        ],
    };

    private static Experiment Conventions => new("C11", "decay 13.a against 13.b",
        "In 13.a a change of the learning rate changes the decay; in 13.b, whose lambda is not multiplied by it, it does not.",
        "Loshchilov, Weight Norm Control (2023), sections 3 and 6")
    {
        Setting = $"{Settings.SmallText}; lr 2.5e-3 and 5e-3, 1200 steps; 13.a lambda 0.5; 13.b lambda 2.5e-3, the same decay at lr 5e-3.",
        Arms =
        [
            new TrainingArm("13.a, lr 5e-3", x => x.Small().Decayed(0.5)),
            new TrainingArm("13.a, lr 2.5e-3", x => x.Small(lr: 2.5e-3).Decayed(0.5)),
            new TrainingArm("13.b, lr 5e-3", x => x.Small() with { Regularizer = "decay-decoupled", WeightDecay = 2.5e-3 }),
            new TrainingArm("13.b, lr 2.5e-3", x => x.Small(lr: 2.5e-3) with { Regularizer = "decay-decoupled", WeightDecay = 2.5e-3 }),
        ],
        Expectations =
        [
            new("At lr 5e-3 the two are the same run.", r =>
            {
                Sample difference = r.Difference("13.a, lr 5e-3", "13.b, lr 5e-3", Measure.NormRatio);
                return new(Judge.Inside(difference.Values, -1e-4, 1e-4), $"difference of the final ratios: {difference.Text("0.0e0")}");
            }),
            new("Halving the learning rate, with less gradient step and the same decay, lowers the norm of 13.b; that of 13.a, whose decay is halved with it, is higher than 13.b's.", r =>
            {
                Sample b = r.Difference("13.b, lr 2.5e-3", "13.b, lr 5e-3", Measure.NormRatio), ab = r.Difference("13.a, lr 2.5e-3", "13.b, lr 2.5e-3", Measure.NormRatio);
                return new(Judge.All([Judge.Sign(b, negative: true), Judge.Sign(ab, negative: false)]), $"13.b, lr halved: {b.Text()}; 13.a - 13.b at half the lr: {ab.Text()}");
            }),
        ],
    };

    private static Experiment Bounds => new("C15", "bounds for each tensor: CPR",
        "CPR caps the norm of each matrix where it was after a warm start, and acts only where it is exceeded.", "Franke et al., Constrained Parameter Regularization (2023)")
    {
        Setting = $"{Settings.SmallText}; lr 5e-3, 1200 steps; no decay, AdamW 0.5, CPR with Kappa-WS after 80 steps and with Kappa-IP.",
        Arms =
        [
            new TrainingArm("none", x => x.Small().Decayed(0)),
            new TrainingArm("adamw", x => x.Small().Decayed(0.5)),
            new TrainingArm("cpr ws", x => x.Small() with { Regularizer = "cpr", CprKappa = "ws", CprSteps = 80, DiagnosticsEvery = 100 }),
            new TrainingArm("cpr ip", x => x.Small() with { Regularizer = "cpr", CprKappa = "ip", DiagnosticsEvery = 100 }),
        ],
        Expectations =
        [
            new("Under Kappa-WS the norm stays where it was at step 80, within 5 %.", r =>
            {
                double[] growth = [.. r.Of("cpr ws").Select(run => run.Last("normRatio") / run.At("normRatio", 80))];
                return new(Judge.Inside(growth, 0.95, 1.05), $"final norm over that at step 80: {new Sample(growth).Text("0.000")}");
            }),
            new("CPR has a lower validation loss than no decay.", r => Judge.Lower(r, "cpr ws", "none", Measure.ValidationLoss)),
            new("CPR has a lower validation loss than AdamW.", r => Judge.Lower(r, "cpr ws", "adamw", Measure.ValidationLoss)),
        ],
    };

    private static double[] Lambdas => [0, 0.1, 0.2, 0.5, 1, 2];

    private static double[] Targets => [1.5, 2, 3, 4, 6];

    private static string Name(string what, double value) => string.Create(CultureInfo.InvariantCulture, $"{what} {value}");

    private static Finding Opposite(Finding finding) => finding with
    {
        Outcome = finding.Outcome switch { Outcome.Seen => Outcome.NotSeen, Outcome.NotSeen => Outcome.Seen, _ => Outcome.Inconclusive },
    };

    private static Series Points(ExperimentResults r, string group, double[] xs, Func<double, string> arm, Measure measure) => new(group, group,
        [.. xs.Select(x => (X: x, Sample: new Sample(r.Values(arm(x), measure)))).Select(p => new Point(p.X, p.Sample.Mean, double.IsNaN(p.Sample.StandardError) ? 0 : p.Sample.StandardError))]);

    private static Series ByNorm(ExperimentResults r, string group, IEnumerable<string> arms) => new(group, group,
        [.. arms.Select(arm => new Point(r.Values(arm, Measure.NormRatio).Average(), r.Values(arm, Measure.ValidationLoss).Average()))])
    { Kind = SeriesKind.Scatter };
}
