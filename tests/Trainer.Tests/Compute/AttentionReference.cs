namespace Trainer.Tests.Compute;

/// <summary>The roundings that an implementation of attention makes.</summary>
/// <param name="Element">The relative error with which activations are stored.</param>
/// <param name="Probability">The relative error with which P and dS enter their products.</param>
/// <param name="ChannelSums">How often a sum over a head's channels is rounded, each time by U of the sum of magnitudes.</param>
internal readonly record struct AttentionRoundings(double Element, double Probability, double ChannelSums);

/// <summary>What attention has to give for some inputs, and how far the kernels may be off.</summary>
/// <remarks>
/// The roundings, with U of fp32, u of the activations' type and p of P and dS in the products (<see cref="AttentionRoundings"/>), each bounded by its
/// worst case:
/// <list type="bullet">
/// <item>A score is a sum over the channels with <see cref="AttentionRoundings.ChannelSums"/>. It is scaled, and less its row's maximum or log-sum-exp m put
/// into an exponent: 6 roundings of numbers up to max(|s|, |m|). The sum of both is the error of the exponent; 2^x adds a relative 2^-22.</item>
/// <item>Forward, the errors x of a row's exponents also change the sum that a probability P is divided by. P e^x / sum P' e^x' deviates most when x has
/// one sign and all others the other: by at most 1 / (1 - (1 - P)(1 - e^-2x)) - 1, which is nothing for the one key of a one-hot row. Sums of T
/// terms in fp32 add 2T U. P is rounded to p for the product with V (but not in the sum), the output to u.</item>
/// <item>Backward, P comes from the stored log-sum-exp, whose rounding is one of the 6: P errs by e^x - 1. P and dS = P (dP - D) are rounded to p before
/// their products, whose sums of T terms add T U of the terms, and the gradients to u at the end. dP is a sum like a score. D is taken from the output
/// rounded to u, and how much that changes it is known here.</item>
/// </list>
/// </remarks>
internal sealed class AttentionReference
{
    private const double U = TestValues.UnitRoundoff, Exp2 = 1.0 / (1 << 22);

    // Below the smallest numbers that 2^x gives, products of probabilities are no longer relative.
    private const double Underflow = 1e-30;

    private readonly int _t, _heads, _headSize;
    private readonly double _element, _probability, _sumRoundings;
    private readonly double[] _qkv, _dOutput, _probabilities, _roundedOutput;

    /// <summary>Computes the reference of both passes and its tolerances.</summary>
    /// <param name="roundings">Those of the implementation.</param>
    /// <param name="b">B.</param>
    /// <param name="t">T.</param>
    /// <param name="heads">NH.</param>
    /// <param name="headSize">HS.</param>
    /// <param name="qkv">(B, T, 3, NH, HS), as the implementation reads it.</param>
    /// <param name="dOutput">(B, T, NH, HS).</param>
    public AttentionReference(AttentionRoundings roundings, int b, int t, int heads, int headSize, float[] qkv, float[] dOutput)
    {
        (_element, _probability, _sumRoundings) = roundings;
        (_t, _heads, _headSize, _qkv, _dOutput) = (t, heads, headSize, qkv.Doubles(), dOutput.Doubles());
        (Output, LogSumExp, _probabilities) = ReferenceOperations.AttentionForward(_qkv, b, t, heads * headSize, heads);
        DQkv = ReferenceOperations.AttentionBackward(_dOutput, _qkv, _probabilities, b, t, heads * headSize, heads);
        (OutputTolerances, LogSumExpTolerances, DQkvTolerances) = (new double[Output.Length], new double[LogSumExp.Length], new double[DQkv.Length]);
        float[] output = Output.Floats();
        _roundedOutput = (_element >= Bf16.UnitRoundoff ? output.Rounded() : output).Doubles();
        for (int head = 0; head < b * heads; head++)
            Bound(head);
    }

    public double[] Output { get; }

    public double[] LogSumExp { get; }

    public double[] DQkv { get; }

    public double[] OutputTolerances { get; }

    public double[] LogSumExpTolerances { get; }

    public double[] DQkvTolerances { get; }

    /// <summary>What the backward pass is given.</summary>
    public float[] RoundedOutput => _roundedOutput.Floats();

