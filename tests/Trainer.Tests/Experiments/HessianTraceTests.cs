using Trainer.Experiments;

namespace Trainer.Tests.Experiments;

public sealed class HessianTraceTests
{
    private const int Size = 24;

    private static readonly double[] Eigenvalues = [.. Enumerable.Range(0, Size).Select(i => i == 5 ? 40.0 : 1 + (i % 7))];

    /// <summary>
    /// Without off-diagonal elements every probe gives the trace. The gradient's rounding, eps d_i |θ_i|, is divided by h = 1e-3 of a typical θ_i: an
    /// error of about 1e3 eps of the trace, some times more for the largest θ_i.
    /// </summary>
    [Test]
    public void Trace_of_a_diagonal_quadratic_is_exact()
    {
        double[] parameters = Normals(Size, 1);
        var estimate = HessianTrace.Estimate<double>(parameters, Diagonal, new HessianTraceOptions { Probes = 3 });
        double trace = Eigenvalues.Sum();
        Assert.Multiple(() =>
        {
            Assert.That(estimate.Trace, Is.EqualTo(trace).Within(1e4 * 1.1e-16 * trace));
            Assert.That(estimate.StandardError, Is.LessThan(1e4 * 1.1e-16 * trace));
            Assert.That(estimate.NormalizedTrace, Is.EqualTo(estimate.Trace * parameters.Sum(p => p * p) / Size).Within(1e-12).Percent);
            Assert.That(estimate.TopEigenvalue, Is.NaN, "not asked for");
        });
    }

    [Test]
    public void Trace_in_single_precision_is_good_to_three_digits()
    {
        float[] parameters = [.. Normals(Size, 1).Select(value => (float)value)];
        float[] kept = [.. parameters];
        var estimate = HessianTrace.Estimate<float>(parameters, (at, gradient) =>
        {
            for (int i = 0; i < at.Length; i++)
                gradient[i] = (float)Eigenvalues[i] * at[i];
        }, new HessianTraceOptions());

        // As above: 1e3 times 6e-8, some times more for the largest parameters.
        Assert.That(estimate.Trace, Is.EqualTo(Eigenvalues.Sum()).Within(0.1).Percent);
        Assert.That(parameters, Is.EqualTo(kept));
    }

    /// <summary>The variance of a probe is twice the sum of the squares off the diagonal.</summary>
    [Test]
    public void Trace_and_top_eigenvalue_of_a_full_quadratic_are_found()
    {
        const int probes = 400;
        double[,] hessian = Reflected();
        double variance = 0;
        for (int i = 0; i < Size; i++)
        {
            for (int j = 0; j < Size; j++)
                variance += i == j ? 0 : 2 * hessian[i, j] * hessian[i, j];
        }

        double error = Math.Sqrt(variance / probes);
        var options = new HessianTraceOptions { Probes = probes, PowerIterations = 30 };
        var estimate = HessianTrace.Estimate<double>(Normals(Size, 1), (at, gradient) => Times(hessian, at, gradient), options);
        Assert.Multiple(() =>
        {
            Assert.That(estimate.Trace, Is.EqualTo(Eigenvalues.Sum()).Within(4 * error));

            // A deviation from 400 values of a distribution with a kurtosis of up to 12 has a relative error of √(11/1600) = 0.083: four of them.
            Assert.That(estimate.StandardError, Is.EqualTo(error).Within(33).Percent);

            // The next eigenvalue is 7: after 29 products its share of the quotient is (7/40)^58.
            Assert.That(estimate.TopEigenvalue, Is.EqualTo(40).Within(1e-9));
        });
    }

