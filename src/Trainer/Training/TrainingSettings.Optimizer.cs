using Trainer.Data;
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

    /// <summary>The optimizer and its regulariser, with everything filled in that is not given.</summary>
    /// <exception cref="RequestException">A value is impossible.</exception>
    public OptimizerOptions OptimizerOptions()
    {
        TrainingSettings settings = WithDefaults();
        var schedule = new Schedule
        {
            Shape = LrSchedule switch
            {
                "linear" => ScheduleShape.Linear,
                "cosine" => ScheduleShape.Cosine,
                "wsd" => ScheduleShape.WarmupStableDecay,
                _ => ScheduleShape.Constant,
            },
            WarmupSteps = settings.WarmupSteps!.Value,
            WarmupOffset = WarmupOffset,
            Steps = LrDecaySteps ?? Steps,
            FinalFraction = FinalLrFraction,
            DecayFraction = WsdDecayFraction,
        };
        return new OptimizerOptions
        {
            LearningRate = settings.Lr!.Value,
            Schedule = schedule,
            Beta1 = AdamBeta1,
            Beta2 = AdamBeta2,
            Epsilon = AdamEps,
            GradientClip = GradClip,
            Regularizer = settings.RegularizerOptions(schedule),
        }.Validated();
    }

    private RegularizerOptions RegularizerOptions(Schedule learningRate) => new()
    {
        Kind = Regularizer switch
        {
            "none" => RegularizerKind.None,
            "decay" => RegularizerKind.Decay,
            "decay-decoupled" => RegularizerKind.DecayDecoupled,
            _ => RegularizerKind.NormControl,
        },
        Order = Regularizer == "norm-control"
            ? NormOrder == "pre" ? RegularizerOrder.Pre : null
            : DecayOrder == "last" ? RegularizerOrder.Post : null,
        WeightDecay = WeightDecay!.Value,
        NormTarget = NormTarget,
        NormTargetSchedule = Schedule.Ramp(NormRampSteps!.Value),
        NormRate = NormRate,
        NormRateSchedule = NormRateSchedule == "lr" ? learningRate : Schedule.Constant,
        NormScope = NormScope == "tensor" ? Trainer.Optimization.NormScope.Tensor : Trainer.Optimization.NormScope.Global,
        Groups = new ParameterGroupOptions
        {
            DecayEmbeddings = DecayEmbeddings,
            DecayPositions = DecayPositions,
            DecayLayerNorm = DecayLayernorm,
            DecayBias = DecayBias,
            Overrides = DecayGroups(),
        },
    };
}
