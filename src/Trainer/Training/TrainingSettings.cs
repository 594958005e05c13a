using Trainer.Model;
using Trainer.Optimization;

namespace Trainer.Training;

/// <summary>
/// Everything that can be asked of a training run. This is the one definition of the options of <c>trainer train</c> and of the keys of
/// its configuration file: <c>--seq-len</c> on the command line and <c>seqLen</c> in the file are <see cref="SeqLen"/>. The attribute of
/// a property says what it means, its range and its default; null means "not given", and <see cref="WithDefaults"/> fills it in.
/// </summary>
public sealed partial record TrainingSettings
{
    /// <summary>A heading of the help text, over settings that say where a run reads and writes, and not what its steps do.</summary>
    public const string RunGroup = "Run", DataGroup = "Data", ReportGroup = "Evaluation, checkpoints, samples";

    private const string ModelGroup = "Model", ComputeGroup = "Device", LengthGroup = "Length and batch",
        OptimizerGroup = "Optimizer", RegularizerGroup = "Regularizer";

    /// <summary>Where everything is written.</summary>
    [Setting(RunGroup, "the run directory", "DIR", Default = "a new one under runs/", Recorded = false)]
    public string? Run { get; init; }

    /// <summary>Whether to continue the run in <see cref="Run"/>.</summary>
    [Setting(RunGroup, "continue the run in --run from its last checkpoint", Recorded = false)]
    public bool Resume { get; init; }

    /// <summary>A run or one of its checkpoints, from which this run goes on under other settings.</summary>
    [Setting(RunGroup, "run or checkpoint to go on from in a run of its own: its settings, optimizer state, initial norms and place in the data, but for what is given here", "PATH",
        Default = "none")]
    public string? BranchFrom { get; init; }

    /// <summary>The seed of everything random.</summary>
    [Setting(RunGroup, "seed of initialisation, data order and samples", "N")]
    public ulong Seed { get; init; } = 1;

    /// <summary>A directory of token shards that <c>trainer prepare</c> wrote.</summary>
    [Setting(DataGroup, "directory written by 'trainer prepare'", "DIR", Default = "a default corpus, prepared on first use")]
    public string? Data { get; init; }

    /// <summary>Training shards, instead of <see cref="Data"/>.</summary>
    [Setting(DataGroup, "token shards to train on, instead of --data", "GLOB", Default = "none")]
    public string? TrainData { get; init; }

    /// <summary>Validation shards, instead of <see cref="Data"/>.</summary>
    [Setting(DataGroup, "token shards to evaluate on, with --train-data", "GLOB", Default = "none")]
    public string? ValData { get; init; }

    /// <summary>V of the shards of <see cref="TrainData"/>.</summary>
    [Setting(DataGroup, "vocabulary of the shards of --train-data", "N", Range = "[1, 16777216]", Default = "that of the model to begin with, else 50257")]
    public int? VocabSize { get; init; }

    /// <summary>Text to prepare before training.</summary>
    [Setting(DataGroup, "text files to prepare and train on, instead of --data; repeatable", "PATH", Default = "none")]
    public IReadOnlyList<string> Input { get; init; } = [];

    /// <summary>The tokens to train on, the first of the training data, over and over.</summary>
    [Setting(DataGroup, "train on the first N tokens of the training data alone", "N", Range = "[1, inf)", Default = "all")]
    public int? TrainTokens { get; init; }

    /// <summary>The order of training sequences.</summary>
    [Setting(DataGroup, "order of training sequences", Values = "shuffled|sequential|random")]
    public string DataOrder { get; init; } = "shuffled";

    /// <summary>A model size by name; the sizes below override it one by one.</summary>
    [Setting(ModelGroup, "model size; the sizes below override its own one by one", Values = ModelPresets.Names, Default = ModelPresets.DefaultName)]
    public string? Preset { get; init; }

    /// <summary>L.</summary>
    [Setting(ModelGroup, "number of transformer blocks", "N", Range = "[1, 1000]", Default = "from the preset")]
    public int? Layers { get; init; }

    /// <summary>NH.</summary>
    [Setting(ModelGroup, "attention heads; divides --channels", "N", Range = "[1, 1000]", Default = "from the preset")]
    public int? Heads { get; init; }

