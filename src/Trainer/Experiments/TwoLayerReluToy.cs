namespace Trainer.Experiments;

/// <summary>
/// A two-layer ReLU network trained by SGD with coupled weight decay and one drop of the learning rate: where a large rate keeps the loss on a
/// plateau, and what that does to the curvature that is found after the drop (Andriushchenko, D'Angelo et al. 2023, "Why do we need weight decay in
/// modern deep learning?"). Double precision, a function of the settings alone.
/// </summary>
public sealed class TwoLayerReluToy
{
    private const ulong WeightStream = 0x72656C77;
    private const ulong BatchStream = 0x72656C62;

    /// <summary>
    /// The gradient jumps where a sample crosses a kink. Between kinks the loss is a polynomial of degree four, so that a small step is as good
    /// as any, and double precision leaves ten digits at this one; it crosses kinks that seldom that no estimate notices.
    /// </summary>
    private const double TraceStep = 1e-6;

    private readonly TwoLayerReluOptions _options;
    private readonly TwoLayerRelu _network;
    private readonly ReluSamples _train;
    private readonly ReluSamples _test;

    /// <summary>Draws the data.</summary>
    /// <exception cref="RequestException">A setting is out of its range.</exception>
    public TwoLayerReluToy(TwoLayerReluOptions options)
    {
        ArgumentNullException.ThrowIfNull(options);
        _options = options.Validated();
        (_train, _test) = ReluSamples.Draw(options);
        _network = new TwoLayerRelu(_train.Dimension, options.Width);
    }

    /// <summary>Trains from the start.</summary>
    /// <param name="report">Gets the course of the run, or none.</param>
    /// <param name="points">How many points it gets, about, at even distances, besides those at which the trace is estimated.</param>
    public TwoLayerReluResult Run(Action<TwoLayerReluPoint>? report = null, int points = 500)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(points, 1);
        double[] parameters = _network.Initialize(new CounterRandom(_options.Seed, WeightStream));
        var batches = new CounterRandom(_options.Seed, BatchStream);
        var gradient = new double[parameters.Length];
        double initialNorm = Norm(parameters);
        long every = (_options.Steps + points - 1) / points;
        long plateauEnd = Math.Min(_options.DropStep, _options.Steps);
        var (plateauSum, plateauSteps) = (0.0, 0L);
        bool diverged = false;
        for (long step = 1; step <= _options.Steps && !diverged; step++)
        {
            double rate = step <= _options.DropStep ? _options.LearningRate : _options.LearningRate * _options.DropFactor;
            double loss = BatchGradient(parameters, batches, step, gradient);
            if (step > plateauEnd / 2 && step <= plateauEnd)
                (plateauSum, plateauSteps) = (plateauSum + loss, plateauSteps + 1);
            for (int i = 0; i < parameters.Length; i++)
                parameters[i] -= rate * (gradient[i] + (_options.WeightDecay * parameters[i]));

            diverged = !double.IsFinite(loss) || !double.IsFinite(Norm(parameters));
            bool last = step == _options.Steps || diverged;
            bool traced = _options.TraceEvery > 0 && step % _options.TraceEvery == 0 && !last;
            if (report is not null && (step % every == 0 || traced) && !last)
                report(Point(step, rate, traced ? Trace(parameters).Trace : double.NaN));
            if (!last)
                continue;

            HessianEstimate hessian = diverged ? new HessianEstimate(double.NaN, double.NaN, double.NaN, double.NaN) : Trace(parameters);
            var end = Point(step, rate, hessian.Trace);
            report?.Invoke(end);
            return new TwoLayerReluResult(diverged, plateauSum / plateauSteps, end.TrainLoss, end.TestLoss, end.WeightNorm, end.NormRatio, hessian);
        }

        throw new InvalidOperationException("a run without steps");

        TwoLayerReluPoint Point(long step, double rate, double trace)
        {
            double norm = Norm(parameters);
            return new TwoLayerReluPoint(step, rate, _network.Loss(parameters, _train), _network.Loss(parameters, _test), norm, norm / initialNorm, trace);
        }
    }

    /// <summary>The gradient of the loss on all training samples.</summary>
    private void TrainGradient(ReadOnlySpan<double> parameters, Span<double> gradient)
    {
        gradient.Clear();
        for (int i = 0; i < _train.Count; i++)
            _network.AddGradient(parameters, _train.Input(i), _train.Targets[i], 1.0 / _train.Count, gradient);
    }

    private double BatchGradient(double[] parameters, CounterRandom batches, long step, double[] gradient)
    {
        bool all = _options.BatchSize >= _train.Count;
        int size = all ? _train.Count : _options.BatchSize;
        ulong first = (ulong)(step - 1) * (ulong)size;
        double loss = 0;
        Array.Clear(gradient);
        for (int b = 0; b < size; b++)
        {
            int sample = all ? b : (int)batches.Below(first + (ulong)b, (ulong)_train.Count);
            loss += _network.AddGradient(parameters, _train.Input(sample), _train.Targets[sample], 1.0 / size, gradient) / size;
        }

        return loss;
    }

    private HessianEstimate Trace(double[] parameters) => HessianTrace.Estimate<double>(
        parameters, TrainGradient, new HessianTraceOptions { Probes = _options.TraceProbes, Seed = _options.Seed, RelativeStep = TraceStep });

    private static double Norm(ReadOnlySpan<double> values)
    {
        double sum = 0;
        foreach (double value in values)
            sum += value * value;
        return Math.Sqrt(sum);
    }
}
