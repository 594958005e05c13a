using System.Globalization;
using Trainer.Training;

namespace Trainer.Experiments.Definitions;

/// <summary>The same claims at sizes that need a GPU: G1 to G8. They take minutes for each arm on a large one.</summary>
internal static class GpuExperiments
{
    private const string ModelText = "GPT-2 of 6 layers, 384 channels, 6 heads, 256 tokens of context; 32,768 tokens a step; cosine to a tenth";

    public static IEnumerable<Experiment> All => [CoreClaim, Crossover, HigherLossIsABetterStart, NativeSize, Instability, EffectiveRate, Ablations, ThreeWays];

    private static Experiment CoreClaim => new("G1", "norm control against weight decay at the same norm", "At the same final weight norm, AdamWN reaches a lower loss than AdamW.",
        "Loshchilov, Weight Norm Control (2023), figures 2 and 3")
    {
        Setting = $"{ModelText}; lr 2e-3, 6000 steps; AdamW lambda 0.5, AdamWN to its norm over 300 steps at rate 0.03.",
        Scale = LabScale.Gpu,
        Seeds = 1,
        Arms =
        [
            new TrainingArm("adamw", x => Medium(x, 6000).Decayed(0.5)),
            new TrainingArm("adamwn", x => Medium(x, 6000).Controlled(x.Of("adamw").Last("normRatio"), 0.03)) { After = ["adamw"] },
        ],
        Expectations =
        [
            new("The final norm ratios agree within 2 %.", r =>
            {
                double[] gaps = [.. r.Values("adamwn", Measure.NormRatio).Zip(r.Values("adamw", Measure.NormRatio), (a, b) => (a / b) - 1)];
                return new(Judge.Inside(gaps, -0.02, 0.02), $"relative gap: {new Sample(gaps).Text()}");
            }),
            new("AdamWN has the lower validation and training loss.", r => Judge.Lower(r, "adamwn", "adamw", Measure.ValidationLoss, Measure.TrainLoss)),
        ],
    };

    private static Experiment Crossover => new("G2", "behind in the middle, ahead at the end", "With a cosine, decayed runs are behind while the rate is high and ahead at the end.",
        "Hoffmann et al. (2022), figure A7")
    {
        Setting = $"{ModelText}; lr 2e-3, 4000 steps; lambda 0, 0.25 and 0.75.",
        Scale = LabScale.Gpu,
        Seeds = 1,
        Arms = [.. Lambdas.Select(lambda => new TrainingArm(Name(lambda), x => Medium(x, 4000).Decayed(lambda)))],
        Expectations =
        [
            new("At half time the decayed runs have the higher training loss.", r =>
            {
                var half = new Measure("training loss over steps 1801 to 2200", run => run.Mean("loss", 1800, 2200));
                return Judge.Lower(r, Name(0), Name(0.75), half);
            }),
            new("At the end lambda 0.25 has the lower training loss than 0.", r => Judge.Lower(r, Name(0.25), Name(0), Measure.TrainLoss)),
        ],
    };

    private static Experiment HigherLossIsABetterStart => new("G3", "a higher loss can be the better place to start from", "After a drop of the rate the order of the decays is reversed.",
        "D'Angelo, Andriushchenko et al. (2024), figures 2 and 6")
    {
        Setting = $"{ModelText}, but at a constant lr of 2e-3 for 2000 steps; then 400 at a sixtieth without decay.",
        Scale = LabScale.Gpu,
        Seeds = 1,
        Arms =
        [
            .. Lambdas.SelectMany(lambda => new Arm[]
            {
                new TrainingArm(Name(lambda), x => Medium(x, 2000).Decayed(lambda) with { LrSchedule = "constant" }),
                new TrainingArm($"{Name(lambda)}, dropped", x => Medium(x, 2400).Decayed(0) with
                {
                    BranchFrom = x.Of(Name(lambda)).Checkpoint(2000), LrSchedule = "constant", Lr = 2e-3 / 60, WarmupSteps = 0,
                })
                {
                    After = [Name(lambda)],
                },
            }),
        ],
        Expectations =
        [
            new("Before the drop the training loss grows with lambda.", r => Judge.Grows(r, [.. Lambdas.Select(Name)], Measure.TrainLoss)),
            new("After it lambda 0.75 has the lower training loss than 0.", r => Judge.Lower(r, $"{Name(0.75)}, dropped", $"{Name(0)}, dropped", Measure.TrainLoss)),
        ],
    };

