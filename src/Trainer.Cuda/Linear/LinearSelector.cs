namespace Trainer.Cuda;

/// <summary>Finds the fastest implementation of a product that gives the right numbers, and the same ones in every run.</summary>
/// <param name="kernels">The kernels.</param>
/// <param name="candidates">The implementations.</param>
/// <param name="arithmetic">Of what products are computed.</param>
internal sealed class LinearSelector(CudaKernels kernels, LinearCandidates candidates, LinearArithmetic arithmetic)
{
    // A library must be faster than our own kernels by more than the noise of the measurement.
    private const double Tie = 0.01;

    private readonly TrialValues _values = new();

    /// <summary>Measures a product, in milliseconds, in place of the clock of the device.</summary>
    public Func<LinearProduct, float>? Clock { get; init; }

    /// <summary>Chooses among all implementations.</summary>
    /// <returns>The choice, the caller's to dispose of; null if there is not enough memory to try them, or if none is right.</returns>
    public LinearProduct? Fastest(in LinearShape shape)
    {
        using LinearTrial? trial = LinearTrial.TryCreate(kernels, _values, shape, arithmetic, candidates.ScratchBytes(shape));
        if (trial is null)
            return null;
        using LinearProduct reference = candidates.Expected(shape);
        return Fastest(trial, candidates.All(shape), reference, Tolerance(shape));
    }

    /// <summary>Chooses among some implementations.</summary>
    /// <param name="trial">The operands to try them on.</param>
    /// <param name="all">The implementations; all but the choice are disposed of.</param>
    /// <param name="reference">One that is known to be right.</param>
    /// <param name="tolerance">How far results may be from its: ‖a - b‖ / ‖b‖.</param>
    internal LinearProduct? Fastest(LinearTrial trial, IReadOnlyList<LinearProduct> all, LinearProduct reference, double tolerance)
    {
        LinearProduct? chosen = null;
        try
        {
            var timed = new List<(LinearProduct Product, double Milliseconds)>();
            foreach (LinearProduct product in all)
            {
                if (Time(trial, product) is { } milliseconds)
                    timed.Add((product, LinearCandidates.IsOfLibrary(product) ? milliseconds : milliseconds * (1 - Tie)));
            }

            // Stable: of two that take the same time the first is preferred. Most are never compared: that costs as much as timing them.
            chosen = timed.OrderBy(entry => entry.Milliseconds).Select(entry => entry.Product)
                .FirstOrDefault(product => trial.Distance(product, reference) <= tolerance && trial.Repeats(product));
            return chosen;
        }
        finally
        {
            foreach (LinearProduct product in all)
            {
                if (product != chosen)
                    product.Dispose();
            }
        }
    }

    /// <summary>How far the results of two implementations may be from each other: ‖a - b‖ / ‖b‖.</summary>
    /// <remarks>
    /// It tells a wrong layout, a wrong epilogue, and what was not added from rounding, on operands whose results are about 1. bf16: each result is off
    /// by at most 2⁻⁹ of itself, and a GELU passes on up to 1.6 times that: together below 2⁻⁷. TF32: operands are rounded to 2⁻¹¹ of themselves, or cut
    /// off at 2⁻¹⁰: 3 · 2⁻¹⁰ at the worst, below 2⁻⁸. Gradients of weights, fp32 sums of bf16 products: tensor cores cut off each of K / 16 additions,
    /// by 2⁻²⁴ of partial sums that grow like a root, together 2/3 · K / 16 · 2⁻²⁴: 2⁻⁹ for K up to 780,000. fp32: the error of a sum of independent
    /// numbers has a standard deviation of about 0.3 · 2⁻²⁴ √K, which is allowed 25 times.
    /// </remarks>
    internal double Tolerance(in LinearShape shape) =>
        arithmetic.UsesTensorFloat32 ? Math.ScaleB(1, -8)
        : arithmetic.Type == Kernels.KernelType.Float ? 8 * Math.ScaleB(1, -24) * Math.Sqrt(ColumnProduct.Of(shape).K)
        : shape.Form == LinearForm.BackwardWeight ? Math.ScaleB(1, -9)
        : Math.ScaleB(1, -7);

    // Null if the library does not compute it after all.
    private float? Time(LinearTrial trial, LinearProduct product)
    {
        try
        {
            return Clock is null ? trial.Time(product) : Clock(product);
        }
        catch (CublasException)
        {
            return null;
        }
    }
}
