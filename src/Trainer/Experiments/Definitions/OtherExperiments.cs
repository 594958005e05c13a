using System.Globalization;
using Trainer.Reports;

namespace Trainer.Experiments.Definitions;

/// <summary>Low precision and the small models: C6, C6b, C8, C14.</summary>
internal static class OtherExperiments
{
    public static IEnumerable<Experiment> All => [LowPrecision, FewBits, ScaleInvariance, Stabilisation];

    private static Experiment LowPrecision => new("C6", "weights in bf16 and weight decay",
        "In weights of 8 significant bits many updates are lost to rounding, the more the smaller the rate and the larger the norm; decay is lost in part; stochastic rounding undoes most of it.",
        "D'Angelo, Andriushchenko et al. (2024), section on bf16; here with weights that are themselves bf16")
    {
        Setting = $"{Settings.SmallText}; lr 5e-3, 600 steps; lambda 0 and 0.5; fp32, and weights rounded to bf16 after each step, to the nearest or at random.",
        Arms = [.. Lambdas.SelectMany(lambda => Precisions.Select(precision => new TrainingArm(Name(precision, lambda), x => x.Small(steps: 600).Decayed(lambda) with { Precision = precision })))],
        Curves = [("lostUpdates", "Share of updates that rounding undoes", "share"), ("loss", "Training loss", "nats per token"), ("normRatio", "Weight norm over its initial value", "ratio")],
        Measures = [Measure.ValidationLoss, Measure.TrainLoss, Measure.NormRatio, Lost(50, 150), Lost(500, 600)],
        Expectations =
        [
            new("The share of lost updates rises as the rate falls: it is larger over the last 100 steps than over steps 51 to 150.", r =>
            {
                double[] rises = [.. Lambdas.SelectMany(lambda => r.Of(Name("bf16-pure", lambda)).Select(run => Lost(500, 600).Of(run) - Lost(50, 150).Of(run)))];
                return new(Judge.Inside(rises, 0, 1), $"late - early, by lambda and seed: {new Sample(rises).Text("0.000")}");
            }),
            new("It is larger without decay, where the norm is larger.", r => Judge.Lower(r, Name("bf16-pure", 0.5), Name("bf16-pure", 0), Lost(500, 600))),
            new("Rounding to the nearest ends with a higher training loss than fp32.", r => new(
                Judge.All([.. Lambdas.Select(lambda => Judge.Sign(r.Difference(Name("bf16-pure", lambda), Name("fp32", lambda), Measure.TrainLoss), negative: false))]),
                string.Join("; ", Lambdas.Select(lambda => $"lambda {Text(lambda)}: {r.Difference(Name("bf16-pure", lambda), Name("fp32", lambda), Measure.TrainLoss).Text()}")))),
            new("With decay it ends with a larger norm than fp32, since decay is lost in part.", r =>
            {
                Sample difference = r.Difference(Name("bf16-pure", 0.5), Name("fp32", 0.5), Measure.NormRatio);
                return new(Judge.Sign(difference, negative: false), $"norm ratio, bf16-pure - fp32 at lambda 0.5: {difference.Text()}");
            }),
            new("Stochastic rounding takes away more than half of that excess.", r =>
            {
                Sample nearest = r.Difference(Name("bf16-pure", 0.5), Name("fp32", 0.5), Measure.NormRatio), random = r.Difference(Name("bf16-pure-stochastic", 0.5), Name("fp32", 0.5), Measure.NormRatio);
                double[] shares = [.. random.Values.Zip(nearest.Values, (a, b) => Math.Abs(a) / Math.Abs(b))];
                return new(Judge.Inside(shares, 0, 0.5), $"excess of stochastic over that of nearest: {new Sample(shares).Text("0.00")}");
            }),
        ],
    };