    /// <summary>
    /// H = mean of p (1 - p) x xᵀ. The step of 1e-4 leaves h²/6 times the fourth derivative, 1e-8, and rounding of 1e-12: nothing beside the probes' error.
    /// </summary>
    [Test]
    public void Trace_of_logistic_regression_is_the_analytic_one()
    {
        const int dimension = 10, samples = 50, probes = 400;
        double[] weights = Normals(dimension, 2), inputs = Normals(dimension * samples, 3);
        var hessian = new double[dimension, dimension];
        for (int n = 0; n < samples; n++)
        {
            double p = Probability(weights, n);
            for (int i = 0; i < dimension; i++)
            {
                for (int j = 0; j < dimension; j++)
                    hessian[i, j] += p * (1 - p) * inputs[(n * dimension) + i] * inputs[(n * dimension) + j] / samples;
            }
        }

        double trace = Enumerable.Range(0, dimension).Sum(i => hessian[i, i]);
        double variance = 2 * (hessian.Cast<double>().Sum(h => h * h) - Enumerable.Range(0, dimension).Sum(i => hessian[i, i] * hessian[i, i]));
        var estimate = HessianTrace.Estimate<double>(weights, (at, gradient) =>
        {
            gradient.Clear();
            for (int n = 0; n < samples; n++)
            {
                double error = Probability(at, n) - (n % 2);
                for (int i = 0; i < dimension; i++)
                    gradient[i] += error * inputs[(n * dimension) + i] / samples;
            }
        }, new HessianTraceOptions { Probes = probes, RelativeStep = 1e-4 });
        double standardError = Math.Sqrt(variance / probes);
        Assert.That(estimate.Trace, Is.EqualTo(trace).Within(4 * standardError));
        Assert.That(4 * standardError, Is.LessThan(0.1 * trace), "the tolerance is small enough to tell");

        double Probability(ReadOnlySpan<double> at, int n)
        {
            double logit = 0;
            for (int i = 0; i < dimension; i++)
                logit += at[i] * inputs[(n * dimension) + i];
            return 1 / (1 + Math.Exp(-logit));
        }
    }

    /// <summary>A factor of two rounds nothing.</summary>
    [Test]
    public void Normalised_trace_of_a_scale_invariant_loss_does_not_see_the_norm()
    {
        double[] weights = Normals(8, 4), samples = Normals(32, 5), labels = [1, -1, 1, 1];
        double[] twice = [.. weights.Select(weight => 2 * weight)];
        void Gradient(ReadOnlySpan<double> at, Span<double> gradient) => ScaleInvariantToy.LossAndGradient(at, samples, labels, gradient);
        var one = HessianTrace.Estimate<double>(weights, Gradient, new HessianTraceOptions());
        var other = HessianTrace.Estimate<double>(twice, Gradient, new HessianTraceOptions());
        Assert.That(other.NormalizedTrace, Is.EqualTo(one.NormalizedTrace));
        Assert.That(other.Trace, Is.EqualTo(one.Trace / 4));
    }

    [Test]
    public void Impossible_requests_are_refused()
    {
        double[] parameters = Normals(Size, 1);
        Assert.Multiple(() =>
        {
            foreach (var options in new HessianTraceOptions[]
            {
                new() { Probes = 1 }, new() { RelativeStep = 0 }, new() { RelativeStep = double.NaN }, new() { PowerIterations = -1 },
            })
                Assert.That(() => HessianTrace.Estimate<double>(parameters, Diagonal, options), Throws.TypeOf<RequestException>());
            Assert.That(() => HessianTrace.Estimate<double>(new double[Size], Diagonal, new()), Throws.TypeOf<RequestException>());
        });
    }

    private static void Diagonal(ReadOnlySpan<double> parameters, Span<double> gradient)
    {
        for (int i = 0; i < parameters.Length; i++)
            gradient[i] = Eigenvalues[i] * parameters[i];
    }

    /// <summary>A symmetric matrix with <see cref="Eigenvalues"/>: their diagonal between two reflections I - 2 u uᵀ.</summary>
    private static double[,] Reflected()
    {
        double[] u = Normals(Size, 6);
        double squares = u.Sum(value => value * value);
        double Reflection(int i, int j) => (i == j ? 1 : 0) - (2 * u[i] * u[j] / squares);
        var matrix = new double[Size, Size];
        for (int i = 0; i < Size; i++)
        {
            for (int j = 0; j < Size; j++)
                matrix[i, j] = Enumerable.Range(0, Size).Sum(k => Reflection(i, k) * Eigenvalues[k] * Reflection(k, j));
        }

        return matrix;
    }

    private static void Times(double[,] matrix, ReadOnlySpan<double> vector, Span<double> product)
    {
        for (int i = 0; i < vector.Length; i++)
        {
            product[i] = 0;
            for (int j = 0; j < vector.Length; j++)
                product[i] += matrix[i, j] * vector[j];
        }
    }

    private static double[] Normals(int count, ulong stream) => [.. Enumerable.Range(0, count).Select(i => new CounterRandom(1, stream).Normal((ulong)i))];
}
