namespace Trainer.KernelTests;

/// <summary>The errors that cuda/include/gelu.cuh derives, the smallest sigmoid that is told from 0, and what the reference's own 1 + tanh u loses.</summary>
internal static class GeluErrors
{
    private const double U = TestValues.UnitRoundoff;

    public static double OfValue(double x) => (Math.Abs(x) * Sigmoid(TwiceU(x)) * (OfSigmoid(x) + U)) + (Math.Abs(x) * (Bf16.Tiny + 1e-15));

    public static double OfDerivative(double x)
    {
        double s = Sigmoid(TwiceU(x)), complement = Sigmoid(-TwiceU(x)), slope = 2 * Math.Sqrt(2 / Math.PI) * (1 + (3 * 0.044715 * x * x));
        double second = TwiceU(x) > 17 ? complement : OfSigmoid(x) + (10 * U * complement);
        return (s * (OfSigmoid(x) + U)) + (Math.Abs(x) * slope * ((s * second) + Bf16.Tiny)) + 1e-15;
    }

    private static double OfSigmoid(double x) => (((4 + (9 * Math.Abs(TwiceU(x)))) * Sigmoid(-TwiceU(x))) + 3) * U;

    private static double Sigmoid(double x) => 1 / (1 + Math.Exp(-x));

    private static double TwiceU(double x) => 2 * Math.Sqrt(2 / Math.PI) * (x + (0.044715 * x * x * x));
}