    private static Experiment FewBits => new("C6b", "divergence in few bits",
        "Without decay, weights grow until products of few bits make training diverge.", "D'Angelo, Andriushchenko et al. (2024), figure 8, a late event of large models; not expected at this size")
    {
        Setting = $"{Settings.SmallText}, but at a constant lr of 5e-3 for 800 steps; factors and results of all matrix products of 3 mantissa bits, and fp32; lambda 0 and 0.5.",
        Seeds = 2,
        Arms = [.. Lambdas.SelectMany(lambda => new[] { "fp32", "mantissa:3" }.Select(precision =>
            new TrainingArm(Name(precision, lambda), x => x.Small(steps: 800).Decayed(lambda) with { Precision = precision, LrSchedule = "constant" })))],
        Expectations =
        [
            new("With 3 bits the run without decay diverges (its loss ends above 3 nats), and the decayed one does not.", r =>
            {
                IReadOnlyList<double> without = r.Values(Name("mantissa:3", 0), Measure.TrainLoss), with = r.Values(Name("mantissa:3", 0.5), Measure.TrainLoss);
                return new(Judge.All([Judge.Inside(without, 3, double.PositiveInfinity), Judge.Inside(with, 0, 3)]),
                    $"final training loss at 3 bits: lambda 0 {new Sample(without).Text()}, lambda 0.5 {new Sample(with).Text()}");
            }),
            new("The loss that 3 bits cost is larger without decay.", r =>
            {
                double[] Cost(double lambda) => [.. r.Difference(Name("mantissa:3", lambda), Name("fp32", lambda), Measure.TrainLoss).Values];
                var difference = new Sample([.. Cost(0).Zip(Cost(0.5), (a, b) => a - b)]);
                return new(Judge.Sign(difference, negative: false), $"3 bits - fp32: lambda 0 {new Sample(Cost(0)).Text()}, lambda 0.5 {new Sample(Cost(0.5)).Text()}");
            }),
        ],
    };

    private static Experiment ScaleInvariance => new("C8", "the law of scale-invariant weights",
        "Under SGD with decay the squared norm of scale-invariant weights settles at a constant times sqrt(eta / lambda), the effective rate at one times sqrt(eta lambda), and each step turns them by sqrt(2 eta lambda); "
        + "without decay the squared norm grows like the root of time.",
        "Labatie (2023), figures 1 and 2; van Laarhoven (2017)")
    {
        Setting = "Logistic regression on the direction of 64 weights, a tenth of the labels flipped, SGD with batches of 4; eta 0.02, 0.08, 0.32 and lambda 5e-4, 2e-3, 8e-3, each for twelve time constants; and without decay.",
        Seeds = 1,
        Arms =
        [
            .. ScaleInvariantOptions.Grid().Select(options => new ToyArm(GridName(options), (directory, seed) => ToyRun.Write(directory, options with { Seed = seed }))),
            new ToyArm("no decay", (directory, seed) => ToyRun.Write(directory, new ScaleInvariantOptions { LearningRate = 0.32, Steps = 100_000, Seed = seed })),
        ],
        Curves = [("weightNorm", "Weight norm", "norm"), ("elr", "Effective rate eta / |w|^2", "rate"), ("angle", "Angle of a step", "radians")],
        Measures = [Measure.Result("squaredNormToTheory"), Measure.Result("elrToTheory"), Measure.Result("angleToTheory"), Measure.Result("growthExponent")],
        Expectations =
        [
            new("|w|^2 / sqrt(eta / lambda) is the same within 10 % over 16 times eta and 16 times lambda.", r => Spread(r, "squaredNormToTheory", 1.1)),
            new("(eta / |w|^2) / sqrt(eta lambda) is the same within 10 %.", r => Spread(r, "elrToTheory", 1.1)),
            new("The angle of a step is sqrt(2 eta lambda) within 1 %.", r =>
            {
                double[] angles = [.. Grid(r, "angleToTheory")];
                return new(Judge.Inside(angles, 0.99, 1.01), string.Create(CultureInfo.InvariantCulture, $"from {angles.Min():0.0000} to {angles.Max():0.0000} times that"));
            }),
            new("Without decay |w|^2 grows as t to the power of 1/2, within 0.05.", r =>
            {
                IReadOnlyList<double> exponents = r.Values("no decay", Measure.Result("growthExponent"));
                return new(Judge.Inside(exponents, 0.45, 0.55), $"exponent: {new Sample(exponents).Text("0.000")}");
            }),
        ],
    };

