using Trainer.Metrics;
using Trainer.Model;
using Trainer.Optimization;

namespace Trainer.Diagnostics;

/// <summary>The diagnostics of a training run: what every n-th step writes to its metrics.</summary>
public sealed class RunDiagnostics
{
    private readonly int _every;
    private readonly double _clip;
    private readonly NormDiagnostics _norms;
    private readonly RuleDiagnostics _rule;
    private readonly DiagnosticGroup? _decayed;
    private long _steps;
    private long _clipped;

    /// <summary>Prepares.</summary>
    /// <param name="model">The model.</param>
    /// <param name="optimizer">Its optimizer.</param>
    /// <param name="options">The rule.</param>
    /// <param name="every">n; 0 for no diagnostics.</param>
    public RunDiagnostics(Gpt2 model, WeightOptimizer optimizer, OptimizerOptions options, int every)
    {
        ArgumentNullException.ThrowIfNull(model);
        ArgumentNullException.ThrowIfNull(optimizer);
        ArgumentNullException.ThrowIfNull(options);
        IReadOnlyList<DiagnosticGroup> groups = DiagnosticGroup.Of(model.Layout, optimizer.Regularizer.Groups);
        (_every, _clip) = (every, options.GradientClip);
        _decayed = groups.FirstOrDefault(group => group.Name == DiagnosticGroup.Decayed);
        _norms = new NormDiagnostics(model.Layout, optimizer, groups);
        _rule = new RuleDiagnostics(optimizer, options);
    }

    /// <summary>Whether a step is measured.</summary>
    /// <param name="step">t, from 1.</param>
    public bool IsDue(long step) => _every > 0 && step % _every == 0;

    /// <summary>Takes note of a finished step, and measures it when it is due; then no other step may be in flight.</summary>
    /// <param name="step">What is known of it.</param>
    /// <param name="writer">What the diagnostics are written to.</param>
    public void Stepped(in StepMetrics step, MetricsWriter writer)
    {
        ArgumentNullException.ThrowIfNull(writer);
        _steps++;
        if (_clip > 0 && step.GradientNorm > _clip)
            _clipped++;
        if (!IsDue(step.Step))
            return;
        foreach (var line in Measure(step).Lines)
            writer.Write(step.Step, line);
        (_steps, _clipped) = (0, 0);
    }

    private DiagnosticValues Measure(in StepMetrics step)
    {
        var values = new DiagnosticValues();
        NormSums[] tensors = _norms.Measure();
        values.Add("clipRate", (double)_clipped / _steps);
        _rule.AddTo(values, step.LearningRate, _decayed is null ? default : NormDiagnostics.Total(tensors, _decayed), _norms.Factors);
        _norms.AddTo(values, tensors);
        return values;
    }
}