    private void Bound(int head)
    {
        var (t, size) = (_t, _headSize);
        double scale = 1 / Math.Sqrt(size), depth = _sumRoundings * U;
        double sums = (t + 4) * U;
        var dScoreError = new double[t * t];
        var probabilityError = new double[t * t];
        for (int i = 0; i < t; i++)
        {
            var p = _probabilities.AsSpan(((head * t) + i) * t, i + 1);
            double lse = LogSumExp[(head * t) + i], exponent = 0;
            for (int j = 0; j <= i; j++)
            {
                var (score, magnitude) = Dot(Row(_qkv, head, i, 0), Row(_qkv, head, j, 1));
                exponent = Math.Max(exponent, (depth * magnitude * scale) + (6 * U * Math.Max(Math.Abs(score * scale), Math.Abs(lse))));
            }

            exponent += Exp2;
            LogSumExpTolerances[(head * t) + i] = exponent + ((t + 8) * U * (1 + Math.Abs(lse)));
            BoundOutput(head, i, p, exponent);

            double d = Dot(Row(_dOutput, head, i), Row(Output, head, i)).Sum;
            var (roundedD, magnitudeD) = Dot(Row(_dOutput, head, i), Row(_roundedOutput, head, i));
            double dError = Math.Abs(roundedD - d) + (size * U * magnitudeD);
            for (int j = 0; j <= i; j++)
            {
                var (dp, magnitude) = Dot(Row(_dOutput, head, i), Row(_qkv, head, j, 2));
                double relative = Math.Exp(exponent) - 1, difference = Math.Abs(dp - d);
                double differenceError = dError + (depth * magnitude) + (2 * U * (Math.Abs(dp) + Math.Abs(d)));
                probabilityError[(i * t) + j] = p[j] * (relative + ((_probability + sums) * (1 + relative)));
                double error = p[j] * ((relative * difference) + ((1 + relative) * differenceError));
                dScoreError[(i * t) + j] = error + ((_probability + U + sums) * ((p[j] * difference) + error));
            }
        }

        BoundGradients(head, probabilityError, dScoreError);
    }

    private void BoundOutput(int head, int i, ReadOnlySpan<double> p, double exponent)
    {
        var errors = new double[_headSize];
        for (int j = 0; j <= i; j++)
        {
            double relative = (1 / (1 - ((1 - p[j]) * (1 - Math.Exp(-2 * exponent))))) - 1;
            double error = p[j] * (relative + ((_probability + (2 * _t * U)) * (1 + relative)));
            var value = Row(_qkv, head, j, 2);
            for (int c = 0; c < errors.Length; c++)
                errors[c] += error * Math.Abs(value[c]);
        }

        for (int c = 0; c < errors.Length; c++)
        {
            int at = OutputAt(head, i) + c;
            OutputTolerances[at] = errors[c] + (_element * (Math.Abs(Output[at]) + errors[c])) + Underflow;
        }
    }

    private void BoundGradients(int head, double[] probabilityError, double[] dScoreError)
    {
        var (t, size) = (_t, _headSize);
        double scale = 1 / Math.Sqrt(size);
        double[] dq = new double[t * size], dk = new double[t * size], dv = new double[t * size];
        for (int i = 0; i < t; i++)
        {
            ReadOnlySpan<double> query = Row(_qkv, head, i, 0), gradient = Row(_dOutput, head, i);
            for (int j = 0; j <= i; j++)
            {
                var key = Row(_qkv, head, j, 1);
                double ds = dScoreError[(i * t) + j], p = probabilityError[(i * t) + j];
                for (int c = 0; c < size; c++)
                {
                    dq[(i * size) + c] += scale * ds * Math.Abs(key[c]);
                    dk[(j * size) + c] += scale * ds * Math.Abs(query[c]);
                    dv[(j * size) + c] += p * Math.Abs(gradient[c]);
                }
            }
        }

        foreach (var (part, errors) in new[] { (0, dq), (1, dk), (2, dv) })
        {
            for (int i = 0; i < t * size; i++)
            {
                int at = QkvAt(head, i / size, part) + (i % size);
                DQkvTolerances[at] = errors[i] + ((_element + (2 * U)) * (Math.Abs(DQkv[at]) + errors[i])) + Underflow;
            }
        }
    }

    private static (double Sum, double Magnitude) Dot(ReadOnlySpan<double> x, ReadOnlySpan<double> y)
    {
        double sum = 0, magnitude = 0;
        for (int i = 0; i < x.Length; i++)
        {
            double product = x[i] * y[i];
            sum += product;
            magnitude += Math.Abs(product);
        }

        return (sum, magnitude);
    }

    private ReadOnlySpan<double> Row(double[] qkv, int head, int t, int part) => qkv.AsSpan(QkvAt(head, t, part), _headSize);

    private ReadOnlySpan<double> Row(double[] output, int head, int t) => output.AsSpan(OutputAt(head, t), _headSize);

    private int QkvAt(int head, int t, int part) =>
        (((((head / _heads * _t) + t) * 3) + part) * _heads * _headSize) + (head % _heads * _headSize);

    private int OutputAt(int head, int t) => (((head / _heads * _t) + t) * _heads * _headSize) + (head % _heads * _headSize);
}