    /// <summary>C.</summary>
    [Setting(ModelGroup, "width of the residual stream", "N", Range = "[1, 100000]", Default = "from the preset")]
    public int? Channels { get; init; }

    /// <summary>T, the context.</summary>
    [Setting(ModelGroup, "tokens of one sequence", "N", Range = "[1, 1000000]", Default = "from the preset")]
    public int? SeqLen { get; init; }

    /// <summary>The standard deviation of initial weights; the residual projections have it over √(2L).</summary>
    [Setting(ModelGroup, "standard deviation of initial weights", "X", Range = "(0, inf)")]
    public double InitStd { get; init; } = ParameterInitializer.StandardDeviation;

    /// <summary>Weights to begin with.</summary>
    [Setting(ModelGroup, "checkpoint whose weights to begin with", "PATH", Default = "random weights")]
    public string? InitFrom { get; init; }

    /// <summary>What computes.</summary>
    [Setting(ComputeGroup, "what computes", Values = "auto|cpu|cuda|cuda:N|cuda-sim")]
    public string Device { get; init; } = "auto";

    /// <summary>The number format of weights and activations.</summary>
    [Setting(ComputeGroup, "number format of weights and activations; auto: bf16-mixed on a GPU, fp32 on a CPU; bf16-pure on a CPU rounds weights alone; "
        + "mantissa:N, on a CPU, rounds factors and results of matrix products to N bits of mantissa, 1 to 23 (bf16: 7, tf32: 10)",
        Values = "auto|fp32|tf32|bf16-mixed|bf16-pure|bf16-pure-stochastic|mantissa:N")]
    public string Precision { get; init; } = "auto";

    /// <summary>Which activations the backward pass computes again instead of keeping them.</summary>
    [Setting(ComputeGroup, "activations that are computed again in the backward pass, to save memory", Values = "none|gelu-layernorm|block")]
    public string Recompute { get; init; } = "none";

    /// <summary>CPU threads; 0 for one per processor.</summary>
    [Setting(ComputeGroup, "CPU threads; 0: one per processor", "N", Range = "[0, 1024]")]
    public int Threads { get; init; }

    /// <summary>The CPU instruction set.</summary>
    [Setting(ComputeGroup, "CPU instruction set", Values = "auto|avx512|avx2|portable")]
    public string Isa { get; init; } = "auto";

    /// <summary>Optimizer steps.</summary>
    [Setting(LengthGroup, "optimizer steps", "N", Range = "[1, inf)")]
    public int Steps { get; init; } = 1600;

    /// <summary>B, sequences of one pass through the model.</summary>
    [Setting(LengthGroup, "sequences of one pass through the model", "N", Range = "[1, 65536]", Default = "from the preset")]
    public int? BatchSize { get; init; }

    /// <summary>Tokens of one optimizer step; a multiple of batch size times sequence length, reached by gradient accumulation.</summary>
    [Setting(LengthGroup, "tokens of one optimizer step; a multiple of batch size x sequence length", "N", Range = "[1, inf)", Default = "one pass")]
    public int? TotalBatchTokens { get; init; }

    /// <summary>The peak learning rate.</summary>
    [Setting(OptimizerGroup, "peak learning rate", "X", Range = "(0, inf)", Default = "from the preset")]
    public double? Lr { get; init; }

    /// <summary>The course of the learning rate after warm-up.</summary>
    [Setting(OptimizerGroup, "course of the learning rate after warm-up: " + ScheduleText.Forms + "; replay: the effective learning rate of --replay-run", "SCHEDULE")]
    public string LrSchedule { get; init; } = "cosine";

    /// <summary>Steps over which the learning rate rises linearly to its peak.</summary>
    [Setting(OptimizerGroup, "steps of linear warm-up", "N", Range = "[0, inf)", Default = "5 % of --steps")]
    public int? WarmupSteps { get; init; }

    /// <summary>1: the first step of the warm-up has 1 / (W + 1) of the peak. 0: it has none, as in nanoGPT of 2023.</summary>
    [Setting(OptimizerGroup, "1: the first warm-up step has a small learning rate; 0: it has none", "N", Range = "[0, 1]")]
    public int WarmupOffset { get; init; } = 1;