    private static Experiment Stabilisation => new("C14", "large rates, decay and the curvature they end at",
        "SGD at a large rate holds the loss at a level set by the rate; the longer it is held there, the flatter (smaller trace of the Hessian) the place that a drop of the rate leads to, until the rate is too large.",
        "Andriushchenko et al., SGD with Large Step Sizes Learns Sparse Features (2023); D'Angelo, Andriushchenko et al. (2024), figures 2 to 4")
    {
        Setting = "Two-layer ReLU network of 64 units, a teacher of 4 units over 32 inputs, 128 noisy samples, batches of 4; eta 0.0025 to 0.04 for 20,000 steps, then 1e-3 for 20,000; lambda 0 and 1e-3.",
        Seeds = 3,
        Arms = [.. TwoLayerReluOptions.Grid(ReluTask.TeacherStudent).Select(options => new ToyArm(GridName(options), (directory, seed) => ToyRun.Write(directory, options with { Seed = seed })))],
        Curves = [("loss", "Training loss", "half the mean squared error"), ("testLoss", "Test loss", "half the mean squared error"), ("weightNorm", "Weight norm", "norm")],
        Measures = [Measure.Result("plateauLoss"), Measure.Result("loss"), Measure.Result("testLoss"), Measure.Result("weightNorm"), Measure.Result("hessianTrace")],
        Expectations =
        [
            new("The level at which the loss is held rises with the rate (lambda 1e-3).", r => Judge.Grows(r, Decayed, Measure.Result("plateauLoss"), "0.000e0")),
            new("After the drop the trace of the Hessian falls with the rate before it (lambda 1e-3).", r => Judge.Grows(r, [.. Decayed.Reverse()], Measure.Result("hessianTrace"), "0.000")),
            new("The test loss is lowest at a rate between the smallest and the largest (lambda 1e-3).", r =>
            {
                double[] means = [.. Decayed.Select(arm => r.Values(arm, Measure.Result("testLoss")).Average())];
                int best = Array.IndexOf(means, means.Min());
                return new(best > 0 && best < means.Length - 1 ? Outcome.Seen : Outcome.NotSeen, $"lowest for {Decayed[best]}: " + string.Join(", ", means.Select(mean => mean.ToString("0.0000", CultureInfo.InvariantCulture))));
            }),
            new("With decay the test loss is lower than without, at the largest rate and at the smallest.", r => new(
                Judge.All([Judge.Sign(r.Difference(Decayed[^1], Undecayed[^1], Measure.Result("testLoss")), negative: true), Judge.Sign(r.Difference(Decayed[0], Undecayed[0], Measure.Result("testLoss")), negative: true)]),
                $"largest: {r.Difference(Decayed[^1], Undecayed[^1], Measure.Result("testLoss")).Text()}; smallest: {r.Difference(Decayed[0], Undecayed[0], Measure.Result("testLoss")).Text()}")),
        ],
    };

    private static double[] Lambdas => [0, 0.5];

    private static string[] Precisions => ["fp32", "bf16-pure", "bf16-pure-stochastic"];

    private static string[] Decayed => [.. TwoLayerReluOptions.Grid(ReluTask.TeacherStudent).Where(options => options.WeightDecay > 0).Select(GridName)];

    private static string[] Undecayed => [.. TwoLayerReluOptions.Grid(ReluTask.TeacherStudent).Where(options => options.WeightDecay == 0).Select(GridName)];

    private static Measure Lost(long from, long to) => new($"lost updates, steps {from + 1} to {to}", run => run.Mean("lostUpdates", from, to));

    private static string Text(double value) => value.ToString(CultureInfo.InvariantCulture);

    private static string Name(string precision, double lambda) => $"{precision.Replace(':', '-')}, lambda {Text(lambda)}";

    private static string GridName(ScaleInvariantOptions options) => $"eta {Text(options.LearningRate)}, lambda {Text(options.WeightDecay)}";

    private static string GridName(TwoLayerReluOptions options) => $"eta {Text(options.LearningRate)}, lambda {Text(options.WeightDecay)}";

    private static IEnumerable<double> Grid(ExperimentResults r, string name) => ScaleInvariantOptions.Grid().SelectMany(options => r.Values(GridName(options), Measure.Result(name)));

    private static Finding Spread(ExperimentResults r, string name, double most)
    {
        double[] values = [.. Grid(r, name)];
        return new(Judge.Inside([values.Max() / values.Min()], 1, most), string.Create(CultureInfo.InvariantCulture, $"from {values.Min():0.000} to {values.Max():0.000}"));
    }
}
