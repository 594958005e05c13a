using Trainer.Compute;
using Trainer.Model;

namespace Trainer.Optimization;

/// <summary>What one optimizer step did.</summary>
/// <param name="Step">t, counted from 1.</param>
/// <param name="Taken">False when the gradients are not finite; then no weight, moment or norm was touched.</param>
/// <param name="LearningRate">α η_t.</param>
/// <param name="GradientNorm">The norm of all gradients, before clipping.</param>
/// <param name="WeightNorm">The norm of the regularised set, after the step.</param>
/// <param name="NormRatio"><paramref name="WeightNorm"/> over its value at initialisation; not a number when that was 0.</param>
public readonly record struct OptimizerStep(long Step, bool Taken, double LearningRate, double GradientNorm, double WeightNorm, double NormRatio);

/// <summary>What a checkpoint keeps of an optimizer besides its moments.</summary>
/// <param name="Step">The number of steps taken.</param>
/// <param name="InitialSumsOfSquares">Σ w² of every tensor at initialisation: what targets and ratios refer to.</param>
/// <param name="SumsOfSquares">Σ w² of every tensor now, as the last step found them.</param>
public sealed record OptimizerState(long Step, IReadOnlyList<double> InitialSumsOfSquares, IReadOnlyList<double> SumsOfSquares);

/// <summary>
/// Adam (Kingma and Ba 2015) with a <see cref="Regularizer"/>. A step is: the gradient norm, the clip factor, one fused pass over all
/// parameters, and for norm control in its usual order one scaling of the regularised weights.
/// </summary>
public sealed class AdamOptimizer : IDisposable
{
    // torch.nn.utils.clip_grad_norm_ adds this to the norm before it divides.
    private const double ClipEpsilon = 1e-6;

    private readonly IBackend _backend;
    private readonly ParameterLayout _layout;
    private readonly OptimizerOptions _options;
    private readonly Tensor _weights;
    private readonly Tensor _gradients;
    private readonly Tensor[] _moments;
    private readonly SegmentUpdate[] _updates;
    private readonly float[] _factors;
    private readonly double[] _initialSums;
    private readonly double[] _weightSums;
    private readonly double[] _gradientSums;
    private double _initialNorm;
    private bool _started;
    private bool _disposed;

    /// <summary>Allocates the moments. Call <see cref="Start"/> or <see cref="Restore"/> before the first step.</summary>
    /// <param name="backend">Where the parameters lie.</param>
    /// <param name="layout">Where each tensor is.</param>
    /// <param name="weights">All parameters; stays the caller's.</param>
    /// <param name="gradients">Their gradients, as long; stays the caller's.</param>
    /// <param name="options">The rule.</param>
    /// <exception cref="RequestException">An option is impossible, or a pattern matches no tensor.</exception>
    public AdamOptimizer(IBackend backend, ParameterLayout layout, Tensor weights, Tensor gradients, OptimizerOptions options)
    {
        ArgumentNullException.ThrowIfNull(backend);
        ArgumentNullException.ThrowIfNull(layout);
        ArgumentNullException.ThrowIfNull(options);
        if (weights.Count != layout.Count || gradients.Count != layout.Count)
            throw new ArgumentException($"weights {weights.Shape} and gradients {gradients.Shape} must each hold the layout's {layout.Count} parameters");

        _backend = backend;
        _layout = layout;
        _options = options.Validated();
        Regularizer = options.Regularizer.Create(layout);
        _weights = weights;
        _gradients = gradients;
        int tensors = layout.Tensors.Count;
        _updates = new SegmentUpdate[tensors];
        _factors = new float[tensors];
        _initialSums = new double[tensors];
        _weightSums = new double[tensors];
        _gradientSums = new double[tensors];
        Tensor firstMoment = backend.Allocate(ElementType.Float32, weights.Shape);
        try
        {
            _moments = [firstMoment, backend.Allocate(ElementType.Float32, weights.Shape)];
        }
        catch
        {
            backend.Free(firstMoment);
            throw;
        }
    }

    /// <summary>The regulariser and its groups.</summary>
    public Regularizer Regularizer { get; }

    /// <summary>t, the number of steps taken.</summary>
    public long StepsTaken { get; private set; }

    /// <summary>m and v, each as long as the parameters.</summary>
    public IReadOnlyList<Tensor> Moments => _moments;

    /// <summary>The norm of the regularised set now.</summary>
    public double WeightNorm => Regularizer.Groups.Norm(_weightSums);

