using System.Globalization;
using Trainer.Reports;
using Trainer.Training;

namespace Trainer.Experiments.Definitions;

/// <summary>What weight decay does to training: C3, C4, C5, C7, C9, C12, C13.</summary>
internal static class DecayExperiments
{
    private const int BeforeDrop = 800;

    public static IEnumerable<Experiment> All => [NoGap, HigherLossIsABetterStart, Crossover, EffectiveRate, Equilibrium, Overfitting, Averaging];

    private static Experiment NoGap => new("C3", "weight decay and the generalisation gap, one pass",
        "In training of about one pass, validation loss follows training loss whatever the decay: no gap that a larger lambda would close.",
        "D'Angelo, Andriushchenko et al., Why Do We Need Weight Decay in Modern Deep Learning? (2024), figure 19")
    {
        Setting = $"{Settings.SmallText}; lr 5e-3, 1200 steps, lambda 0, 0.5 and 1.5; evaluations of both splits every 100 steps on equally many tokens.",
        Arms = [.. new[] { 0.0, 0.5, 1.5 }.Select(lambda => new TrainingArm(Name(lambda), x => x.Small().Decayed(lambda) with { EvalEvery = 100 }))],
        Curves = [("valLoss", "Validation loss", "nats per token"), ("trainLoss", "Training loss, evaluated", "nats per token"), ("loss", "Training loss", "nats per token")],
        Expectations =
        [
            new("At equal training loss the gap of validation and training loss differs between lambda 0 and 1.5 by less than 0.01, where their curves overlap.", r =>
            {
                double[] differences = [.. r.Of(Name(1.5)).Zip(r.Of(Name(0)), GapDifference)];
                return new(Judge.Inside(differences, -0.01, 0.01), $"mean difference of the gap, 1.5 - 0, at equal training loss: {new Sample(differences).Text()}");
            }),
        ],
        Charts = r =>
        [
            new Chart("Validation against training loss, all evaluations", "training loss, nats per token", "validation loss, nats per token",
                [.. r.Runs.Select(run => new Series($"{run.Arm}, seed {run.Seed}", run.Arm, [.. run.History.Series("trainLoss").Values.Zip(run.History.Series("valLoss").Values, (x, y) => new Point(x, y))])
                    { Kind = SeriesKind.Scatter })]),
        ],
    };

    private static Experiment HigherLossIsABetterStart => new("C4", "a higher loss can be the better place to start from",
        "At a constant rate the loss grows with lambda; when the rate drops, the run with more decay gains more.",
        "D'Angelo, Andriushchenko et al. (2024), figures 2 and 6: constant rate, and fine-tuning at a tiny one")
    {
        Setting = $"{Settings.SmallText}, but at a constant lr of 5e-3 for 800 steps with lambda 0, 0.5 and 1.5; then 200 steps from its checkpoint at lr x 0.02 without decay, Adam's moments kept.",
        Arms =
        [
            .. Lambdas.SelectMany(lambda => new Arm[]
            {
                new TrainingArm(Name(lambda), x => Constant(x, lambda)),
                new TrainingArm(Dropped(lambda), x => Constant(x, 0) with { BranchFrom = x.Of(Name(lambda)).Checkpoint(BeforeDrop), Steps = BeforeDrop + 200, Lr = 1e-4, WarmupSteps = 0 })
                {
                    After = [Name(lambda)],
                },
            }),
        ],
        Measures = [Measure.TrainLoss, Measure.ValidationLoss, Measure.NormRatio],
        Expectations =
        [
            new("Before the drop the training loss grows with lambda.", r => Judge.Grows(r, [.. Lambdas.Select(Name)], Measure.TrainLoss)),
            new("The gain from the drop grows with lambda.", r =>
            {
                var gains = Lambdas.Select(lambda => r.Difference(Name(lambda), Dropped(lambda), Measure.TrainLoss)).ToArray();
                int growing = Enumerable.Range(0, r.Seeds.Count).Count(seed => gains[0].Values[seed] < gains[1].Values[seed] && gains[1].Values[seed] < gains[2].Values[seed]);
                Outcome outcome = 3 * growing >= 2 * r.Seeds.Count ? Outcome.Seen : growing == 0 ? Outcome.NotSeen : Outcome.Inconclusive;
                return new(outcome, "gain in training loss: " + string.Join("; ", Lambdas.Zip(gains, (lambda, gain) => $"{Name(lambda)} {gain.Text()}")));
            }),
            new("After the drop the order is reversed: the largest lambda has the lowest training loss.", r => Judge.Lower(r, Dropped(1.5), Dropped(0), Measure.TrainLoss)),
        ],
    };

