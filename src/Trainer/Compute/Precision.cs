using System.Globalization;

namespace Trainer.Compute;

/// <summary>In which formats a backend computes. Gradients of parameters, moments, statistics and losses are fp32 in all of them.</summary>
/// <param name="Name">The name in <c>--precision</c>.</param>
/// <param name="Working">The type of activations, of their gradients, and of the weights that forward and backward passes read.</param>
/// <param name="HasMaster">Whether the optimizer keeps weights of fp32 beside those of <paramref name="Working"/>.</param>
/// <param name="UsesTensorFloat32">Whether matrix products round their fp32 operands to 11 significant bits (TF32).</param>
/// <param name="RoundsStochastically">Whether updated weights are rounded up or down at random, so that the mean is the number itself.</param>
public sealed record Precision(string Name, ElementType Working, bool HasMaster = false, bool UsesTensorFloat32 = false, bool RoundsStochastically = false)
{
    /// <summary>The stored bits of an fp32 mantissa.</summary>
    public const int Float32MantissaBits = 23;

    private const string MantissaPrefix = "mantissa:";

    /// <summary>
    /// Whether every weight is a bf16 number, rounded whenever it is written, without an exact copy beside it. Where <see cref="Working"/> is fp32
    /// this is emulated: weights are stored as fp32, and activations and their gradients are not rounded.
    /// </summary>
    public bool RoundsWeights { get; init; }

    /// <summary>
    /// The stored mantissa bits that factors and results of matrix products are rounded to, to the nearest; sums, weights and everything between
    /// products stay fp32. 7 is the precision of bf16, 10 that of TF32.
    /// </summary>
    public int MantissaBits { get; init; } = Float32MantissaBits;

    /// <summary>Everything in fp32.</summary>
    public static Precision Float32 { get; } = new("fp32", ElementType.Float32);

    /// <summary>fp32 with matrix products of TF32.</summary>
    public static Precision TensorFloat32 { get; } = new("tf32", ElementType.Float32, UsesTensorFloat32: true);

    /// <summary>bf16 with fp32 master weights (Micikevicius et al. 2018, with bf16 no loss scaling is needed).</summary>
    public static Precision BFloat16Mixed { get; } = new("bf16-mixed", ElementType.BFloat16, HasMaster: true);

    /// <summary>bf16 weights alone, rounded to the nearest after each step.</summary>
    public static Precision BFloat16Pure { get; } = new("bf16-pure", ElementType.BFloat16) { RoundsWeights = true };

    /// <summary>bf16 weights alone, rounded at random after each step (Gupta et al. 2015).</summary>
    public static Precision BFloat16PureStochastic { get; } =
        new("bf16-pure-stochastic", ElementType.BFloat16, RoundsStochastically: true) { RoundsWeights = true };

    /// <summary>All that have a name of their own; <see cref="Mantissa"/> makes others.</summary>
    public static IReadOnlyList<Precision> All { get; } = [Float32, TensorFloat32, BFloat16Mixed, BFloat16Pure, BFloat16PureStochastic];

    /// <summary>The same with fp32 storage, for a device that has no arithmetic of bf16.</summary>
    public Precision Emulated => this with { Working = ElementType.Float32 };

    /// <summary>fp32 with matrix products of fewer bits, emulated; with all 23 bits it is fp32 itself.</summary>
    /// <param name="bits">M, the stored mantissa bits.</param>
    /// <exception cref="RequestException">There is no such number of bits.</exception>
    public static Precision Mantissa(int bits) => bits is >= 1 and <= Float32MantissaBits
        ? new(MantissaPrefix + bits.ToString(CultureInfo.InvariantCulture), ElementType.Float32) { MantissaBits = bits }
        : throw new RequestException($"--precision mantissa:{bits} is impossible; M, the stored mantissa bits of matrix products, is 1 to 23 (bf16 has 7, tf32 has 10).");

    /// <summary>The precision that <c>--precision</c> names.</summary>
    /// <exception cref="RequestException">There is no such one.</exception>
    public static Precision Parse(string name)
    {
        ArgumentNullException.ThrowIfNull(name);
        if (name.StartsWith(MantissaPrefix, StringComparison.Ordinal)
            && int.TryParse(name.AsSpan(MantissaPrefix.Length), NumberStyles.None, CultureInfo.InvariantCulture, out int bits))
        {
            return Mantissa(bits);
        }

        return All.FirstOrDefault(known => known.Name == name) ?? throw new RequestException($"--precision {name} does not exist.");
    }

    /// <summary>The name.</summary>
    public override string ToString() => Name;
}
