using System.Numerics;

namespace Trainer.Experiments;

/// <summary>
/// The trace of the Hessian of a loss by Hutchinson's estimator (1990), the mean of zᵀHz over probes z of random signs, and its largest
/// eigenvalue by power iteration. Only gradients are needed: Hz is their central difference.
/// </summary>
/// <remarks>
/// The expectation over z is exact for every H; the variance of one probe is 2 Σ_{i≠j} H_ij², so that a diagonal H needs one probe. The central
/// difference is exact for a quadratic loss and off by h²/6 times the third derivative of the gradient along z otherwise; rounding of the gradients
/// adds their error over h. Sums are in double precision. Memory: four vectors of C beside the parameters.
/// </remarks>
public static class HessianTrace
{
    private const ulong ProbeStream = 0x6865737A_00000000;
    private const ulong PowerStream = 0x68657370_00000000;

    /// <summary>Estimates the trace, and with <see cref="HessianTraceOptions.PowerIterations"/> the largest eigenvalue.</summary>
    /// <typeparam name="T">float or double.</typeparam>
    /// <param name="parameters">θ, (C), not all zero; left as they are.</param>
    /// <param name="gradient">∇L.</param>
    /// <param name="options">Probes and step.</param>
    /// <exception cref="RequestException">A setting is out of its range, or the parameters are zero or not finite.</exception>
    public static HessianEstimate Estimate<T>(T[] parameters, GradientAt<T> gradient, HessianTraceOptions options)
        where T : unmanaged, IBinaryFloatingPointIeee754<T>
    {
        ArgumentNullException.ThrowIfNull(parameters);
        ArgumentNullException.ThrowIfNull(gradient);
        ArgumentNullException.ThrowIfNull(options);
        options.Validated();
        var hessian = new HessianProduct<T>(parameters, gradient, options.RelativeStep);
        double norm = hessian.ParameterNorm;
        if (!(norm > 0 && double.IsFinite(norm)))
            throw new RequestException($"the parameters have norm {norm}; the step to their Hessian is a share of it, so it must be positive and finite.");

        var direction = new T[parameters.Length];
        double mean = 0, squares = 0;
        for (int probe = 0; probe < options.Probes; probe++)
        {
            FillSigns(direction, new CounterRandom(options.Seed, ProbeStream + (ulong)probe));
            double value = HessianProduct<T>.Dot(direction, hessian.Times(direction));

            // Welford's recurrence.
            double deviation = value - mean;
            mean += deviation / (probe + 1);
            squares += deviation * (value - mean);
        }

        double error = Math.Sqrt(squares / (options.Probes - 1) / options.Probes);
        double top = double.NaN;
        if (options.PowerIterations > 0)
        {
            FillSigns(direction, new CounterRandom(options.Seed, PowerStream));
            top = TopEigenvalue(hessian, direction, options.PowerIterations);
        }

        return new HessianEstimate(mean, error, mean * norm * norm / parameters.Length, top);
    }

    /// <summary>The Rayleigh quotient of the last direction of the power iteration; <paramref name="direction"/> is overwritten.</summary>
    private static double TopEigenvalue<T>(HessianProduct<T> hessian, T[] direction, int iterations)
        where T : unmanaged, IBinaryFloatingPointIeee754<T>
    {
        double eigenvalue = 0;
        for (int iteration = 0; iteration < iterations; iteration++)
        {
            var product = hessian.Times(direction);
            eigenvalue = HessianProduct<T>.Dot(direction, product) / HessianProduct<T>.Dot(direction, direction);
            double length = Math.Sqrt(HessianProduct<T>.Dot(product, product));
            if (!(length > 0))
                return eigenvalue;
            for (int i = 0; i < direction.Length; i++)
                direction[i] = T.CreateChecked(double.CreateChecked(product[i]) / length);
        }

        return eigenvalue;
    }

    private static void FillSigns<T>(Span<T> direction, CounterRandom random)
        where T : unmanaged, IBinaryFloatingPointIeee754<T>
    {
        for (int i = 0; i < direction.Length; i++)
            direction[i] = (random.Bits((ulong)i / 64) & (1UL << (i % 64))) == 0 ? T.One : -T.One;
    }
}