    private static Experiment Crossover => new("C5", "behind in the middle, level or ahead at the end",
        "With a cosine, the decayed run is behind while the rate is high and makes up for it as the rate falls.",
        "Hoffmann et al. (2022), figure A7; D'Angelo, Andriushchenko et al. (2024), figure 6")
    {
        Setting = "The model of the other experiments with initial deviation 0.08, lr 1e-2, 2400 steps; lambda 0 and 0.2.",
        Arms = [.. new[] { 0.0, 0.2 }.Select(lambda => new TrainingArm(Name(lambda), x => x.Small(lr: 1e-2, steps: 2400).Wide().Decayed(lambda) with { EvalEvery = 300 }))],
        Curves = [("valLoss", "Validation loss", "nats per token"), ("trainLoss", "Training loss, evaluated", "nats per token"), ("loss", "Training loss", "nats per token"), ("normRatio", "Weight norm over its initial value", "ratio")],
        Expectations =
        [
            new("The gap in training loss is positive at half time and shrinks from there to three quarters and to the end.", r =>
            {
                var gaps = new long[] { 1200, 1800, 2400 }.Select(step => r.Difference(Name(0.2), Name(0), new Measure("training loss", run => run.At("trainLoss", step)))).ToArray();
                int shrinking = Enumerable.Range(0, r.Seeds.Count).Count(seed => gaps[0].Values[seed] > 0 && gaps[0].Values[seed] > gaps[1].Values[seed] && gaps[1].Values[seed] > gaps[2].Values[seed]);
                Outcome outcome = 3 * shrinking >= 2 * r.Seeds.Count ? Outcome.Seen : shrinking == 0 ? Outcome.NotSeen : Outcome.Inconclusive;
                return new(outcome, $"0.2 - 0 at steps 1200, 1800, 2400: {string.Join("; ", gaps.Select(gap => gap.Text()))}");
            }),
            new("At the end the decayed run has the lower validation loss.", r => Judge.Lower(r, Name(0.2), Name(0), Measure.ValidationLoss)),
        ],
    };

    private static Experiment EffectiveRate => new("C7", "the same effective learning rate without decay",
        "What decay does to the loss curve is its effective learning rate: replayed in a run without decay, lr / |w| gives the same curve.",
        "D'Angelo, Andriushchenko et al. (2024), figure 7")
    {
        Setting = "The model of the other experiments with initial deviation 0.08, lr 1e-2, 1200 steps: lambda 0.5 recorded, lambda 0 plain, and lambda 0 with the recorded lr / |w| for the regularised weights.",
        Arms =
        [
            new TrainingArm("recorded", x => x.Small(lr: 1e-2).Wide().Decayed(0.5)),
            new TrainingArm("plain", x => x.Small(lr: 1e-2).Wide().Decayed(0)),
            new TrainingArm("replayed", x => x.Small(lr: 1e-2).Wide().Decayed(0) with { LrSchedule = "replay", ReplayRun = x.Of("recorded").Directory }) { After = ["recorded"] },
        ],
        Expectations =
        [
            new("The replayed curve is nearer to the recorded one than the plain one is: its largest difference, over means of 50 steps after the warm-up, is less than half as large.", r =>
            {
                double[] shares = [.. Enumerable.Range(0, r.Seeds.Count).Select(seed => Distance(r.Of("replayed")[seed], r.Of("recorded")[seed]) / Distance(r.Of("plain")[seed], r.Of("recorded")[seed]))];
                return new(Judge.Inside(shares, 0, 0.5), $"largest difference of replayed over that of plain: {new Sample(shares).Text("0.00")}; "
                    + $"final training loss, replayed - recorded {r.Difference("replayed", "recorded", Measure.TrainLoss).Text()}, plain - recorded {r.Difference("plain", "recorded", Measure.TrainLoss).Text()}");
            }),
        ],
    };