    /// <summary>The step at which the learning rate has reached its last value; later than <see cref="Steps"/> for a decay that is cut off.</summary>
    [Setting(OptimizerGroup, "step at which the last learning rate is reached", "N", Range = "[1, inf)", Default = "--steps")]
    public int? LrDecaySteps { get; init; }

    /// <summary>The last learning rate over the peak.</summary>
    [Setting(OptimizerGroup, "last learning rate over the peak", "X", Range = "[0, 1]")]
    public double FinalLrFraction { get; init; } = 0.1;

    /// <summary>With the schedule wsd (warm-up, stable, decay): the share of steps that decay.</summary>
    [Setting(OptimizerGroup, "share of --steps that decay, with --lr-schedule wsd", "X", Range = "[0, 1]")]
    public double WsdDecayFraction { get; init; } = 0.2;

    /// <summary>The run whose metrics are replayed.</summary>
    [Setting(OptimizerGroup, "run whose effective learning rate or norm is replayed", "DIR", Default = "none")]
    public string? ReplayRun { get; init; }

    /// <summary>The rule of the gradient step.</summary>
    [Setting(OptimizerGroup, "rule of the gradient step", Values = "adam|sgd")]
    public string Optimizer { get; init; } = "adam";

    /// <summary>β₁ of Adam.</summary>
    [Setting(OptimizerGroup, "decay of Adam's first moment", "X", Range = "[0, 1)")]
    public double AdamBeta1 { get; init; } = 0.9;

    /// <summary>β₂ of Adam.</summary>
    [Setting(OptimizerGroup, "decay of Adam's second moment", "X", Range = "[0, 1)")]
    public double AdamBeta2 { get; init; } = 0.95;

    /// <summary>ε of Adam.</summary>
    [Setting(OptimizerGroup, "added to the root of Adam's second moment", "X", Range = "(0, inf)")]
    public double AdamEps { get; init; } = 1e-8;

    /// <summary>What SGD's buffer keeps of itself.</summary>
    [Setting(OptimizerGroup, "share of its buffer that SGD keeps", "X", Range = "[0, 1)")]
    public double Momentum { get; init; } = 0.9;

    /// <summary>What a gradient loses on its way into SGD's buffer.</summary>
    [Setting(OptimizerGroup, "share of a gradient that does not join SGD's buffer", "X", Range = "[0, 1)")]
    public double Dampening { get; init; }

    /// <summary>Whether SGD's buffer holds steps instead of gradients.</summary>
    [Setting(OptimizerGroup, "SGD with the learning rate inside its buffer, not outside as in torch")]
    public bool LrInMomentum { get; init; }

    /// <summary>The longest gradient; 0 does not clip.</summary>
    [Setting(OptimizerGroup, "largest norm of the gradient; 0: no clipping", "X", Range = "[0, inf)")]
    public double GradClip { get; init; } = 1;

    /// <summary>The rule that acts on weights besides the gradient.</summary>
    [Setting(RegularizerGroup, "rule besides the gradient: decay shrinks weights by lr x strength, decay-decoupled by schedule x strength, decay-constant by strength; "
        + "l2 adds strength x weight to the gradient; norm-control steers the norm to a target, max-norm bounds it, sphere fixes it; cpr bounds each tensor's",
        Values = "none|l2|decay|decay-decoupled|decay-constant|norm-control|cpr|max-norm|sphere")]
    public string Regularizer { get; init; } = "decay";

    /// <summary>The strength λ of a decay or of L2.</summary>
    [Setting(RegularizerGroup, "strength of weight decay or of l2", "X", Range = "[0, inf)", Default = "0.1; 0.1 x --lr for decay-decoupled and decay-constant, 1e-4 for l2")]
    public double? WeightDecay { get; init; }

    /// <summary>What λ is multiplied by at each step, besides what the rule says.</summary>
    [Setting(RegularizerGroup, "course of --weight-decay: " + ScheduleText.Forms + "; lr: that of the learning rate", "SCHEDULE")]
    public string WeightDecaySchedule { get; init; } = "constant";

