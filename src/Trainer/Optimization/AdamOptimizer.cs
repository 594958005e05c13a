using Trainer.Compute;
using Trainer.Model;

namespace Trainer.Optimization;

/// <summary>What one optimizer step did.</summary>
/// <param name="Step">t, counted from 1.</param>
/// <param name="Taken">False when the gradients or the loss are not finite; then no weight, moment or norm was touched.</param>
/// <param name="Loss">The loss that the step was begun with; not a number without one.</param>
/// <param name="LearningRate">α η_t.</param>
/// <param name="GradientNorm">The norm of all gradients, before clipping.</param>
/// <param name="WeightNorm">The norm of the regularised set, after the step; not finite when the step itself overflowed, and then the weights are lost.</param>
/// <param name="NormRatio"><paramref name="WeightNorm"/> over its value at initialisation; not a number when that was 0.</param>
public readonly record struct OptimizerStep(
    long Step, bool Taken, double Loss, double LearningRate, double GradientNorm, double WeightNorm, double NormRatio);

/// <summary>What a checkpoint keeps of an optimizer besides its moments.</summary>
/// <param name="Step">The number of steps taken.</param>
/// <param name="InitialSumsOfSquares">Σ w² of every tensor at initialisation: what targets and ratios refer to.</param>
/// <param name="SumsOfSquares">Σ w² of every tensor now, as the last step found them.</param>
public sealed record OptimizerState(long Step, IReadOnlyList<double> InitialSumsOfSquares, IReadOnlyList<double> SumsOfSquares);

/// <summary>
/// Adam (Kingma and Ba 2015) with a <see cref="Regularizer"/>: the schedule and the order of steps. What a step does to the parameters is the
/// device's <see cref="IOptimizerPass"/>. A step is begun and finished; between the two the host may prepare the next one.
/// </summary>
public sealed class AdamOptimizer : IDisposable
{
    private readonly IBackend _backend;
    private readonly ParameterLayout _layout;
    private readonly OptimizerOptions _options;
    private readonly TrainingTensors _tensors;
    private readonly IOptimizerPass _pass;
    private readonly Tensor[] _moments;
    private readonly double[] _initialSums;
    private readonly double[] _weightSums;
    private readonly double[] _gradientSums;
    private double _initialNorm;
    private bool _started;
    private bool _failed;
    private long _begun;

    /// <summary>Prepares the device. Call <see cref="Start"/> or <see cref="Restore"/> before the first step.</summary>
    /// <param name="backend">Where the parameters lie.</param>
    /// <param name="layout">Where each tensor is.</param>
    /// <param name="tensors">All parameters, their gradients and moments, each as long; stay the caller's.</param>
    /// <param name="options">The rule.</param>
    /// <exception cref="RequestException">An option is impossible, or a pattern matches no tensor.</exception>
    public AdamOptimizer(IBackend backend, ParameterLayout layout, TrainingTensors tensors, OptimizerOptions options)
    {
        ArgumentNullException.ThrowIfNull(backend);
        ArgumentNullException.ThrowIfNull(layout);
        ArgumentNullException.ThrowIfNull(options);
        foreach (Tensor tensor in new[] { tensors.Weights, tensors.Exact, tensors.Gradients, tensors.FirstMoment, tensors.SecondMoment })
        {
            if (tensor.Count != layout.Count)
                throw new ArgumentException($"{tensor.Shape} should be the layout's {layout.Count} parameters", nameof(tensors));
        }

        _backend = backend;
        _layout = layout;
        _options = options.Validated();
        _tensors = tensors;
        _moments = [tensors.FirstMoment, tensors.SecondMoment];
        Regularizer = options.Regularizer.Create(layout);
        _initialSums = new double[layout.Tensors.Count];
        _weightSums = new double[layout.Tensors.Count];
        _gradientSums = new double[layout.Tensors.Count];
        _pass = backend.CreateOptimizer(layout, tensors, options);
    }

    /// <summary>The regulariser and its groups.</summary>
    public Regularizer Regularizer { get; }

    /// <summary>t, the number of steps that are finished.</summary>
    public long StepsTaken { get; private set; }

    /// <summary>The steps that are begun and not finished.</summary>
    public int StepsInFlight => (int)(_begun - StepsTaken);

    /// <summary>m and v, each as long as the parameters.</summary>
    public IReadOnlyList<Tensor> Moments => _moments;

    /// <summary>The norm of the regularised set after the last finished step.</summary>
    public double WeightNorm { get; private set; }

    /// <summary><see cref="WeightNorm"/> over its value at initialisation; not a number when that was 0.</summary>
    public double NormRatio => _initialNorm > 0 ? WeightNorm / _initialNorm : double.NaN;

