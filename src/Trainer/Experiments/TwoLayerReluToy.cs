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
    /// <param name="points">How many points it gets, about, at even distances; each costs a pass over all samples.</param>
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
        long step = 0;
        bool finite = true;
        while (finite && step < _options.Steps)
        {
            step++;
            double rate = RateOf(step);
            double loss = BatchGradient(parameters, batches, step, gradient);
            if (step > plateauEnd / 2 && step <= plateauEnd)
                (plateauSum, plateauSteps) = (plateauSum + loss, plateauSteps + 1);
            for (int i = 0; i < parameters.Length; i++)
                parameters[i] -= rate * (gradient[i] + (_options.WeightDecay * parameters[i]));
            finite = double.IsFinite(Norm(parameters));
            if (report is not null && step % every == 0 && step < _options.Steps && finite)
                report(PointAfter(step));
        }

        TwoLayerReluPoint end = PointAfter(step);
        report?.Invoke(end);
        return new TwoLayerReluResult(!finite, step, plateauSum / plateauSteps, end.TrainLoss, end.TestLoss, end.WeightNorm, end.NormRatio,
            end.HessianTrace, end.HessianTrace * end.WeightNorm * end.WeightNorm / parameters.Length);

        TwoLayerReluPoint PointAfter(long taken)
        {
            double norm = Norm(parameters);
            return new TwoLayerReluPoint(taken, RateOf(taken), _network.Loss(parameters, _train), _network.Loss(parameters, _test),
                norm, norm / initialNorm, _network.HessianTrace(parameters, _train));
        }
    }

    private double RateOf(long step) => step <= _options.DropStep ? _options.LearningRate : _options.LearningRate * _options.DropFactor;

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

    private static double Norm(ReadOnlySpan<double> values)
    {
        double sum = 0;
        foreach (double value in values)
            sum += value * value;
        return Math.Sqrt(sum);
    }
}