    /// <summary>Whether decay acts before or after the gradient step.</summary>
    [Setting(RegularizerGroup, "decay before (first) or after (last) the gradient step", Values = "first|last")]
    public string DecayOrder { get; init; } = "first";

    /// <summary>Whether the L2 gradient is clipped with that of the loss.</summary>
    [Setting(RegularizerGroup, "l2 joins the gradient after clipping, as in torch, or before it", Values = "post-clip|pre-clip")]
    public string L2Position { get; init; } = "post-clip";

    /// <summary>The weight norm to reach or not to exceed.</summary>
    [Setting(RegularizerGroup, "weight norm to reach; the bound of max-norm, the radius of sphere; norm-control and max-norm need it", "R", Range = "[0, inf)",
        Default = "none; 1 for sphere")]
    public double? NormTarget { get; init; }

    /// <summary>What the target norm is measured by.</summary>
    [Setting(RegularizerGroup, "--norm-target over the initial norm, as a norm, or as a root mean square", Values = "ratio|absolute|rms")]
    public string NormTargetKind { get; init; } = "ratio";

    /// <summary>How the target goes from the initial norm to <see cref="NormTarget"/>.</summary>
    [Setting(RegularizerGroup, "course of the target, 0: the initial norm, 1: --norm-target; ramp: over --norm-ramp-steps; " + ScheduleText.Forms + "; replay: the norm ratio of --replay-run",
        "SCHEDULE")]
    public string NormTargetSchedule { get; init; } = "ramp";

    /// <summary>Steps over which the target rises linearly from 1 to <see cref="NormTarget"/>.</summary>
    [Setting(RegularizerGroup, "steps over which the target goes linearly from the initial norm to --norm-target", "N", Range = "[0, inf)", Default = "5 % of --steps")]
    public int? NormRampSteps { get; init; }

    /// <summary>k, the share of the way to the target norm that is gone in each step.</summary>
    [Setting(RegularizerGroup, "share of the way to the target norm gone in each step", "K", Range = "[0, 1]")]
    public double NormRate { get; init; } = 0.01;

    /// <summary>What k is multiplied by at each step.</summary>
    [Setting(RegularizerGroup, "course of --norm-rate: " + ScheduleText.Forms + "; lr: that of the learning rate", "SCHEDULE")]
    public string NormRateSchedule { get; init; } = "constant";

    /// <summary>Which weights share a norm.</summary>
    [Setting(RegularizerGroup, "one norm for all weights, for each tensor, or for each row of a matrix", Values = "global|tensor|row",
        Default = "row for max-norm, tensor for cpr, else global")]
    public string? NormScope { get; init; }

    /// <summary>Whether the norm is taken after or before the gradient step.</summary>
    [Setting(RegularizerGroup, "norm taken after (post) or before (pre) the gradient step", Values = "post|pre")]
    public string NormOrder { get; init; } = "post";

    /// <summary>Steps from one projection of the sphere to the next.</summary>
    [Setting(RegularizerGroup, "steps from one projection of sphere to the next", "N", Range = "[1, inf)")]
    public int NormEvery { get; init; } = 1;

    /// <summary>How CPR finds its bounds.</summary>
    [Setting(RegularizerGroup, "bound of cpr: a sum of squares (k), a multiple of the initial one (k-i0), the one after --cpr-steps (ws), or where its growth slows (ip)",
        Values = "k|k-i0|ws|ip")]
    public string CprKappa { get; init; } = "ws";

    /// <summary>κ or its multiple.</summary>
    [Setting(RegularizerGroup, "bound or multiple of cpr with --cpr-kappa k or k-i0", "X", Range = "(0, inf)")]
    public double CprBound { get; init; } = 1;

    /// <summary>The warm start of CPR, or the time between its samples.</summary>
    [Setting(RegularizerGroup, "steps before cpr takes its bound, or between its samples", "N", Range = "[1, inf)", Default = "2 x --warmup-steps; a tenth of it for ip")]
    public int? CprSteps { get; init; }

    /// <summary>μ of CPR.</summary>
    [Setting(RegularizerGroup, "rate at which cpr's multiplier follows", "X", Range = "(0, inf)")]
    public double CprRate { get; init; } = 1;