    private static Experiment Equilibrium => new("C9", "the equilibrium of AdamW",
        "At a constant rate the root mean square of decayed weights settles at sqrt(lr / (2 lambda)).", "Kosson et al., Rotational Equilibrium (2023); Wang and Aitchison (2024)")
    {
        Setting = $"{Settings.SmallText}, but at a constant lr of 5e-3, lambda 1.5, 3000 steps.",
        Seeds = 2,
        Arms = [new TrainingArm("lambda 1.5", x => x.Small(steps: 3000).Decayed(1.5) with { LrSchedule = "constant" })],
        Measures = [EquilibriumRatio, Measure.NormRatio, Settling, Measure.ValidationLoss],
        Expectations =
        [
            new("Over the last third the root mean square is within 30 % of sqrt(lr / (2 lambda)).", r =>
            {
                IReadOnlyList<double> ratios = r.Values("lambda 1.5", EquilibriumRatio);
                return new(Judge.Inside(ratios, 0.7, 1.3), $"measured over predicted: {new Sample(ratios).Text("0.000")}");
            }),
            new("It has settled: the ratio at the end is within 5 % of that at step 1000.", r =>
            {
                IReadOnlyList<double> ratios = r.Values("lambda 1.5", Settling);
                return new(Judge.Inside(ratios, 0.95, 1.05), $"norm ratio at the end over that at step 1000: {new Sample(ratios).Text("0.000")}");
            }),
        ],
    };

    private static Experiment Overfitting => new("C12", "many passes over little text",
        "Where a model can learn its text by heart, decay plays its classical part: a gap without it, and a best lambda in between.", "the MAP reading of weight decay; contrast with C3")
    {
        Setting = $"{Settings.SmallText}; lr 5e-3, 1200 steps on the first 20,000 tokens alone (30 passes); lambda 0 to 4.",
        Seeds = 2,
        Arms = [.. OverfittingLambdas.Select(lambda => new TrainingArm(Name(lambda), x => x.Small().Decayed(lambda) with { TrainTokens = 20_000 }))],
        Measures = [Measure.ValidationLoss, Measure.TrainLoss, Gap, Measure.NormRatio],
        Expectations =
        [
            new("Without decay the gap is above 0.3.", r =>
            {
                IReadOnlyList<double> gaps = r.Values(Name(0), Gap);
                return new(Judge.Inside(gaps, 0.3, double.PositiveInfinity), $"validation - training: {new Sample(gaps).Text()}");
            }),
            new("The training loss grows with lambda.", r => Judge.Grows(r, [.. OverfittingLambdas.Select(Name)], Measure.TrainLoss)),
            new("The validation loss is lowest at a lambda between the smallest and the largest.", r =>
            {
                double[] means = [.. OverfittingLambdas.Select(lambda => r.Values(Name(lambda), Measure.ValidationLoss).Average())];
                int best = Array.IndexOf(means, means.Min());
                return new(best > 0 && best < means.Length - 1 ? Outcome.Seen : Outcome.NotSeen,
                    $"lowest at lambda {OverfittingLambdas[best]}: " + string.Join(", ", OverfittingLambdas.Zip(means, (lambda, mean) => string.Create(CultureInfo.InvariantCulture, $"{lambda} {mean:0.0000}"))));
            }),
        ],
    };

