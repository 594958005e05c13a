using System.Globalization;
using Trainer.Checkpoints;
using Trainer.Model;
using Trainer.Optimization;

namespace Trainer.Training;

/// <content>Checks, and what stands for a setting that is not given.</content>
public sealed partial record TrainingSettings
{
    /// <summary>The strengths of <see cref="DecayGroup"/>.</summary>
    /// <exception cref="RequestException">One has another form than PATTERN=STRENGTH.</exception>
    public IReadOnlyList<StrengthOverride> DecayGroups() => [.. DecayGroup.Select(ParseDecayGroup)];

    /// <summary>The coefficients of <see cref="Average"/>.</summary>
    /// <exception cref="RequestException">One is no number in [0.5, 1), or there twice, or they are too many.</exception>
    public IReadOnlyList<double> Averages()
    {
        List<double> coefficients = [];
        foreach (string text in Average)
        {
            // Below one half, an average is hardly one; from there on 1 - c is exact in single precision.
            Require(double.TryParse(text, NumberStyles.Float, CultureInfo.InvariantCulture, out double coefficient) && coefficient >= 0.5 && (float)coefficient < 1,
                $"--average {text} is no number in [0.5, 1); usual are 0.9, 0.99 and 0.999.");
            Require(!coefficients.Contains(coefficient), $"--average {text} is there twice.");
            coefficients.Add(coefficient);
        }

        Require(coefficients.Count <= AverageFile.MostAverages, $"--average is there {coefficients.Count} times; at most {AverageFile.MostAverages} averages can be kept.");
        return coefficients;
    }

    /// <summary>Checks every value, and the values that must go together.</summary>
    /// <exception cref="RequestException">The message names the option.</exception>
    public void Validate()
    {
        foreach (SettingDefinition definition in Definitions)
            definition.Validate(this);
        _ = DecayGroups();
        _ = Averages();
        Require(!Resume || Run is not null, "--resume needs --run DIR, the run to continue.");
        Require(BranchFrom is null || InitFrom is null, "--init-from begins a run with weights alone and --branch-from with all of a checkpoint; give one of them.");
        Require(TrainData is null == ValData is null, "--train-data and --val-data go together; give both.");
        Require(VocabSize is null || TrainData is not null, "--vocab-size says what vocabulary --train-data has; other data know theirs.");
        int sources = (Data is null ? 0 : 1) + (TrainData is null ? 0 : 1) + (Input.Count == 0 ? 0 : 1);
        Require(sources <= 1, "--data, --train-data and --input each say what to train on; give one of them.");
        Require(Regularizer != "norm-control" || NormTarget is not null || ReplaysNorm,
            "--regularizer norm-control needs --norm-target R, the weight norm to reach over the initial one.\nA run with --regularizer decay shows the ratio it ends with.");
        Require(Regularizer != "max-norm" || NormTarget is not null,
            "--regularizer max-norm needs --norm-target R, the norm not to exceed: usual are 3 to 4 with --norm-target-kind absolute.");
        Require(!ReplaysNorm || NormTarget is null, "--norm-target-schedule replay takes every target from --replay-run; leave --norm-target out.");
    }

    /// <summary>
    /// The same settings with everything filled in that is not given but has a rule: the sizes, batch and learning rate of the preset,
    /// warm-up, decay strength, norm ramp.
    /// </summary>
    /// <exception cref="RequestException">The sizes, the batch or the steps do not fit each other.</exception>
    public TrainingSettings WithDefaults()
    {
        ModelPreset preset = ModelPresets.Find(Preset ?? ModelPresets.DefaultName);
        double lr = Lr ?? preset.LearningRate;
        int twentieth = Steps / 20;
        TrainingSettings settings = this with
        {
            Preset = preset.Name,
            Layers = Layers ?? preset.Layers,
            Heads = Heads ?? preset.Heads,
            Channels = Channels ?? preset.Channels,
            SeqLen = SeqLen ?? preset.SequenceLength,
            BatchSize = BatchSize ?? preset.BatchSize,
            Lr = lr,
            WarmupSteps = WarmupSteps ?? twentieth,
            WeightDecay = WeightDecay ?? Regularizer switch
            {
                "decay-decoupled" or "decay-constant" => 0.1 * lr,
                "l2" => 1e-4,
                _ => 0.1,
            },
            NormTarget = NormTarget ?? (Regularizer == "sphere" ? 1 : null),
            NormRampSteps = NormRampSteps ?? twentieth,
            CprSteps = CprSteps ?? Math.Max(1, CprKappa == "ip" ? (WarmupSteps ?? twentieth) / 10 : 2 * (WarmupSteps ?? twentieth)),
        };
        long pass = (long)settings.BatchSize.Value * settings.SeqLen.Value;
        Require(pass <= int.MaxValue, $"--batch-size {settings.BatchSize} x --seq-len {settings.SeqLen} is too many tokens for one pass; make the batch smaller.");
        settings = settings with { TotalBatchTokens = TotalBatchTokens ?? (int)pass };
        Require(settings.TotalBatchTokens % pass == 0,
            $"--total-batch-tokens {settings.TotalBatchTokens} is no multiple of --batch-size {settings.BatchSize} x --seq-len {settings.SeqLen} = {pass}.");
        Require(settings.WarmupSteps <= Steps, $"--warmup-steps {settings.WarmupSteps} is more than --steps {Steps}.");
        return settings;
    }

    /// <summary>The same settings with the sizes of a model that is loaded; sequences are not longer than its context where no length is given.</summary>
    /// <param name="model">The model of a checkpoint.</param>
    /// <exception cref="RequestException">The settings ask for another size.</exception>
    public TrainingSettings WithSizesOf(ModelConfig model)
    {
        ArgumentNullException.ThrowIfNull(model);
        return this with
        {
            Layers = Same("--layers", Layers, model.Layers),
            Heads = Same("--heads", Heads, model.Heads),
            Channels = Same("--channels", Channels, model.Channels),
            SeqLen = SeqLen ?? Math.Min(ModelPresets.Find(Preset ?? ModelPresets.DefaultName).SequenceLength, model.SequenceLength),
        };

        static int Same(string option, int? asked, int loaded)
        {
            Require(asked is null || asked == loaded, $"{option} {asked} does not fit the model that is loaded, which has {loaded}; leave the option out.");
            return loaded;
        }
    }

    /// <summary>The model that the settings ask for.</summary>
    /// <param name="vocabulary">V, from the data.</param>
    /// <exception cref="RequestException">The sizes make no model.</exception>
    public ModelConfig ModelConfig(int vocabulary)
    {
        TrainingSettings settings = WithDefaults();
        return new ModelConfig(settings.Layers!.Value, settings.Heads!.Value, settings.Channels!.Value, settings.SeqLen!.Value, vocabulary).Validated();
    }

    private static StrengthOverride ParseDecayGroup(string text)
    {
        try
        {
            return StrengthOverride.Parse(text);
        }
        catch (RequestException exception)
        {
            throw new RequestException($"--decay-group {exception.Message}", exception);
        }
    }

    private static void Require(bool condition, string message)
    {
        if (!condition)
            throw new RequestException(message);
    }
}
