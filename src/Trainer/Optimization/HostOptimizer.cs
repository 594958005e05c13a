using Trainer.Compute;
using Trainer.Model;

namespace Trainer.Optimization;

/// <summary>
/// An optimizer whose scalars are computed by the host, in double precision, between passes of a device that finishes each before it
/// returns: the gradient norm, one fused pass, and for a rule that works on the new norms one scaling.
/// </summary>
public sealed class HostOptimizer : IOptimizerPass
{
    // torch.nn.utils.clip_grad_norm_ adds this to the norm before it divides.
    private const double ClipEpsilon = 1e-6;

    private readonly IWeightPasses _passes;
    private readonly TrainingTensors _tensors;
    private readonly OptimizerOptions _options;
    private readonly Regularizer _regularizer;
    private readonly WeightSegments _segments;
    private readonly SegmentUpdate[] _updates;
    private readonly StepSums _sums;
    private readonly WeightRounding? _rounding;
    private readonly double[] _loss = new double[1];
    private PassResult _result = new(true, double.NaN, double.NaN, double.NaN);

    /// <summary>Prepares for the parameters of a model; all of them are fp32.</summary>
    /// <param name="passes">What makes the passes.</param>
    /// <param name="layout">Where each tensor is.</param>
    /// <param name="tensors">Parameters, gradients and moments, without a master copy.</param>
    /// <param name="options">The rule.</param>
    /// <param name="rounding">How weights are rounded as they are written; none for fp32.</param>
    public HostOptimizer(IWeightPasses passes, ParameterLayout layout, TrainingTensors tensors, OptimizerOptions options, WeightRounding? rounding = null)
    {
        ArgumentNullException.ThrowIfNull(layout);
        ArgumentNullException.ThrowIfNull(options);
        (_passes, _tensors, _options, _rounding) = (passes, tensors, options, rounding);
        _regularizer = options.Regularizer.Create(layout);
        _segments = _regularizer.Segments;
        _updates = new SegmentUpdate[_segments.Count];
        _sums = new StepSums(_segments.Count);
        _rounding?.Prepare(_segments.Count, _regularizer.FollowsPass ? layout.Count : 0);
    }

    /// <inheritdoc/>
    public int MostInFlight => 1;

    /// <inheritdoc/>
    public void Start(ReadOnlySpan<double> initialSums, ReadOnlySpan<double> sums, IReadOnlyList<double> state)
    {
        sums.CopyTo(_sums.Weights);
        _regularizer.Start(initialSums, state);
        _result = new PassResult(true, double.NaN, double.NaN, double.NaN);
    }

    /// <inheritdoc/>
    public void Begin(in RegularizerStep step, Tensor loss)
    {
        if (!_result.Taken)
            return;
        _loss[0] = double.NaN;
        if (!loss.IsNone)
            _passes.Download<double>(loss, _loss);
        AddPenalty(step);
        _passes.SumOfSquares(_tensors.Gradients, _segments.Segments, _sums.Gradients);
        double gradientNorm = Norm(_sums.Gradients);
        bool taken = double.IsFinite(gradientNorm) && (loss.IsNone || double.IsFinite(_loss[0]));
        if (taken)
            Update(step, gradientNorm);
        _result = new PassResult(taken, _loss[0], gradientNorm, _regularizer.Norm(_sums.Weights));
    }

    /// <inheritdoc/>
    public PassResult Finish(StepSums sums)
    {
        ArgumentNullException.ThrowIfNull(sums);
        if (_result.Taken)
            sums.CopyFrom(_sums);
        return _result;
    }

    /// <inheritdoc/>
    public IReadOnlyList<double> State() => _regularizer.State;

    /// <inheritdoc/>
    public void Dispose()
    {
    }

    private static double Norm(ReadOnlySpan<double> sums)
    {
        double total = 0;
        foreach (double sum in sums)
            total += sum;
        return Math.Sqrt(total);
    }

    private void AddPenalty(in RegularizerStep step)
    {
        if (_regularizer is not L2Penalty { Options.L2BeforeClipping: true } penalty)
            return;
        penalty.Coefficients(step, _sums.Factors);
        _passes.AddScaled(_tensors.Gradients, _tensors.Weights, _segments.Segments, _sums.Factors);
    }

    private void Update(in RegularizerStep step, double gradientNorm)
    {
        ReadOnlySpan<Segment> segments = _segments.Segments;
        float rate = (float)(step.PeakLearningRate * step.Multiplier);
        for (int i = 0; i < segments.Length; i++)
            _updates[i] = new SegmentUpdate(segments[i], rate, L2: 0, ShrinkBefore: 1, ShrinkAfter: 1);
        if (!double.IsNaN(step.EffectiveRate))
        {
            float effective = (float)(step.EffectiveRate * _regularizer.Norm(_sums.Weights));
            foreach (int segment in _regularizer.Members)
                _updates[segment] = _updates[segment] with { LearningRate = effective };
        }

        _regularizer.BeforeStep(step, _sums.Weights, _updates);
        TakeStep(step.Step, (float)(_options.GradientClip > 0 ? Math.Min(1, _options.GradientClip / (gradientNorm + ClipEpsilon)) : 1));
        _sums.Factors.Fill(1f);
        if (_regularizer.AfterStep(step, _sums.Weights, _sums.Factors))
            Scale(segments);
        if (_rounding is null)
            return;
        _rounding.Moved.CopyTo(_sums.Moved);
        _rounding.Lost.CopyTo(_sums.Lost);
    }

    private void Scale(ReadOnlySpan<Segment> segments)
    {
        if (_rounding is not null)
        {
            _passes.ScaleRounded(_tensors.Weights, segments, _sums.Factors, _rounding, _sums.Weights, _sums.Updates);
            _sums.UpdatesIncludeFactors = true;
            return;
        }

        _passes.Scale(_tensors.Weights, segments, _sums.Factors);
        for (int i = 0; i < segments.Length; i++)
            _sums.Weights[i] *= (double)_sums.Factors[i] * _sums.Factors[i];
    }

    private void TakeStep(long step, float clip)
    {
        if (_rounding is not null)
            _rounding.Step = step;
        if (_options.Kind == OptimizerKind.Adam)
        {
            _passes.AdamUpdate(_tensors.Weights, _tensors.Gradients, _tensors.FirstMoment, _tensors.SecondMoment, _updates,
                new AdamStep((float)_options.Beta1, (float)_options.Beta2, (float)_options.Epsilon, step, clip), _sums.Weights, _sums.Updates, _rounding);
            return;
        }

        // torch's first step fills the buffer with the gradient itself.
        bool first = step == 1;
        _passes.SgdUpdate(_tensors.Weights, _tensors.Gradients, _tensors.FirstMoment, _updates,
            new SgdStep(first ? 0 : (float)_options.Momentum, first ? 1 : (float)(1 - _options.Dampening), _options.RateInMomentum, clip), _sums.Weights, _sums.Updates,
            _rounding);
    }
}
