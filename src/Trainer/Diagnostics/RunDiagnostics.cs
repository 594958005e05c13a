using Trainer.Compute;
using Trainer.Experiments;
using Trainer.Metrics;
using Trainer.Model;
using Trainer.Optimization;

namespace Trainer.Diagnostics;

/// <summary>The diagnostics of a training run: a watch over every loss, and what every n-th step writes to the metrics.</summary>
public sealed class RunDiagnostics
{
    private readonly RunDiagnosticsOptions _options;
    private readonly OptimizerOptions _rule;
    private readonly Gpt2 _model;
    private readonly ProbeBatch _probe;
    private readonly NormDiagnostics _norms;
    private readonly RuleDiagnostics _rules;
    private readonly ElementDiagnostics _elements;
    private readonly DecayCourse _decay;
    private readonly DiagnosticGroup _decayed;
    private readonly LossWatch _watch;
    private readonly Gpt2HessianTrace? _hessian;
    private long _steps;
    private long _clipped;

    /// <summary>Prepares.</summary>
    /// <param name="backend">The device.</param>
    /// <param name="model">The model.</param>
    /// <param name="optimizer">Its optimizer.</param>
    /// <param name="rule">The optimizer's rule.</param>
    /// <param name="options">Which diagnostics.</param>
    /// <param name="probe">What logits and Hessian are of.</param>
    /// <exception cref="RequestException">The Hessian's trace is asked for in another precision than fp32.</exception>
    public RunDiagnostics(IBackend backend, Gpt2 model, WeightOptimizer optimizer, OptimizerOptions rule, RunDiagnosticsOptions options, ProbeBatch probe)
    {
        ArgumentNullException.ThrowIfNull(model);
        ArgumentNullException.ThrowIfNull(optimizer);
        ArgumentNullException.ThrowIfNull(rule);
        ArgumentNullException.ThrowIfNull(options);
        ArgumentNullException.ThrowIfNull(probe);
        (_options, _rule, _model, _probe) = (options, rule, model, probe);
        IReadOnlyList<DiagnosticGroup> groups = DiagnosticGroup.Of(model.Layout, optimizer.Regularizer.Groups);
        _decayed = new DiagnosticGroup(DiagnosticGroup.Decayed, optimizer.Regularizer.Groups.Members.ToArray());
        _norms = new NormDiagnostics(model.Layout, optimizer, groups);
        _decay = new DecayCourse(rule);
        _rules = new RuleDiagnostics(optimizer, _decay);
        _elements = new ElementDiagnostics(backend, model, optimizer, rule, groups);
        _watch = new LossWatch(model.Config.Vocabulary);
        if (options.HessianEvery > 0)
            _hessian = new Gpt2HessianTrace(backend, model, probe.Tokens, probe.Targets, probe.BatchSize, probe.SequenceLength);
    }

    /// <summary>Whether a step is measured, and must be finished before the next one begins.</summary>
    /// <param name="step">t, from 1.</param>
    public bool IsDue(long step) => IsMeasured(step) || IsHessianDue(step);

    /// <summary>Shows the watch the losses of a run that is continued.</summary>
    /// <param name="metrics">Its metrics up to the step at which it goes on.</param>
    public void Recall(string metrics)
    {
        foreach (MetricsLine line in MetricsReader.Read(metrics))
        {
            if (line.Training is { } step)
                _watch.Observe(step.Loss);
        }
    }

    /// <summary>Called after each micro-batch of a step.</summary>
    /// <param name="step">t.</param>
    /// <param name="done">How many micro-batches are done.</param>
    public void MicroBatchDone(long step, int done)
    {
        if (IsMeasured(step) && 2 * done == _options.MicroBatches)
            _elements.KeepHalf();
    }

    /// <summary>Called when a step has its gradients, before the optimizer uses them.</summary>
    /// <param name="step">t.</param>
    public void BeforeStep(long step)
    {
        if (IsMeasured(step))
            _elements.BeforeStep();
    }

    /// <summary>Takes note of a finished step, and measures it when it is due; then no other step may be in flight.</summary>
    /// <param name="step">What is known of it.</param>
    /// <param name="writer">What diagnostics are written to.</param>
    /// <param name="notice">Is told the step and a sentence when something is remarkable.</param>
    public void Stepped(in StepMetrics step, MetricsWriter writer, Action<long, string> notice)
    {
        ArgumentNullException.ThrowIfNull(writer);
        ArgumentNullException.ThrowIfNull(notice);
        Watch(step, writer, notice);
        _steps++;
        if (_rule.GradientClip > 0 && step.GradientNorm > _rule.GradientClip)
            _clipped++;
        if (IsMeasured(step.Step))
        {
            foreach (var line in Measure(step).Lines)
                writer.Write(step.Step, line);
            (_steps, _clipped) = (0, 0);
        }

        if (IsHessianDue(step.Step))
        {
            HessianEstimate estimate = _hessian!.Estimate(new HessianTraceOptions { Probes = _options.HessianProbes });
            writer.Write(step.Step,
                [("hessianTrace", estimate.Trace), ("hessianTraceError", estimate.StandardError), ("hessianTraceNormalized", estimate.NormalizedTrace)]);
        }
    }

    private bool IsMeasured(long step) => _options.Every > 0 && step % _options.Every == 0;

    private bool IsHessianDue(long step) => _hessian is not null && step % _options.HessianEvery == 0;

    private void Watch(in StepMetrics step, MetricsWriter writer, Action<long, string> notice)
    {
        LossNotice found = _watch.Observe(step.Loss);
        if (found.IsSpike)
            writer.Write(step.Step, [("spike", 1)]);
        if (found.Divergence is not null)
            writer.Write(step.Step, [("diverged", 1)]);
        if ((found.Divergence ?? found.Spike) is { } text)
            notice(step.Step, text);
    }

    private DiagnosticValues Measure(in StepMetrics step)
    {
        var values = new DiagnosticValues();
        NormSums[] tensors = _norms.Measure();
        NormSums decayed = NormDiagnostics.Total(tensors, _decayed);
        values.Add("clipRate", (double)_clipped / _steps);
        values.Add("logitMax", _model.LargestLogit(_probe.Tokens.AsSpan(0, _probe.SequenceLength)));
        _rules.AddTo(values, step.LearningRate, decayed, _norms.Factors);
        _norms.AddTo(values, tensors);
        ElementSums elements = _elements.AddTo(values, step.Loss, step.LearningRate, _norms.Factors);
        PriorDiagnostics.AddTo(values, _rule, _decay.Share(step.Step), _decay.Strength(step.Step), step.LearningRate, elements.MeanRootSecondMoment,
            decayed.After, step.Step * _options.TokensPerStep);
        return values;
    }
}
