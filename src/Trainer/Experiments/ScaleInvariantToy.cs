namespace Trainer.Experiments;

/// <summary>
/// The smallest model whose loss does not depend on the length of its weights: logistic regression on a direction,
/// <c>L = E log(1 + exp(-y x·w/|w|))</c>, with x standard normal and y the sign of x·w*, some labels flipped. It shows what weight decay does to
/// scale-invariant weights under SGD (van Laarhoven 2017; Labatie, "The Serendipitous Effectiveness of Weight Decay in Deep Learning").
/// </summary>
/// <remarks>
/// The gradient is orthogonal to w and proportional to 1/|w|, g = g̃/|w|, so that each step lengthens w: |w|² gains η² |g̃|²/|w|². Without decay
/// |w|⁴ then grows as 2 η² |g̃|² t. With <c>w ← w - η (g + λ w)</c> the gain balances the loss 2 η λ |w|² at |w|² = |g̃| √(η/(2λ)), where the effective
/// rate η/|w|² is √(2 η λ)/|g̃| and the angle of a step √(2 η λ). Labatie's penalty λ|w|² is this λ halved.
/// All is double precision and a function of the settings alone.
/// </remarks>
public sealed class ScaleInvariantToy
{
    private const ulong WeightStream = 0x73692D77;
    private const ulong TeacherStream = 0x73692D74;
    private const ulong InputStream = 0x73692D78;
    private const ulong FlipStream = 0x73692D66;
    private const int FitPoints = 256;

    private readonly ScaleInvariantOptions _options;
    private readonly double[] _teacher;
    private readonly CounterRandom _inputs;
    private readonly CounterRandom _flips;

    /// <summary>Draws the direction that labels the data.</summary>
    /// <exception cref="RequestException">A setting is out of its range.</exception>
    public ScaleInvariantToy(ScaleInvariantOptions options)
    {
        ArgumentNullException.ThrowIfNull(options);
        _options = options.Validated();
        _teacher = Normals(new CounterRandom(options.Seed, TeacherStream), options.Dimension);
        _inputs = new CounterRandom(options.Seed, InputStream);
        _flips = new CounterRandom(options.Seed, FlipStream);
    }

    /// <summary>Trains from the start.</summary>
    /// <param name="report">Gets the course of the run, or none.</param>
    /// <param name="points">How many points it gets, about, at even distances.</param>
    public ScaleInvariantResult Run(Action<ScaleInvariantPoint>? report = null, int points = 2000)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(points, 1);
        double rate = _options.LearningRate;
        double initialNorm = _options.SphereRadius > 0 ? _options.SphereRadius : _options.InitialNorm;
        double[] weights = Normals(new CounterRandom(_options.Seed, WeightStream), _options.Dimension);
        ScaleTo(weights, initialNorm);
        var before = new double[weights.Length];
        var gradient = new double[weights.Length];
        var samples = new double[_options.BatchSize * _options.Dimension];
        var labels = new double[_options.BatchSize];

        long every = (_options.Steps + points - 1) / points;
        long secondHalf = _options.Steps / 2;
        var (interval, half) = (new Sums(), new Sums());
        var growth = new PowerLawFit(firstTime: _options.Steps / 10.0, lastTime: _options.Steps, FitPoints);
        for (long step = 1; step <= _options.Steps; step++)
        {
            Draw(step, samples, labels);
            weights.CopyTo(before, 0);
            double loss = LossAndGradient(weights, samples, labels, gradient);
            for (int i = 0; i < weights.Length; i++)
                weights[i] -= rate * (gradient[i] + (_options.WeightDecay * weights[i]));
            if (_options.SphereRadius > 0 && step % _options.ProjectEvery == 0)
                ScaleTo(weights, _options.SphereRadius);

            double squaredNorm = Dot(weights, weights);
            double angle = Angle(before, weights);
            growth.Add(step, squaredNorm);
            if (step > secondHalf)
                half.Add(loss, squaredNorm, rate / squaredNorm, angle);
            if (report is null)
                continue;
            interval.Add(loss, squaredNorm, rate / squaredNorm, angle);
            if (step % every == 0 || step == _options.Steps)
            {
                report(new ScaleInvariantPoint(step, interval.Loss, squaredNorm, rate / squaredNorm, interval.Angle));
                interval = new Sums();
            }
        }

