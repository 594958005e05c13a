using System.Diagnostics;
using System.Globalization;
using Trainer.Checkpoints;
using Trainer.Compute;
using Trainer.Data;
using Trainer.Diagnostics;
using Trainer.Generation;
using Trainer.Metrics;
using Trainer.Model;
using Trainer.Optimization;

namespace Trainer.Training;

/// <summary>
/// One training run: the loop that moves tokens through model, optimizer, metrics and checkpoints. A run that was killed at any instant is
/// continued from its last checkpoint with the same bits as if it had not been.
/// </summary>
public sealed class TrainingRun : IDisposable
{
    // Room for the times of this many steps is made beforehand, 8 MiB at most.
    private const int LongestTimeline = 1 << 20;

    private readonly TrainingSettings _settings;
    private readonly TrainingData _data;
    private readonly IBackend _backend;
    private readonly RunDirectory _directory;
    private readonly Gpt2 _model;
    private readonly WeightOptimizer _optimizer;
    private readonly WeightAverages _averages;
    private readonly BatchLoader _loader;
    private readonly Evaluator _evaluator;
    private readonly RunDiagnostics _diagnostics;
    private readonly CheckpointStore _checkpoints;
    private readonly MetricsWriter _metrics;
    private readonly SampleLog _samples;
    private readonly int[] _tokens;
    private readonly int[] _targets;
    private readonly int _microBatches;
    private readonly List<double> _stepMilliseconds;
    private readonly int _stepsAhead;
    private long _finished;
    private EvaluationMetrics? _last;
    private EvaluationMetrics? _best;
    private string? _lastCheckpoint;
    private long _savedStep = -1;

    private TrainingRun(TrainingSettings settings, TrainingData data, IBackend backend, RunDirectory directory, Checkpoint? checkpoint, ModelSource? source)
    {
        bool branches = checkpoint is not null && !IsInside(checkpoint, directory);
        (_settings, _data, _backend, _directory, _lastCheckpoint) = (settings, data, backend, directory, branches ? null : checkpoint?.Path);
        int b = settings.BatchSize!.Value, t = settings.SeqLen!.Value;
        _checkpoints = new CheckpointStore(directory.Paths.Checkpoints, settings.Keep);
        var choices = checkpoint is null || branches ? RunRecord.NoChoices : RunRecord.Choices(directory.Paths.Config);
        _model = new Gpt2(backend, ConfigOf(settings, data, checkpoint?.Model ?? source?.Config), b, t, ModelUse.Train, settings.RecomputeLevel(),
            choices, settings.Averages().Count);
        _optimizer = new WeightOptimizer(backend, _model.Layout, _model.Tensors, settings.OptimizerOptions());
        _averages = new WeightAverages(backend, _model.Tensors, settings.Averages(), _model.Averages);
        _stepsAhead = backend.RunsAhead ? 1 : 0;
        _loader = new BatchLoader(data.Train, b, t, data.Vocabulary, settings.BatchOrder(), settings.Seed);
        _evaluator = new Evaluator(data, b, t, settings.EvalBatches);
        _tokens = new int[b * t];
        _targets = new int[b * t];
        _microBatches = settings.TotalBatchTokens!.Value / (b * t);
        _stepMilliseconds = new List<double>(Math.Min(settings.Steps, LongestTimeline));
        Begin(checkpoint, branches, source);
        _diagnostics = new RunDiagnostics(backend, _model, _optimizer, settings.OptimizerOptions(), settings.Diagnostics(), _evaluator.Probe());

        // Not before: a request that is refused must leave the record of a resumed run as it is.
        RunRecord.Write(directory, settings, data, backend, choices);
        if (data.Tokenizer is { } tokenizer)
            RunTokenizer.Save(directory.Paths.Root, tokenizer, data.TokenizerPath);
        _metrics = MetricsWriter.Open(directory.Paths.Metrics, _optimizer.StepsTaken);
        _diagnostics.Recall(directory.Paths.Metrics);
        _samples = new SampleLog(directory.Paths.Samples, _optimizer.StepsTaken);
    }

    /// <summary>The number of optimizer steps taken.</summary>
    public long StepsTaken => _optimizer.StepsTaken;