    /// <summary>Whether μ is divided by the number of weights.</summary>
    [Setting(RegularizerGroup, "whether --cpr-rate is divided by the number of weights of each tensor", Values = "weights|none")]
    public string CprRatePer { get; init; } = "weights";

    /// <summary>Whether the token embedding is regularised.</summary>
    [Setting(RegularizerGroup, "regularise the token embedding")]
    public bool DecayEmbeddings { get; init; } = true;

    /// <summary>Whether the learned positions are regularised.</summary>
    [Setting(RegularizerGroup, "regularise the learned positions")]
    public bool DecayPositions { get; init; } = true;

    /// <summary>Whether gains and biases of layer normalisations are regularised.</summary>
    [Setting(RegularizerGroup, "regularise layer normalisations")]
    public bool DecayLayernorm { get; init; }

    /// <summary>Whether biases of linear layers are regularised.</summary>
    [Setting(RegularizerGroup, "regularise biases")]
    public bool DecayBias { get; init; }

    /// <summary>Strengths of their own for tensors whose name matches; see <see cref="DecayGroups"/>.</summary>
    [Setting(RegularizerGroup, "strength or norm target for tensors whose name matches, as in 'h.0.*=0.2'; none: not regularised; repeatable", "PATTERN=STRENGTH", Default = "none")]
    public IReadOnlyList<string> DecayGroup { get; init; } = [];

    /// <summary>Steps between evaluations; 0 for none.</summary>
    [Setting(ReportGroup, "steps between evaluations; 0: none", "N", Range = "[0, inf)")]
    public int EvalEvery { get; init; } = 200;

    /// <summary>Coefficients of averages of the weights; see <see cref="Averages"/>.</summary>
    [Setting(ReportGroup, "exponential moving average of the weights that keeps this share of itself in each step, evaluated beside them, as in 0.99; repeatable", "C", Default = "none")]
    public IReadOnlyList<string> Average { get; init; } = [];

    /// <summary>Batches of one evaluation.</summary>
    [Setting(ReportGroup, "batches of one evaluation", "N", Range = "[1, inf)")]
    public int EvalBatches { get; init; } = 20;

    /// <summary>Steps between diagnostics; 0 for none.</summary>
    [Setting(ReportGroup, "steps between diagnostics of every tensor, written to metrics.jsonl; 0: none", "N", Range = "[0, inf)")]
    public int DiagnosticsEvery { get; init; }

    /// <summary>Steps between estimates of the Hessian's trace; 0 for none.</summary>
    [Setting(ReportGroup, "steps between estimates of the Hessian's trace on a batch of training tokens; 0: none; with fp32 only", "N", Range = "[0, inf)")]
    public int HessianTraceEvery { get; init; }

    /// <summary>The random probes of each estimate.</summary>
    [Setting(ReportGroup, "random probes of each estimate of the Hessian's trace, two passes each", "M", Range = "[2, inf)")]
    public int HessianProbes { get; init; } = 16;

    /// <summary>Steps between checkpoints; 0 for none but the last.</summary>
    [Setting(ReportGroup, "steps between checkpoints; 0: only at the end", "N", Range = "[0, inf)")]
    public int CheckpointEvery { get; init; } = 400;

    /// <summary>Checkpoints that are kept.</summary>
    [Setting(ReportGroup, "newest checkpoints that are kept", "N", Range = "[1, inf)")]
    public int Keep { get; init; } = 2;

    /// <summary>Steps between samples; 0 for none.</summary>
    [Setting(ReportGroup, "steps between samples; 0: none", "N", Range = "[0, inf)")]
    public int SampleEvery { get; init; } = 400;

    /// <summary>Tokens of one sample.</summary>
    [Setting(ReportGroup, "tokens of one sample", "N", Range = "[1, inf)")]
    public int SampleTokens { get; init; } = 100;

    /// <summary>The text that samples continue; empty to begin a document.</summary>
    [Setting(ReportGroup, "text that samples continue", "TEXT", Default = "the beginning of a document")]
    public string SamplePrompt { get; init; } = string.Empty;
}