        double decay = _options.WeightDecay > 0 ? _options.WeightDecay : double.NaN;
        double norm = Math.Sqrt(Dot(weights, weights));
        return new ScaleInvariantResult(
            half.Loss, half.SquaredNorm, half.EffectiveRate, half.Angle, norm, norm / initialNorm,
            half.SquaredNorm / Math.Sqrt(rate / decay), half.EffectiveRate / Math.Sqrt(rate * decay), half.Angle / Math.Sqrt(2 * rate * decay),
            growth.Exponent);
    }

    /// <summary>The mean loss of a batch and its gradient.</summary>
    /// <param name="weights">(D), not zero.</param>
    /// <param name="samples">(B, D).</param>
    /// <param name="labels">(B), each 1 or -1.</param>
    /// <param name="gradient">(D), overwritten.</param>
    internal static double LossAndGradient(ReadOnlySpan<double> weights, ReadOnlySpan<double> samples, ReadOnlySpan<double> labels, Span<double> gradient)
    {
        double norm = Math.Sqrt(Dot(weights, weights));
        double loss = 0;
        gradient.Clear();
        for (int b = 0; b < labels.Length; b++)
        {
            var x = samples.Slice(b * weights.Length, weights.Length);
            double margin = labels[b] * Dot(x, weights) / norm;

            // log(1 + exp(-m)) without overflow: max(-m, 0) + log(1 + exp(-|m|)).
            loss += (Math.Max(-margin, 0) + Math.Log(1 + Math.Exp(-Math.Abs(margin)))) / labels.Length;
            double slope = -labels[b] / (1 + Math.Exp(margin)) / labels.Length;
            for (int i = 0; i < gradient.Length; i++)
                gradient[i] += slope * x[i];
        }

        // d(x·ŵ)/dw = (x - (x·ŵ) ŵ) / |w|: what lies along w does not count.
        double radial = Dot(gradient, weights) / (norm * norm);
        for (int i = 0; i < gradient.Length; i++)
            gradient[i] = (gradient[i] - (radial * weights[i])) / norm;
        return loss;
    }

    private void Draw(long step, Span<double> samples, Span<double> labels)
    {
        ulong first = (ulong)(step - 1) * (ulong)samples.Length;
        for (int i = 0; i < samples.Length; i++)
        {
            if (i + 1 < samples.Length && (first + (ulong)i) % 2 == 0)
            {
                (samples[i], samples[i + 1]) = _inputs.NormalPair((first + (ulong)i) / 2);
                i++;
            }
            else
            {
                samples[i] = _inputs.Normal(first + (ulong)i);
            }
        }

        for (int b = 0; b < labels.Length; b++)
        {
            bool flipped = _flips.Uniform(((ulong)(step - 1) * (ulong)labels.Length) + (ulong)b) < _options.LabelNoise;
            bool positive = Dot(samples.Slice(b * _teacher.Length, _teacher.Length), _teacher) > 0;
            labels[b] = positive != flipped ? 1 : -1;
        }
    }

    private static double[] Normals(CounterRandom random, int count) => [.. Enumerable.Range(0, count).Select(i => random.Normal((ulong)i))];

    private static void ScaleTo(Span<double> weights, double norm)
    {
        double factor = norm / Math.Sqrt(Dot(weights, weights));
        foreach (ref double weight in weights)
            weight *= factor;
    }

    /// <summary>2 asin(|û - v̂| / 2), which unlike the arc cosine keeps its digits for small angles.</summary>
    private static double Angle(ReadOnlySpan<double> u, ReadOnlySpan<double> v)
    {
        double uScale = 1 / Math.Sqrt(Dot(u, u)), vScale = 1 / Math.Sqrt(Dot(v, v));
        double squares = 0;
        for (int i = 0; i < u.Length; i++)
        {
            double difference = (u[i] * uScale) - (v[i] * vScale);
            squares += difference * difference;
        }

        return 2 * Math.Asin(Math.Min(1, Math.Sqrt(squares) / 2));
    }

    private static double Dot(ReadOnlySpan<double> x, ReadOnlySpan<double> y)
    {
        double sum = 0;
        for (int i = 0; i < x.Length; i++)
            sum += x[i] * y[i];
        return sum;
    }

    /// <summary>Averages over steps.</summary>
    private struct Sums
    {
        private double _loss;
        private double _squaredNorm;
        private double _effectiveRate;
        private double _squaredAngle;
        private long _count;

        public readonly double Loss => _loss / _count;

        public readonly double SquaredNorm => _squaredNorm / _count;

        public readonly double EffectiveRate => _effectiveRate / _count;

        public readonly double Angle => Math.Sqrt(_squaredAngle / _count);

        public void Add(double loss, double squaredNorm, double effectiveRate, double angle)
        {
            _loss += loss;
            _squaredNorm += squaredNorm;
            _effectiveRate += effectiveRate;
            _squaredAngle += angle * angle;
            _count++;
        }
    }
}