    /// <summary>Prepares a new run, or with <see cref="TrainingSettings.Resume"/> takes one up: everything is allocated and loaded.</summary>
    /// <param name="settings">What to do; <see cref="TrainingSettings.Run"/> names the directory.</param>
    /// <param name="data">What to train on; stays the caller's.</param>
    /// <param name="backend">What computes; stays the caller's.</param>
    /// <exception cref="RequestException">The settings do not fit the data, the machine, or the run to resume; or the directory holds another run.</exception>
    public static TrainingRun Open(TrainingSettings settings, TrainingData data, IBackend backend)
    {
        ArgumentNullException.ThrowIfNull(settings);
        ArgumentNullException.ThrowIfNull(data);
        ArgumentNullException.ThrowIfNull(backend);
        settings.Validate();
        string path = settings.Run ?? NewRunPath();
        // Everything that can be wrong with the request is found before the directory is made.
        if (!settings.Resume)
            CheckFits(settings, data, backend);
        var directory = settings.Resume ? RunDirectory.Resume(path) : RunDirectory.Create(path);
        try
        {
            if (settings.Resume)
                RunRecord.CheckSameData(directory.Paths.Config, data);
            string? newest = settings.Resume ? new CheckpointStore(directory.Paths.Checkpoints).FindNewest() : null;
            var checkpoint = newest is not null ? Checkpoint.Open(newest)
                : settings.BranchFrom is { } origin ? BranchPoint.Open(origin, data)
                : null;
            var source = checkpoint is null && settings.InitFrom is { } weights ? ModelSource.Open(weights) : null;
            settings = Complete(settings, checkpoint?.Model ?? source?.Config);
            if (checkpoint is not null)
                CheckContinues(settings, checkpoint);
            return new TrainingRun(settings, data, backend, directory, checkpoint, source);
        }
        catch
        {
            directory.Abandon();
            throw;
        }
    }

    /// <summary>Trains to the last step, or until asked to stop: then a checkpoint of the step just taken is written.</summary>
    /// <param name="observer">Is told what happens.</param>
    /// <param name="stop">Asks for a stop after the current step.</param>
    /// <exception cref="RunFailedException">The loss or a gradient is not finite, or a checkpoint cannot be written; the last good checkpoint stays.</exception>
    public TrainingSummary Train(ITrainingObserver observer, CancellationToken stop = default)
    {
        ArgumentNullException.ThrowIfNull(observer);
        long started = Stopwatch.GetTimestamp();
        observer.Started(Plan());
        try
        {
            while (StepsBegun < _settings.Steps && !stop.IsCancellationRequested)
            {
                BeginStep();
                // What is due looks at the weights of this very step; otherwise the device goes on while the host reads the step before.
                Finish(observer, IsAnythingDue() ? 0 : _stepsAhead);
                if (IsEvaluationDue())
                    Evaluate(observer);
                if (IsDue(_settings.SampleEvery))
                    Sample(observer);
                if (IsDue(_settings.CheckpointEvery))
                    Save(observer);
            }

            Finish(observer, stepsAhead: 0);
            if (_savedStep != StepsTaken)
                Save(observer);
        }
        catch (DeviceFailedException exception)
        {
            throw new RunFailedException($"step {StepsTaken + 1}: {exception.Message}\n{WhatIsLeft()}", exception);
        }

        var summary = new TrainingSummary(_directory.Paths.Root, _lastCheckpoint, StepsTaken, StepsTaken < _settings.Steps, _last, _best,
            Stopwatch.GetElapsedTime(started), MedianTokensPerSecond());
        observer.Finished(summary);
        return summary;
    }

    /// <summary>Takes one optimizer step and waits for it: gradients over all micro-batches, the update, a line of metrics.</summary>
    /// <exception cref="RunFailedException">The loss or a gradient is not finite; no weight was changed.</exception>
    public StepMetrics Step()
    {
        BeginStep();
        return FinishStep();
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        _metrics.Dispose();
        _optimizer.Dispose();
        _model.Dispose();
        _directory.Dispose();
    }

    private static ModelConfig ConfigOf(TrainingSettings settings, TrainingData data, ModelConfig? loaded)
    {
        if (loaded is null)
            return settings.ModelConfig(data.Vocabulary);
        if (loaded.Vocabulary != data.Vocabulary)
            throw new RequestException($"the model has a vocabulary of {loaded.Vocabulary}, but the data have one of {data.Vocabulary}; give data made with the model's tokenizer.");
        return loaded;
    }

    private static TrainingSettings Complete(TrainingSettings settings, ModelConfig? loaded) =>
        (loaded is null ? settings : settings.WithSizesOf(loaded)).WithDefaults();

