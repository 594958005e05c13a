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
    private readonly ParameterLayout _layout;
    private readonly TrainingTensors _tensors;
    private readonly OptimizerOptions _options;
    private readonly Regularizer _regularizer;
    private readonly SegmentUpdate[] _updates;
    private readonly float[] _factors;
    private readonly double[] _weightSums;
    private readonly double[] _gradientSums;
    private readonly double[] _loss = new double[1];
    private PassResult _result = new(true, double.NaN, double.NaN, double.NaN);

    /// <summary>Prepares for the parameters of a model; all of them are fp32.</summary>
    /// <param name="passes">What makes the passes.</param>
    /// <param name="layout">Where each tensor is.</param>
    /// <param name="tensors">Parameters, gradients and moments, without a master copy.</param>
    /// <param name="options">The rule.</param>
    public HostOptimizer(IWeightPasses passes, ParameterLayout layout, TrainingTensors tensors, OptimizerOptions options)
    {
        ArgumentNullException.ThrowIfNull(layout);
        ArgumentNullException.ThrowIfNull(options);
        (_passes, _layout, _tensors, _options) = (passes, layout, tensors, options);
        _regularizer = options.Regularizer.Create(layout);
        int count = layout.Tensors.Count;
        _updates = new SegmentUpdate[count];
        _factors = new float[count];
        _weightSums = new double[count];
        _gradientSums = new double[count];
    }

    /// <inheritdoc/>
    public int MostInFlight => 1;

    /// <inheritdoc/>
    public void Start(ReadOnlySpan<double> initialSums, ReadOnlySpan<double> sums)
    {
        sums.CopyTo(_weightSums);
        _regularizer.Start(initialSums);
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
        _passes.SumOfSquares(_tensors.Gradients, _layout.Segments, _gradientSums);
        double gradientNorm = Norm(_gradientSums);
        bool taken = double.IsFinite(gradientNorm) && (loss.IsNone || double.IsFinite(_loss[0]));
        if (taken)
            Update(step, gradientNorm);
        _result = new PassResult(taken, _loss[0], gradientNorm, _regularizer.Groups.Norm(_weightSums));
    }

    /// <inheritdoc/>
    public PassResult Finish() => _result;

    /// <inheritdoc/>
    public void ReadSums(Span<double> weightSums, Span<double> gradientSums)
    {
        _weightSums.CopyTo(weightSums);
        _gradientSums.CopyTo(gradientSums);
    }

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

    private void Update(in RegularizerStep step, double gradientNorm)
    {
        double clip = _options.GradientClip > 0 ? Math.Min(1, _options.GradientClip / (gradientNorm + ClipEpsilon)) : 1;
        float rate = (float)(step.PeakLearningRate * step.Multiplier);
        ReadOnlySpan<Segment> segments = _layout.Segments;
        for (int i = 0; i < segments.Length; i++)
            _updates[i] = new SegmentUpdate(segments[i], rate, L2: 0, ShrinkBefore: 1, ShrinkAfter: 1);
        _regularizer.BeforeStep(step, _weightSums, _updates);
        _passes.AdamUpdate(_tensors.Weights, _tensors.Gradients, _tensors.FirstMoment, _tensors.SecondMoment, _updates,
            new AdamStep((float)_options.Beta1, (float)_options.Beta2, (float)_options.Epsilon, step.Step, (float)clip), _weightSums);

        Array.Fill(_factors, 1f);
        if (!_regularizer.AfterStep(step, _weightSums, _factors))
            return;
        _passes.Scale(_tensors.Weights, segments, _factors);
        for (int i = 0; i < _factors.Length; i++)
            _weightSums[i] *= (double)_factors[i] * _factors[i];
    }
}