    /// <summary><see cref="WeightNorm"/> over its value at initialisation; not a number when that was 0.</summary>
    public double NormRatio => _initialNorm > 0 ? WeightNorm / _initialNorm : double.NaN;

    /// <summary>Σ w² of every tensor now.</summary>
    public ReadOnlySpan<double> WeightSumsOfSquares => _weightSums;

    /// <summary>Σ g² of every tensor in the last step, before clipping.</summary>
    public ReadOnlySpan<double> GradientSumsOfSquares => _gradientSums;

    /// <summary>Begins at step 0 with zero moments, from the weights as they are: their norms are what targets and ratios refer to.</summary>
    public void Start()
    {
        foreach (Tensor moment in _moments)
            _backend.Zero(moment);
        _backend.SumOfSquares(_weights, _layout.Segments, _initialSums);
        _initialSums.CopyTo(_weightSums, 0);
        Begin(0);
    }

    /// <summary>Continues from a checkpoint; the caller has loaded the weights and <see cref="Moments"/>. No norm is computed again.</summary>
    /// <exception cref="RequestException">The state is of another model.</exception>
    public void Restore(OptimizerState state)
    {
        ArgumentNullException.ThrowIfNull(state);
        if (state.InitialSumsOfSquares.Count != _initialSums.Length || state.SumsOfSquares.Count != _weightSums.Length)
        {
            throw new RequestException($"the optimizer state has norms of {state.InitialSumsOfSquares.Count} tensors, "
                + $"but the model has {_initialSums.Length}; the checkpoint is of another model.");
        }

        for (int i = 0; i < _initialSums.Length; i++)
        {
            _initialSums[i] = state.InitialSumsOfSquares[i];
            _weightSums[i] = state.SumsOfSquares[i];
        }

        Begin(state.Step);
    }

    /// <summary>What <see cref="Restore"/> needs besides the weights and the moments.</summary>
    public OptimizerState State() => new(StepsTaken, [.. _initialSums], [.. _weightSums]);

    /// <summary>Takes one step with the gradients as they are. Allocates nothing.</summary>
    /// <exception cref="InvalidOperationException">Neither <see cref="Start"/> nor <see cref="Restore"/> was called.</exception>
    public OptimizerStep Step()
    {
        if (!_started)
            throw new InvalidOperationException("the optimizer has no initial norms; call Start or Restore first");

        long t = StepsTaken + 1;
        double multiplier = _options.Schedule.Multiplier(t - 1);
        double learningRate = _options.LearningRate * multiplier;
        var step = new RegularizerStep(t, _options.LearningRate, multiplier);

        _backend.SumOfSquares(_gradients, _layout.Segments, _gradientSums);
        double gradientNorm = GradientNorm();
        if (!double.IsFinite(gradientNorm))
            return new OptimizerStep(t, false, learningRate, gradientNorm, WeightNorm, NormRatio);
        double clip = _options.GradientClip > 0 ? Math.Min(1, _options.GradientClip / (gradientNorm + ClipEpsilon)) : 1;

        ReadOnlySpan<Segment> segments = _layout.Segments;
        for (int i = 0; i < segments.Length; i++)
            _updates[i] = new SegmentUpdate(segments[i], (float)learningRate, L2: 0, ShrinkBefore: 1, ShrinkAfter: 1);
        Regularizer.BeforeStep(step, _weightSums, _updates);
        _backend.AdamUpdate(_weights, _gradients, _moments[0], _moments[1], _updates,
            new AdamStep((float)_options.Beta1, (float)_options.Beta2, (float)_options.Epsilon, t, (float)clip), _weightSums);

        Array.Fill(_factors, 1f);
        if (Regularizer.AfterStep(step, _weightSums, _factors))
        {
            _backend.Scale(_weights, segments, _factors);
            for (int i = 0; i < _factors.Length; i++)
                _weightSums[i] *= (double)_factors[i] * _factors[i];
        }

        StepsTaken = t;
        return new OptimizerStep(t, true, learningRate, gradientNorm, WeightNorm, NormRatio);
    }

    /// <summary>Frees the moments.</summary>
    public void Dispose()
    {
        if (_disposed)
            return;
        _disposed = true;
        foreach (Tensor moment in _moments)
            _backend.Free(moment);
    }

    private void Begin(long stepsTaken)
    {
        StepsTaken = stepsTaken;
        _initialNorm = Regularizer.Groups.Norm(_initialSums);
        Regularizer.Start(_initialSums);
        _started = true;
    }

    private double GradientNorm()
    {
        double sum = 0;
        foreach (double tensor in _gradientSums)
            sum += tensor;
        return Math.Sqrt(sum);
    }
}
