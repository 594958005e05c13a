using Trainer.Compute;

namespace Trainer.Tests.Compute;

/// <summary>How a backend rounds: what the tolerances of its operations follow from.</summary>
/// <remarks>
/// Everywhere U is the unit roundoff of fp32, 2⁻²⁴. A sum of n terms in any order errs by about √n · U · Σ|terms| (Higham and Mary 2019), which the
/// constant 4 makes certain enough. What a precision adds to that:
/// <list type="bullet">
/// <item>bf16: each result that is stored as an activation is rounded once more, by 2⁻⁸ of itself.</item>
/// <item>TF32: each factor of a matrix product of a linear layer has 11 bits. The device may cut off the others: 2⁻¹⁰ of each factor.</item>
/// <item>Tensor cores, which make the products of both, add without saying in which order, and may cut off what rounding would keep: each addition errs by
/// up to 2 U of the sum of magnitudes. A term passes through at most one for each term of the sum, one for a bias, and a few where a sum is made in parts.</item>
/// </list>
/// </remarks>
/// <param name="Precision">The formats.</param>
/// <param name="IsGpu">
/// Whether exponentials, roots and quotients are the approximations that GPUs have instructions for, and squares are summed in fp32, at most 32 of them,
/// before they are in double precision.
/// </param>
internal sealed record Arithmetic(Precision Precision, bool IsGpu)
{
    private const double U = TestValues.UnitRoundoff;
    private const int PartsOfSum = 4;

    /// <summary>fp32 on a CPU.</summary>
    public static Arithmetic Cpu { get; } = new(Precision.Float32, IsGpu: false);

    /// <summary>Whether activations and weights are bf16.</summary>
    public bool IsHalf => Precision.Working == ElementType.BFloat16;

    /// <summary>The relative error of a sum of squares.</summary>
    public double SquareSum => IsGpu ? ((4 * Math.Sqrt(32)) + 1) * U : 1e-13;

    /// <summary>An activation or its gradient, or a weight that passes read.</summary>
    /// <param name="name">The parameter.</param>
    /// <param name="shape">Its extents.</param>
    /// <param name="values">What it holds; left out for an operand that is overwritten.</param>
    /// <param name="optional">Whether it may be left out.</param>
    public Operand Working(string name, Shape shape, float[]? values = null, bool optional = false) =>
        new(name, shape, Precision.Working, IsHalf && values is not null ? Array.ConvertAll(values, Bf16.Round) : values, optional);

    /// <summary>The values that are left of an activation's or weight's.</summary>
    public float[] Given(float[] values) => IsHalf ? values.Rounded() : values;

    /// <summary>The tolerances of results that are stored as activations.</summary>
    /// <param name="values">The results.</param>
    /// <param name="errors">What they err by before they are stored, roundings to fp32 included.</param>
    /// <param name="roundings">How often they may be stored, each time rounded, before the last.</param>
    public double[] Stored(double[] values, double[] errors, int roundings = 1) => IsHalf
        ? [.. values.Zip(errors, (value, error) => error + (roundings * Bf16.UnitRoundoff * (Math.Abs(value) + error)) + Bf16.Tiny)]
        : errors;

    /// <summary>The errors of a matrix product's sums.</summary>
    /// <param name="terms">The terms of each sum.</param>
    /// <param name="norms">For each sum a bound of Σ|terms|: the product of the norms of its row and its column.</param>
    /// <param name="magnitudes">Σ|terms| of each sum.</param>
    public double[] ProductErrors(int terms, Func<double[]> norms, Func<double[]> magnitudes)
    {
        bool tensorCores = IsHalf || Precision.UsesTensorFloat32;
        double factors = Precision.UsesTensorFloat32 ? 2.0 / (1 << 10) : 0;
        return tensorCores ? magnitudes().Scaled(factors + (2 * U * (terms + PartsOfSum))) : norms().Scaled(4 * U * Math.Sqrt(terms));
    }

    /// <summary>The precision, and whose.</summary>
    public override string ToString() => $"{Precision} of a {(IsGpu ? "GPU" : "CPU")}";
}