    private static Experiment NativeSize => new("G4", "GPT-2 124M, a short run", "The signature of decay at the native size in miniature: behind in the middle, level at the end.",
        "D'Angelo, Andriushchenko et al. (2024), figure 6")
    {
        Setting = "GPT-2 124M at 256 tokens of context, 65,536 tokens a step, lr 1e-3, 1000 steps; lambda 0 and 3.",
        Scale = LabScale.Gpu,
        Seeds = 1,
        Arms = [.. new[] { 0.0, 3.0 }.Select(lambda => new TrainingArm(Name(lambda), x => Large(x, 256, 1000).Decayed(lambda)))],
        Expectations = [new("The gap in training loss shrinks from half time to the end.", r =>
        {
            Sample Gap(long from, long to) => r.Difference(Name(3), Name(0), new Measure("loss", run => run.Mean("loss", from, to)));
            Sample half = Gap(450, 550), end = Gap(900, 1000);
            return new(Judge.Sign(new Sample([.. end.Values.Zip(half.Values, (a, b) => a - b)]), negative: true), $"3 - 0 at half time {half.Text()}, at the end {end.Text()}");
        })],
    };

    private static Experiment Instability => new("G5", "bf16 and large weights", "Without decay norms grow, and with them the errors of bf16; divergence comes late, if at all in a run of minutes.",
        "D'Angelo, Andriushchenko et al. (2024), figure 8")
    {
        Setting = "GPT-2 124M, 65,536 tokens a step, 1000 steps at lr 1e-3 and 6e-3; lambda 0 and 5e-3 / lr; bf16-mixed, tf32 and bf16-pure.",
        Scale = LabScale.Gpu,
        Seeds = 1,
        Arms = [.. from lr in new[] { 1e-3, 6e-3 }
                   from precision in new[] { "bf16-mixed", "tf32", "bf16-pure" }
                   from decays in new[] { false, true }
                   select new TrainingArm(Instable(lr, precision, decays), x => Large(x, 1024, 1000).Decayed(decays ? 5e-3 / lr : 0) with { Lr = lr, Precision = precision, DiagnosticsEvery = 100 })],
        Expectations = [new("At lr 6e-3 in bf16 the norm grows without decay to more than twice that with it.", r =>
        {
            double[] ratios = [.. r.Values(Instable(6e-3, "bf16-mixed", false), Measure.NormRatio).Zip(r.Values(Instable(6e-3, "bf16-mixed", true), Measure.NormRatio), (a, b) => a / b)];
            return new(Judge.Inside(ratios, 2, double.PositiveInfinity), $"norm without over with: {new Sample(ratios).Text("0.00")}");
        })],
    };

    private static Experiment EffectiveRate => new("G6", "the same effective learning rate without decay", "Replayed in a run without decay, the effective rate gives the same curve.",
        "D'Angelo, Andriushchenko et al. (2024), figure 7")
    {
        Setting = $"{ModelText}; lr 2e-3, 4000 steps in tf32; lambda 0.5 recorded, replayed without decay. The replay follows the norm from step to step and runs on a CPU backend only so far.",
        Scale = LabScale.Gpu,
        Seeds = 1,
        Arms =
        [
            new TrainingArm("recorded", x => Medium(x, 4000).Decayed(0.5) with { Precision = "tf32" }),
            new TrainingArm("replayed", x => Medium(x, 4000).Decayed(0) with { Precision = "tf32", LrSchedule = "replay", ReplayRun = x.Of("recorded").Directory }) { After = ["recorded"] },
        ],
        Expectations = [new("The final training losses differ by less than 0.01.", r =>
        {
            Sample difference = r.Difference("replayed", "recorded", Measure.TrainLoss);
            return new(Judge.Inside(difference.Values, -0.01, 0.01), $"replayed - recorded: {difference.Text()}");
        })],
    };