    private static void CheckContinues(TrainingSettings settings, Checkpoint checkpoint)
    {
        if (settings.Seed != checkpoint.State.Progress.Seed)
            throw new RequestException($"--seed {settings.Seed} is not that of the run, which began with {checkpoint.State.Progress.Seed}; leave the option out.");
        if (settings.BranchFrom is not null && settings.Steps == checkpoint.Step)
            throw new RequestException($"the checkpoint has taken all of --steps {settings.Steps}; a branch counts on from there, so give more.");
        if (settings.Steps < checkpoint.Step)
            throw new RequestException($"--steps {settings.Steps} is less than the {checkpoint.Step} steps that the run has taken; give more steps to go on.");
    }

    private static void CheckFits(TrainingSettings settings, TrainingData data, IBackend backend)
    {
        var loaded = settings.BranchFrom is { } origin ? BranchPoint.Open(origin, data).Model
            : settings.InitFrom is { } path ? ModelSource.Open(path).Config
            : null;
        settings = Complete(settings, loaded);
        int b = settings.BatchSize!.Value, t = settings.SeqLen!.Value;
        var config = ConfigOf(settings, data, loaded);
        backend.CheckSupports(config);
        MemoryPlan.Fitting(backend, new PassShape(config, b, t, ModelUse.Train) { Averages = settings.Averages().Count }, settings.RecomputeLevel());
        settings.OptimizerOptions().Regularizer.Create(new ParameterLayout(config));
        _ = new BatchLoader(data.Train, b, t, data.Vocabulary, settings.BatchOrder(), settings.Seed);
        _ = new Evaluator(data, b, t, settings.EvalBatches);
    }

    private static string NewRunPath()
    {
        string stem = Path.Combine("runs", DateTime.Now.ToString("yyyyMMdd-HHmmss", CultureInfo.InvariantCulture));
        string path = stem;
        for (int i = 2; Directory.Exists(path); i++)
            path = string.Create(CultureInfo.InvariantCulture, $"{stem}-{i}");
        return path;
    }

    private static bool IsInside(Checkpoint checkpoint, RunDirectory directory) =>
        Path.GetFullPath(checkpoint.Path).StartsWith(Path.GetFullPath(directory.Paths.Checkpoints) + Path.DirectorySeparatorChar, StringComparison.Ordinal);

    private void Begin(Checkpoint? checkpoint, bool branches, ModelSource? source)
    {
        if (checkpoint is not null)
        {
            checkpoint.Load(_backend, _model.Parameters, _optimizer);
            _model.RefreshWeights();
            var progress = checkpoint.State.Progress;
            _loader.Position = progress.DataPosition;
            BeginAverages(checkpoint, branches);
            if (branches)
                return;
            _savedStep = checkpoint.Step;
            if (progress.BestValidationLoss is { } best)
                _best = new EvaluationMetrics(progress.BestStep, best, double.NaN);
            return;
        }

        if (source is not null)
            source.Load(_backend, _model.Parameters);
        else
            ParameterInitializer.Initialize(_backend, _model.Layout, _model.Parameters, _settings.Seed, _settings.InitStd);
        _model.RefreshWeights();
        _optimizer.Start();
        _averages.Start();
    }

    // A run goes on with its averages; a branch has its own, which begin with the checkpoint where that has none.
    private void BeginAverages(Checkpoint checkpoint, bool branches)
    {
        if (_averages.Coefficients.Count == 0)
            return;
        if (branches && !checkpoint.HasAverages)
            _averages.Start();
        else
            checkpoint.LoadAverages(_backend, _averages);
    }

    private long StepsBegun => StepsTaken + _optimizer.StepsInFlight;

    private void BeginStep()
    {
        if (_optimizer.StepsInFlight == 0)
            _finished = Stopwatch.GetTimestamp();
        for (int i = 0; i < _microBatches; i++)
        {
            _loader.Next(_tokens, _targets);
            _model.LossAndGradients(_tokens, _targets, _loader.BatchSize, _loader.SequenceLength, _microBatches, accumulate: i > 0);
            _diagnostics.MicroBatchDone(StepsBegun + 1, i + 1);
        }

        _diagnostics.BeforeStep(StepsBegun + 1);
        _optimizer.BeginStep(_model.TotalLoss);
        _averages.Update();
    }

    private void Finish(ITrainingObserver observer, int stepsAhead)
    {
        while (_optimizer.StepsInFlight > stepsAhead)
        {
            var metrics = FinishStep();
            observer.Stepped(metrics);
            _diagnostics.Stepped(metrics, _metrics, observer.Noticed);
        }
    }