    /// <summary>Σ w² of every tensor now. Waits for all steps.</summary>
    public ReadOnlySpan<double> WeightSumsOfSquares()
    {
        _pass.ReadSums(_weightSums, _gradientSums);
        return _weightSums;
    }

    /// <summary>Σ g² of every tensor in the last step, before clipping. Waits for all steps.</summary>
    public ReadOnlySpan<double> GradientSumsOfSquares()
    {
        _pass.ReadSums(_weightSums, _gradientSums);
        return _gradientSums;
    }

    /// <summary>Begins at step 0 with zero moments, from the weights as they are: their norms are what targets and ratios refer to.</summary>
    public void Start()
    {
        foreach (Tensor moment in _moments)
            _backend.Zero(moment);
        Tensor exact = _tensors.Exact;
        if (exact.Type != ElementType.Float32)
        {
            // Gradients are overwritten by the first backward pass; until then they are room for the weights in fp32.
            _backend.Convert(_tensors.Gradients, exact);
            exact = _tensors.Gradients;
        }

        _backend.SumOfSquares(exact, _layout.Segments, _initialSums);
        Begin(0, _initialSums);
    }

    /// <summary>Continues from a checkpoint; the caller has loaded the weights and <see cref="Moments"/>. No norm is computed again.</summary>
    /// <exception cref="RequestException">The state is of another model.</exception>
    public void Restore(OptimizerState state)
    {
        ArgumentNullException.ThrowIfNull(state);
        if (state.InitialSumsOfSquares.Count != _initialSums.Length || state.SumsOfSquares.Count != _initialSums.Length)
        {
            throw new RequestException($"the optimizer state has norms of {state.InitialSumsOfSquares.Count} tensors, "
                + $"but the model has {_initialSums.Length}; the checkpoint is of another model.");
        }

        state.InitialSumsOfSquares.ToArray().CopyTo(_initialSums, 0);
        Begin(state.Step, [.. state.SumsOfSquares]);
    }

    /// <summary>What <see cref="Restore"/> needs besides the weights and the moments. Waits for all steps.</summary>
    public OptimizerState State() => new(StepsTaken, [.. _initialSums], [.. WeightSumsOfSquares()]);

    /// <summary>Begins the next step with the gradients as they are. Allocates nothing.</summary>
    /// <param name="loss">(1) of fp64, the loss that the gradients are of; or none.</param>
    /// <exception cref="InvalidOperationException">Neither <see cref="Start"/> nor <see cref="Restore"/> was called, or too many steps are in flight.</exception>
    public void BeginStep(Tensor loss = default)
    {
        if (!_started)
            throw new InvalidOperationException("the optimizer has no initial norms; call Start or Restore first");
        if (StepsInFlight == _pass.MostInFlight)
            throw new InvalidOperationException($"{StepsInFlight} steps are in flight; finish one first");
        _begun++;
        _pass.Begin(new RegularizerStep(_begun, _options.LearningRate, _options.Schedule.Multiplier(_begun - 1)), loss);
    }

    /// <summary>Waits for the oldest step in flight. When it was not taken, neither were those after it, and the count of steps goes no further.</summary>
    public OptimizerStep FinishStep()
    {
        if (StepsInFlight == 0)
            throw new InvalidOperationException("no step is in flight; begin one first");
        PassResult result = _pass.Finish();
        long step = StepsTaken + 1;
        double rate = _options.LearningRate * _options.Schedule.Multiplier(StepsTaken);
        _failed |= !result.Taken;
        if (_failed)
        {
            _begun--;
            return new OptimizerStep(step, false, result.Loss, rate, result.GradientNorm, WeightNorm, NormRatio);
        }

        StepsTaken = step;
        WeightNorm = result.WeightNorm;
        return new OptimizerStep(step, true, result.Loss, rate, result.GradientNorm, WeightNorm, NormRatio);
    }

    /// <summary>Begins a step and waits for it.</summary>
    /// <param name="loss">As for <see cref="BeginStep"/>.</param>
    public OptimizerStep Step(Tensor loss = default)
    {
        BeginStep(loss);
        return FinishStep();
    }

    /// <summary>Frees what the device keeps for the optimizer.</summary>
    public void Dispose() => _pass.Dispose();

    private void Begin(long stepsTaken, ReadOnlySpan<double> sums)
    {
        (StepsTaken, _begun, _failed, _started) = (stepsTaken, stepsTaken, false, true);
        _initialNorm = Regularizer.Groups.Norm(_initialSums);
        WeightNorm = Regularizer.Groups.Norm(sums);
        Regularizer.Start(_initialSums);
        _pass.Start(_initialSums, sums);
    }
}