    private static Experiment Ablations => new("G7", "other optimizers and sets", "Adam with L2 and SGD with momentum show the same order as AdamW; layer normalisations matter at a large lambda only.",
        "D'Angelo, Andriushchenko et al. (2024), ablations")
    {
        Setting = $"{ModelText}; 4000 steps; Adam with L2 lambda 2e-6 and 2e-5, SGD lr 0.3 with L2 1e-5, AdamW 0.75 with layer normalisations.",
        Scale = LabScale.Gpu,
        Seeds = 1,
        Arms =
        [
            new TrainingArm("adam, l2 2e-6", x => Medium(x, 4000) with { Regularizer = "l2", WeightDecay = 2e-6 }),
            new TrainingArm("adam, l2 2e-5", x => Medium(x, 4000) with { Regularizer = "l2", WeightDecay = 2e-5 }),
            new TrainingArm("sgd, l2 1e-5", x => Medium(x, 4000) with { Optimizer = "sgd", Lr = 0.3, Regularizer = "l2", WeightDecay = 1e-5 }),
            new TrainingArm("adamw 0.75", x => Medium(x, 4000).Decayed(0.75)),
            new TrainingArm("adamw 0.75 with layernorm", x => Medium(x, 4000).Decayed(0.75) with { DecayLayernorm = true }),
        ],
        Expectations = [new("Adam with the larger L2 ends with the smaller norm.", r => Judge.Lower(r, "adam, l2 2e-5", "adam, l2 2e-6", Measure.NormRatio))],
    };

    private static Experiment ThreeWays => new("G8", "AdamW, AdamWN and CPR", "CPR and AdamWN are at least as good as AdamW.", "Franke et al. (2023); Loshchilov (2023)")
    {
        Setting = $"{ModelText}; lr 2e-3, 6000 steps; AdamW 0.5, AdamWN to its norm at rate 0.03, CPR with Kappa-WS after twice the warm-up.",
        Scale = LabScale.Gpu,
        Seeds = 1,
        Arms =
        [
            new TrainingArm("adamw", x => Medium(x, 6000).Decayed(0.5)),
            new TrainingArm("adamwn", x => Medium(x, 6000).Controlled(x.Of("adamw").Last("normRatio"), 0.03)) { After = ["adamw"] },
            new TrainingArm("cpr", x => Medium(x, 6000) with { Regularizer = "cpr" }),
        ],
        Expectations =
        [
            new("AdamWN has the lower validation loss than AdamW.", r => Judge.Lower(r, "adamwn", "adamw", Measure.ValidationLoss)),
            new("CPR has the lower validation loss than AdamW.", r => Judge.Lower(r, "cpr", "adamw", Measure.ValidationLoss)),
        ],
    };

    private static double[] Lambdas => [0, 0.25, 0.75];

    private static string Name(double lambda) => string.Create(CultureInfo.InvariantCulture, $"lambda {lambda}");

    private static string Instable(double lr, string precision, bool decays) => string.Create(CultureInfo.InvariantCulture, $"lr {lr}, {precision}, {(decays ? "decayed" : "lambda 0")}");

    private static TrainingSettings Medium(ArmContext context, int steps) => context.Common with
    {
        Layers = 6,
        Heads = 6,
        Channels = 384,
        SeqLen = 256,
        BatchSize = 128,
        Lr = 2e-3,
        Steps = steps,
        LrSchedule = "cosine",
        EvalEvery = steps / 4,
        EvalBatches = 20,
        SampleEvery = 0,
        CheckpointEvery = steps,
        Keep = 1,
    };

    private static TrainingSettings Large(ArmContext context, int length, int steps) => context.Common with
    {
        Preset = "gpt2",
        SeqLen = length,
        BatchSize = 65_536 / length / 4,
        TotalBatchTokens = 65_536,
        Lr = 1e-3,
        Steps = steps,
        LrSchedule = "cosine",
        EvalEvery = steps / 4,
        EvalBatches = 20,
        SampleEvery = 0,
        CheckpointEvery = steps,
        Keep = 1,
    };
}
