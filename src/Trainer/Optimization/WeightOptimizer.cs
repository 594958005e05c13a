using Trainer.Compute;
using Trainer.Model;

namespace Trainer.Optimization;

/// <summary>
/// Adam (Kingma and Ba 2015) or SGD with momentum, with a <see cref="Regularizer"/>: the schedule and the order of steps. What a step does to
/// the parameters is the device's <see cref="IOptimizerPass"/>. A step is begun and finished; between the two the host may prepare the next one.
/// </summary>
public sealed class WeightOptimizer : IDisposable
{
    private readonly IBackend _backend;
    private readonly ParameterLayout _layout;
    private readonly OptimizerOptions _options;
    private readonly TrainingTensors _tensors;
    private readonly IOptimizerPass _pass;
    private readonly Tensor[] _moments;
    private readonly double[] _initialSums;
    private readonly double[] _sumsBefore;
    private readonly StepSums _sums;
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
    public WeightOptimizer(IBackend backend, ParameterLayout layout, TrainingTensors tensors, OptimizerOptions options)
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
        _moments = options.Kind == OptimizerKind.Sgd ? [tensors.FirstMoment] : [tensors.FirstMoment, tensors.SecondMoment];
        Regularizer = options.Regularizer.Create(layout);
        int segments = Regularizer.Segments.Count;
        _initialSums = new double[segments];
        _sumsBefore = new double[segments];
        _sums = new StepSums(segments);
        _pass = backend.CreateOptimizer(layout, tensors, options);
    }

    /// <summary>The regulariser and its groups. Its state is the device's: see <see cref="State"/>.</summary>
    public Regularizer Regularizer { get; }

    /// <summary>t, the number of steps that are finished.</summary>
    public long StepsTaken { get; private set; }

    /// <summary>The steps that are begun and not finished.</summary>
    public int StepsInFlight => (int)(_begun - StepsTaken);

    /// <summary>m and v of Adam, or the buffer of SGD, each as long as the parameters.</summary>
    public IReadOnlyList<Tensor> Moments => _moments;

    /// <summary>The norm of the regularised set after the last finished step.</summary>
    public double WeightNorm { get; private set; }

    /// <summary><see cref="WeightNorm"/> over its value at initialisation; not a number when that was 0.</summary>
    public double NormRatio => _initialNorm > 0 ? WeightNorm / _initialNorm : double.NaN;

    /// <summary>What the last finished step found of every segment of the regulariser.</summary>
    public StepSums Sums => _sums;

    /// <summary>Σ w² of every segment at initialisation.</summary>
    public ReadOnlySpan<double> InitialSums => _initialSums;

    /// <summary>Σ w² of every segment before the last finished step.</summary>
    public ReadOnlySpan<double> SumsBefore => _sumsBefore;

    /// <summary>s of every segment: what the regulariser multiplied it by in the last finished step, before or after the gradient step. Waits for all steps.</summary>
    /// <param name="factors">One for each segment, overwritten.</param>
    public void Factors(Span<double> factors)
    {
        factors.Fill(1);
        if (Regularizer.FollowsPass)
        {
            for (int i = 0; i < factors.Length; i++)
                factors[i] = _sums.Factors[i];
        }
        else if (Regularizer is ParameterBound bound)
        {
            // Its factor is that of the multiplier, which the device has.
            bound.Start(_initialSums, _pass.State());
            foreach (WeightUnit unit in bound.Units)
            {
                foreach (int segment in unit.Segments)
                    factors[segment] = (float)(1 - (2 * bound.Multiplier(unit)));
            }
        }
        else
        {
            var updates = new SegmentUpdate[factors.Length];
            Array.Fill(updates, new SegmentUpdate(default, 0, L2: 0, ShrinkBefore: 1, ShrinkAfter: 1));
            Regularizer.BeforeStep(At(StepsTaken), _sumsBefore, updates);
            for (int i = 0; i < factors.Length; i++)
                factors[i] = (double)updates[i].ShrinkBefore * updates[i].ShrinkAfter;
        }
    }

    /// <summary>Begins at step 0 with zero moments, from the weights as they are: their norms are what targets and ratios refer to.</summary>
    /// <exception cref="RequestException">The rule cannot work on these weights.</exception>
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

        _backend.SumOfSquares(exact, Regularizer.Segments.Segments, _initialSums);
        Begin(0, _initialSums, []);
    }

    /// <summary>
    /// Continues from a checkpoint; the caller has loaded the weights and <see cref="Moments"/>. No norm is computed again. What another rule kept
    /// from step to step is left out: norms of rows are added up where this rule works on tensors, and a constraint of another rule begins anew.
    /// </summary>
    /// <exception cref="RequestException">The state is of another model, or lacks what the rule refers to.</exception>
    public void Restore(OptimizerState state)
    {
        ArgumentNullException.ThrowIfNull(state);
        Fit(state.InitialSumsOfSquares, _initialSums);
        var sums = new double[_initialSums.Length];
        Fit(state.SumsOfSquares, sums);
        Begin(state.Step, sums, state.Rule == RuleDescription.Name(_options.Regularizer.Kind) ? state.RuleState : []);
    }

    /// <summary>What <see cref="Restore"/> needs besides the weights and the moments. Waits for all steps.</summary>
    public OptimizerState State() => new(StepsTaken, [.. _initialSums], [.. _sums.Weights])
    {
        Rule = RuleDescription.Name(_options.Regularizer.Kind),
        RuleState = _pass.State(),
    };

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
        _pass.Begin(At(_begun), loss);
    }

    /// <summary>Waits for the oldest step in flight. When it was not taken, neither were those after it, and the count of steps goes no further.</summary>
    public OptimizerStep FinishStep()
    {
        if (StepsInFlight == 0)
            throw new InvalidOperationException("no step is in flight; begin one first");
        _sums.Weights.CopyTo(_sumsBefore);
        PassResult result = _pass.Finish(_sums);
        long step = StepsTaken + 1;
        RegularizerStep scalars = At(step);
        double rate = double.IsNaN(scalars.EffectiveRate) ? scalars.PeakLearningRate * scalars.Multiplier : scalars.EffectiveRate * WeightNorm;
        _failed |= !result.Taken;
        if (_failed)
        {
            _begun--;
            return new OptimizerStep(step, false, result.Loss, rate, result.GradientNorm, WeightNorm, NormRatio);
        }

        double before = WeightNorm;
        StepsTaken = step;
        WeightNorm = result.WeightNorm;
        double change = 0, lost = 0, moved = 0;
        foreach (int segment in Regularizer.Members)
        {
            change += _sums.Change(segment, _sumsBefore[segment]);
            lost += _sums.Lost[segment];
            moved += _sums.Moved[segment];
        }

        return new OptimizerStep(step, true, result.Loss, rate, result.GradientNorm, WeightNorm, NormRatio)
        {
            UpdateRatio = Math.Sqrt(Math.Max(change, 0)) / before,
            Angle = StepGeometry.Angle(before, WeightNorm, change),
            TargetGap = Regularizer is NormControl control ? control.Gap(_sums.Weights, step) : double.NaN,
            LostUpdates = lost / moved,
        };
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

    private RegularizerStep At(long step) => new(step, _options.LearningRate, _options.Schedule.Multiplier(step - 1), _options.EffectiveRate(step));

    private void Begin(long stepsTaken, ReadOnlySpan<double> sums, IReadOnlyList<double> ruleState)
    {
        Regularizer.Start(_initialSums, ruleState);
        _pass.Start(_initialSums, sums, ruleState);
        (StepsTaken, _begun, _failed, _started) = (stepsTaken, stepsTaken, false, true);
        _initialNorm = Regularizer.Norm(_initialSums);
        WeightNorm = Regularizer.Norm(sums);
        sums.CopyTo(_sums.Weights);
        sums.CopyTo(_sumsBefore);
    }

    // Sums of another rule's segments: rows make tensors, tensors make no rows.
    private void Fit(IReadOnlyList<double> saved, Span<double> sums)
    {
        if (saved.Count == sums.Length)
        {
            saved.ToArray().CopyTo(sums);
            return;
        }

        var rows = WeightSegments.OfRows(_layout);
        if (saved.Count == rows.Count && sums.Length == _layout.Tensors.Count)
        {
            double[] ofRows = [.. saved];
            for (int tensor = 0; tensor < sums.Length; tensor++)
                sums[tensor] = rows.Total(ofRows, tensor);
            return;
        }

        if (saved.Count == _layout.Tensors.Count && sums.Length == rows.Count)
        {
            throw new RequestException("the checkpoint has no norms of rows, which --norm-scope row refers to.\n"
                + "Use --norm-scope tensor or global, or begin a run with --norm-scope row.");
        }

        throw new RequestException($"the optimizer state has norms of {saved.Count} tensors, but the model has {sums.Length}; the checkpoint is of another model.");
    }
}