    private static Experiment Averaging => new("C13", "averaged weights as a cheap look ahead",
        "At a constant rate averaged weights are better than the last ones, the more so the larger lambda; after the rate has dropped they are not.",
        "D'Angelo, Andriushchenko et al. (2024), ablations; exponential averages of Polyak's kind")
    {
        Setting = "The runs of C4, with exponential averages of coefficients 0.9 and 0.99 evaluated beside the weights.",
        Arms =
        [
            .. Lambdas.SelectMany(lambda => new Arm[]
            {
                new TrainingArm(Name(lambda), x => Constant(x, lambda) with { Average = ["0.9", "0.99"] }),
                new TrainingArm(Dropped(lambda), x => Constant(x, 0) with
                {
                    BranchFrom = x.Of(Name(lambda)).Checkpoint(BeforeDrop), Steps = BeforeDrop + 200, Lr = 1e-4, WarmupSteps = 0, Average = ["0.9", "0.99"],
                })
                {
                    After = [Name(lambda)],
                },
            }),
        ],
        Measures = [Measure.TrainLoss, Gained("0.9"), Gained("0.99")],
        Expectations =
        [
            new("At the constant rate the average of 0.99 has the lower training loss, at every lambda.", r =>
            {
                double[] gains = [.. Lambdas.SelectMany(lambda => r.Values(Name(lambda), Gained("0.99")))];
                return new(Judge.Inside(gains, 0, double.PositiveInfinity), "weights - average: " + string.Join("; ", Lambdas.Select(lambda => $"{Name(lambda)} {new Sample(r.Values(Name(lambda), Gained("0.99"))).Text()}")));
            }),
            new("What the average gains grows with lambda.", r => Judge.Grows(r, [.. Lambdas.Select(Name)], Gained("0.99"))),
            new("After the drop it gains less than a tenth of that.", r =>
            {
                double[] shares = [.. Lambdas.SelectMany(lambda => r.Values(Dropped(lambda), Gained("0.99")).Zip(r.Values(Name(lambda), Gained("0.99")), (after, before) => after / before))];
                return new(Judge.Inside(shares, double.NegativeInfinity, 0.1), $"gain after over gain before, by lambda and seed: {new Sample(shares).Text("0.00")}");
            }),
        ],
    };

    private static double[] Lambdas => [0, 0.5, 1.5];

    private static double[] OverfittingLambdas => [0, 0.25, 0.5, 1, 2, 4];

    private static Measure Gap => new("validation - training", run => run.Last("valLoss") - run.Last("trainLoss"));

    private static Measure EquilibriumRatio => new("rms / sqrt(lr/(2 lambda))", run =>
        run.Mean("weightNorm", 2000, 3000) / Math.Sqrt(run.RegularisedParameters) / Math.Sqrt(run.Last("lr") / (2 * 1.5)));

    private static Measure Settling => new("final norm / norm at step 1000", run => run.Last("normRatio") / run.At("normRatio", 1000));

    private static Measure Gained(string coefficient) => new($"training loss - that of the average {coefficient}", run => run.Last("trainLoss") - run.Last($"trainLossEma/{coefficient}"));

    private static string Name(double lambda) => string.Create(CultureInfo.InvariantCulture, $"lambda {lambda}");

    private static string Dropped(double lambda) => $"{Name(lambda)}, dropped";

    private static TrainingSettings Constant(ArmContext x, double lambda) =>
        x.Small(steps: BeforeDrop).Decayed(lambda) with { LrSchedule = "constant", EvalEvery = BeforeDrop, CheckpointEvery = BeforeDrop };

    // The mean of the gap of one run minus that of another at the same training loss, over the losses that both went through after the first evaluation.
    private static double GapDifference(FinishedRun run, FinishedRun other)
    {
        static (double Train, double Gap)[] Evaluations(FinishedRun of) =>
            [.. of.History.Series("trainLoss").Values.Zip(of.History.Series("valLoss").Values, (train, held) => (train, held - train)).OrderBy(pair => pair.train)];
        var reference = Evaluations(other);
        var differences = new List<double>();
        foreach ((double train, double gap) in Evaluations(run))
        {
            int above = Array.FindIndex(reference, pair => pair.Train >= train);
            if (above <= 0)
                continue;
            (double left, double leftGap) = reference[above - 1];
            (double right, double rightGap) = reference[above];
            differences.Add(gap - (leftGap + ((rightGap - leftGap) * (train - left) / (right - left))));
        }

        return differences.Count > 0 ? differences.Average() : double.NaN;
    }

    private static double Distance(FinishedRun run, FinishedRun other)
    {
        double worst = 0;
        for (long step = 100; step < run.History.LastStep; step += 50)
            worst = Math.Max(worst, Math.Abs(run.Mean("loss", step, step + 50) - other.Mean("loss", step, step + 50)));
        return worst;
    }
}
