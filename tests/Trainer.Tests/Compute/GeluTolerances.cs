namespace Trainer.Tests.Compute;

/// <summary>The errors of the tanh GELU, x σ(2u) with u = √(2/π)(x + 0.044715 x³), and of its derivative, σ + x σ (1 - σ) 2u'.</summary>
internal static class GeluTolerances
{
    /// <summary>The slope of the tanh GELU is nowhere larger: what it makes of an error.</summary>
    public const double LargestSlope = 1.13;

    private const double U = TestValues.UnitRoundoff, SmallestSigmoid = 4.3e-39;

    /// <summary>
    /// On a CPU: a few roundings; those of 2u, which the exponential makes relative; the smallest σ that is told from 0; and what the reference's own
    /// 1 + tanh u loses.
    /// </summary>
    public static double OfCpu(double x) =>
        (U * (8 + (4 * Math.Abs(TwiceU(x)) * Sigmoid(-TwiceU(x)))) * Math.Abs(x) * Sigmoid(TwiceU(x))) + (Math.Abs(x) * SmallestSigmoid) + 1e-15;

    /// <summary>The same for the derivative.</summary>
    public static double OfDerivativeOnCpu(double x)
    {
        double sigmoid = Sigmoid(TwiceU(x)), complement = Sigmoid(-TwiceU(x));
        return (U * sigmoid * (8 + (4 * Math.Abs(TwiceU(x)) * complement)))
            + (U * (8 + (4 * Math.Abs(TwiceU(x)))) * Math.Abs(x) * sigmoid * complement * TwiceSlope(x)) + 1e-15;
    }

    /// <summary>On a GPU: the errors of cuda/include/gelu.cuh, the smallest σ that is told from 0, and what the reference's own 1 + tanh u loses.</summary>
    public static double OfGpu(double x) => (Math.Abs(x) * Sigmoid(TwiceU(x)) * (SigmoidOfGpu(x) + U)) + (Math.Abs(x) * (Bf16.Tiny + 1e-15));

    /// <summary>The same for the derivative.</summary>
    public static double OfDerivativeOnGpu(double x)
    {
        double sigmoid = Sigmoid(TwiceU(x)), complement = Sigmoid(-TwiceU(x));
        double second = TwiceU(x) > 17 ? complement : SigmoidOfGpu(x) + (10 * U * complement);
        return (sigmoid * (SigmoidOfGpu(x) + U)) + (Math.Abs(x) * TwiceSlope(x) * ((sigmoid * second) + Bf16.Tiny)) + 1e-15;
    }

    // Relative, of gelu.cuh.
    private static double SigmoidOfGpu(double x) => (((4 + (9 * Math.Abs(TwiceU(x)))) * Sigmoid(-TwiceU(x))) + 3) * U;

    private static double Sigmoid(double x) => 1 / (1 + Math.Exp(-x));

    private static double TwiceU(double x) => 2 * Math.Sqrt(2 / Math.PI) * (x + (0.044715 * x * x * x));

    private static double TwiceSlope(double x) => 2 * Math.Sqrt(2 / Math.PI) * (1 + (3 * 0.044715 * x * x));
}
