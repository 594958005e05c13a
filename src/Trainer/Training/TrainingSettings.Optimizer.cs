using Trainer.Data;
using Trainer.Diagnostics;
using Trainer.Model;
using Trainer.Optimization;

namespace Trainer.Training;

/// <content>The settings as the optimizer and the data understand them.</content>
public sealed partial record TrainingSettings
{
    /// <summary>The order of training sequences.</summary>
    public DataOrder BatchOrder() => Enum.Parse<DataOrder>(DataOrder, ignoreCase: true);

    /// <summary>Which activations are computed again.</summary>
    public Recompute RecomputeLevel() => Recompute switch
    {
        "none" => Trainer.Model.Recompute.None,
        "gelu-layernorm" => Trainer.Model.Recompute.GeluLayerNorm,
        _ => Trainer.Model.Recompute.Block,
    };

    /// <summary>Which diagnostics are made.</summary>
    public RunDiagnosticsOptions Diagnostics()
    {
        TrainingSettings settings = WithDefaults();
        int tokens = settings.TotalBatchTokens!.Value;
        return new RunDiagnosticsOptions(DiagnosticsEvery, tokens / (settings.BatchSize!.Value * settings.SeqLen!.Value), tokens)
        {
            HessianEvery = HessianTraceEvery,
            HessianProbes = HessianProbes,
        };
    }

    /// <summary>The optimizer and its regulariser, with everything filled in that is not given.</summary>
    /// <exception cref="RequestException">A value is impossible, or the run to replay is too short.</exception>
    public OptimizerOptions OptimizerOptions()
    {
        TrainingSettings settings = WithDefaults();
        var whole = new Schedule { Steps = LrDecaySteps ?? Steps, FinalFraction = FinalLrFraction, DecayFraction = WsdDecayFraction };
        bool replays = LrSchedule == Replay;
        Schedule learningRate = ScheduleText.Parse("--lr-schedule", replays ? "cosine" : LrSchedule,
            whole with { WarmupSteps = settings.WarmupSteps!.Value, WarmupOffset = WarmupOffset });
        return new OptimizerOptions
        {
            Kind = Optimizer == "sgd" ? OptimizerKind.Sgd : OptimizerKind.Adam,
            LearningRate = settings.Lr!.Value,
            Schedule = learningRate,
            EffectiveRates = replays ? RecordedCourse.Read(ReplayOf("--lr-schedule"), Steps).EffectiveRates : [],
            Beta1 = AdamBeta1,
            Beta2 = AdamBeta2,
            Epsilon = AdamEps,
            Momentum = Momentum,
            Dampening = Dampening,
            RateInMomentum = LrInMomentum,
            GradientClip = GradClip,
            Regularizer = settings.RegularizerOptions(learningRate, whole),
        }.Validated();
    }

    private const string Replay = "replay";

    private RegularizerOptions RegularizerOptions(Schedule learningRate, Schedule whole) => new()
    {
        Kind = Regularizer switch
        {
            "none" => RegularizerKind.None,
            "l2" => RegularizerKind.L2,
            "decay" => RegularizerKind.Decay,
            "decay-decoupled" => RegularizerKind.DecayDecoupled,
            "decay-constant" => RegularizerKind.DecayConstant,
            "norm-control" => RegularizerKind.NormControl,
            "cpr" => RegularizerKind.ParameterBound,
            "max-norm" => RegularizerKind.MaxNorm,
            _ => RegularizerKind.Sphere,
        },
        Order = IsNormRule
            ? NormOrder == "pre" ? RegularizerOrder.Pre : null
            : DecayOrder == "last" ? RegularizerOrder.Post : null,
        WeightDecay = WeightDecay!.Value,
        WeightDecaySchedule = CourseOf("--weight-decay-schedule", WeightDecaySchedule, learningRate, whole),
        L2BeforeClipping = L2Position == "pre-clip",
        NormTarget = ReplaysNorm ? 2 : NormTarget,
        NormTargetKind = NormTargetKind switch
        {
            "absolute" => Trainer.Optimization.NormTargetKind.Absolute,
            "rms" => Trainer.Optimization.NormTargetKind.RootMeanSquare,
            _ => Trainer.Optimization.NormTargetKind.Ratio,
        },
        NormTargetSchedule = NormTargetSchedule == "ramp" ? Schedule.Ramp(NormRampSteps!.Value)
            : ReplaysNorm ? RecordedCourse.Read(ReplayOf("--norm-target-schedule"), Steps).NormTargets
            : CourseOf("--norm-target-schedule", NormTargetSchedule, learningRate, whole),
        NormRate = NormRate,
        NormRateSchedule = CourseOf("--norm-rate-schedule", NormRateSchedule, learningRate, whole),
        NormScope = NormScope is { } scope ? Enum.Parse<NormScope>(scope, ignoreCase: true) : null,
        NormEvery = NormEvery,
        BoundRule = CprKappa switch
        {
            "k" => BoundRule.Given,
            "k-i0" => BoundRule.Initial,
            "ws" => BoundRule.WarmStart,
            _ => BoundRule.InflectionPoint,
        },
        Bound = CprBound,
        BoundSteps = CprSteps!.Value,
        BoundRate = CprRate,
        BoundPerWeight = CprRatePer == "weights",
        Groups = new ParameterGroupOptions
        {
            DecayEmbeddings = DecayEmbeddings,
            DecayPositions = DecayPositions,
            DecayLayerNorm = DecayLayernorm,
            DecayBias = DecayBias,
            Overrides = DecayGroups(),
        },
    };

    private bool IsNormRule => Regularizer is "norm-control" or "cpr" or "max-norm" or "sphere";

    private bool ReplaysNorm => Regularizer == "norm-control" && NormTargetSchedule == Replay;

    private string ReplayOf(string option) => ReplayRun
        ?? throw new RequestException($"{option} replay needs --replay-run DIR, the run whose course is replayed.");

    private static Schedule CourseOf(string option, string text, Schedule learningRate, Schedule whole) =>
        text == "lr" ? learningRate : ScheduleText.Parse(option, text, whole);
}