    private StepMetrics FinishStep()
    {
        var step = _optimizer.FinishStep();
        if (!step.Taken)
        {
            _metrics.Write(step.Step, [("diverged", 1)]);
            throw NotFinite(double.IsFinite(step.Loss) ? $"the gradient norm is {step.GradientNorm}" : $"the loss is {step.Loss}");
        }

        // From one step's end to the next: steps may overlap.
        long now = Stopwatch.GetTimestamp();
        double milliseconds = Stopwatch.GetElapsedTime(_finished, now).TotalMilliseconds;
        _finished = now;
        var metrics = new StepMetrics(step.Step, step.Loss, step.LearningRate, step.GradientNorm, step.WeightNorm, step.NormRatio,
            milliseconds, _settings.TotalBatchTokens!.Value / milliseconds * 1000)
        {
            UpdateRatio = step.UpdateRatio,
            Angle = step.Angle,
            TargetGap = step.TargetGap,
            LostUpdates = step.LostUpdates,
        };
        _metrics.Write(metrics);
        _stepMilliseconds.Add(milliseconds);
        return metrics;
    }

    private bool IsAnythingDue() => IsEvaluationDue() || IsDue(_settings.SampleEvery) || IsDue(_settings.CheckpointEvery)
        || _diagnostics.IsDue(StepsBegun);

    // The last step is evaluated whatever its number, and before its checkpoint, which records the best loss.
    private bool IsEvaluationDue() => IsDue(_settings.EvalEvery) || (_settings.EvalEvery > 0 && StepsBegun == _settings.Steps);

    private bool IsDue(int every) => every > 0 && StepsBegun % every == 0;

    private void Evaluate(ITrainingObserver observer)
    {
        var metrics = new EvaluationMetrics(StepsTaken, _evaluator.ValidationLoss(_model), _evaluator.TrainLoss(_model));
        _last = metrics;
        if (_best is not { } best || metrics.ValidationLoss < best.ValidationLoss)
            _best = metrics;
        _metrics.Write(metrics);
        if (_averages.Coefficients.Count > 0)
            _metrics.Write(StepsTaken, _evaluator.AverageLosses(_model, _averages));
        observer.Evaluated(metrics);
    }

    private void Sample(ITrainingObserver observer)
    {
        if (_data.Tokenizer is not { } tokenizer)
            return;
        // A seed of its own for each step: the sample is the same whether or not the run was resumed.
        var options = new SamplingOptions { Temperature = 0.8, TopK = 50, Seed = _settings.Seed + (ulong)StepsTaken };
        string text = _settings.SamplePrompt
            + string.Concat(new TextGenerator(_model, tokenizer).Continue(_settings.SamplePrompt, _settings.SampleTokens, options));
        _samples.Append(StepsTaken, text);
        observer.Sampled(StepsTaken, text);
    }

    private void Save(ITrainingObserver observer)
    {
        _metrics.Flush();
        var progress = new TrainingProgress(StepsTaken * _settings.TotalBatchTokens!.Value, _loader.Position, _settings.Seed,
            _best?.ValidationLoss, _best?.Step ?? 0);
        _lastCheckpoint = _checkpoints.Write(_backend, _model.Config, _model.Parameters, _optimizer, progress, _averages);
        _savedStep = StepsTaken;
        observer.Saved(StepsTaken, _lastCheckpoint);
    }

    private RunFailedException NotFinite(string what) => new(
        $"step {StepsTaken + 1}: {what}; no weight was changed, and {WhatIsLeft()}\n"
        + "Try a lower --lr, a longer --warmup-steps or a smaller --grad-clip.");

    private string WhatIsLeft() => _lastCheckpoint is null ? "no checkpoint was written yet." : $"the last good checkpoint is {_lastCheckpoint}.";

    private TrainingPlan Plan()
    {
        var config = _model.Config;
        string model = $"L{config.Layers} H{config.Heads} C{config.Channels} T{_settings.SeqLen} V{config.Vocabulary}";
        var rule = _settings.OptimizerOptions();
        return new TrainingPlan(_directory.Paths.Root, _backend.Description, model, _model.Layout.Count, _data.Description, StepsTaken, _settings.Steps,
            _settings.TotalBatchTokens!.Value, _model.Memory, RuleDescription.Describe(rule, _settings.Steps))
        {
            Warnings = [.. _backend.Warnings, .. rule.Warnings(_settings.Steps)],
        };
    }

    private double MedianTokensPerSecond()
    {
        if (_stepMilliseconds.Count == 0)
            return 0;
        double[] sorted = [.. _stepMilliseconds.Order()];
        return _settings.TotalBatchTokens!.Value / sorted[sorted.Length / 2] * 1000;
    }
}
