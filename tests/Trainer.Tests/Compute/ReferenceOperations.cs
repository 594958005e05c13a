using Trainer.Optimization;

namespace Trainer.Tests.Compute;

/// <summary>
/// Every operation of <see cref="Trainer.Compute.IBackend"/> in double precision, written from the formulas of its documentation in
/// the plainest way: loops over indices, whole Jacobians, nothing fused and nothing recomputed.
/// </summary>
/// <remarks>Arrays are row-major; <c>+=</c> operands are changed in place, everything else is returned.</remarks>
internal static class ReferenceOperations
{
    private const double LayerNormEpsilon = 1e-5;

    public static double[] EmbeddingForward(int[] tokens, double[] tokenTable, double[] positionTable, int b, int t, int c)
    {
        var output = new double[b * t * c];
        for (int row = 0; row < b * t; row++)
        {
            for (int i = 0; i < c; i++)
                output[(row * c) + i] = tokenTable[(tokens[row] * c) + i] + positionTable[(row % t * c) + i];
        }

        return output;
    }

    public static void EmbeddingBackward(double[] dTokenTable, double[] dPositionTable, double[] dOutput, int[] tokens, int b, int t, int c)
    {
        for (int row = 0; row < b * t; row++)
        {
            for (int i = 0; i < c; i++)
            {
                dTokenTable[(tokens[row] * c) + i] += dOutput[(row * c) + i];
                dPositionTable[(row % t * c) + i] += dOutput[(row * c) + i];
            }
        }
    }

    public static (double[] Output, double[] Mean, double[] Rstd) LayerNormForward(double[] input, double[] weight, double[] bias, int rows, int c)
    {
        var (output, mean, rstd) = (new double[rows * c], new double[rows], new double[rows]);
        for (int row = 0; row < rows; row++)
        {
            var x = input.AsSpan(row * c, c);
            double sum = 0, squares = 0;
            foreach (double value in x)
                sum += value;
            mean[row] = sum / c;
            foreach (double value in x)
                squares += (value - mean[row]) * (value - mean[row]);
            rstd[row] = 1 / Math.Sqrt((squares / c) + LayerNormEpsilon);
            for (int i = 0; i < c; i++)
                output[(row * c) + i] = ((x[i] - mean[row]) * rstd[row] * weight[i]) + bias[i];
        }

        return (output, mean, rstd);
    }

    /// <summary>With n = (x - mean) rstd, the Jacobian is ∂nᵢ/∂xⱼ = rstd (δᵢⱼ - 1/C - nᵢ nⱼ / C).</summary>
    public static void LayerNormBackward(
        double[] dInput, double[] dWeight, double[] dBias, double[] dOutput, double[] input, double[] weight, double[] mean, double[] rstd, int rows, int c)
    {
        for (int row = 0; row < rows; row++)
        {
            double Normalized(int i) => (input[(row * c) + i] - mean[row]) * rstd[row];
            for (int j = 0; j < c; j++)
            {
                double gradient = dOutput[(row * c) + j];
                dWeight[j] += gradient * Normalized(j);
                dBias[j] += gradient;
                for (int i = 0; i < c; i++)
                {
                    double jacobian = rstd[row] * ((i == j ? 1 : 0) - (1.0 / c) - (Normalized(i) * Normalized(j) / c));
                    dInput[(row * c) + j] += dOutput[(row * c) + i] * weight[i] * jacobian;
                }
            }
        }
    }

    public static double Gelu(double x) => 0.5 * x * (1 + Math.Tanh(Math.Sqrt(2 / Math.PI) * (x + (0.044715 * x * x * x))));

    public static double GeluDerivative(double x)
    {
        double tanh = Math.Tanh(Math.Sqrt(2 / Math.PI) * (x + (0.044715 * x * x * x)));
        return (0.5 * (1 + tanh)) + (0.5 * x * (1 - (tanh * tanh)) * Math.Sqrt(2 / Math.PI) * (1 + (3 * 0.044715 * x * x)));
    }

    /// <summary><c>input · weightᵀ + bias</c>: what the GELU sees, if there is one.</summary>
    public static double[] LinearForward(double[] input, double[] weight, double[]? bias, int rows, int n, int k)
    {
        var output = new double[rows * n];
        for (int row = 0; row < rows; row++)
        {
            for (int j = 0; j < n; j++)
                output[(row * n) + j] = Dot(input.AsSpan(row * k, k), weight.AsSpan(j * k, k)) + (bias?[j] ?? 0);
        }

        return output;
    }

    public static double[] LinearBackwardInput(double[] dOutput, double[] weight, double[]? preActivation, int rows, int n, int k)
    {
        var dInput = new double[rows * k];
        for (int row = 0; row < rows; row++)
        {
            for (int j = 0; j < n; j++)
                AddMultiple(dInput.AsSpan(row * k, k), dOutput[(row * n) + j], weight.AsSpan(j * k, k));
        }

        for (int i = 0; preActivation != null && i < dInput.Length; i++)
            dInput[i] *= GeluDerivative(preActivation[i]);
        return dInput;
    }

    public static void LinearBackwardWeight(double[] dWeight, double[]? dBias, double[] dOutput, double[] input, int rows, int n, int k)
    {
        for (int row = 0; row < rows; row++)
        {
            for (int j = 0; j < n; j++)
            {
                AddMultiple(dWeight.AsSpan(j * k, k), dOutput[(row * n) + j], input.AsSpan(row * k, k));
                if (dBias != null)
                    dBias[j] += dOutput[(row * n) + j];
            }
        }
    }

    /// <summary>The probabilities (B, NH, T, T) with the output and the log-sum-exp.</summary>
    public static (double[] Output, double[] LogSumExp, double[] Probabilities) AttentionForward(double[] qkv, int b, int t, int c, int heads)
    {
        int headSize = c / heads;
        var (output, logSumExp, probabilities) = (new double[b * t * c], new double[b * heads * t], new double[b * heads * t * t]);
        for (int head = 0; head < b * heads; head++)
        {
            var index = new HeadIndex(head / heads, head % heads, t, c, headSize);
            for (int i = 0; i < t; i++)
            {
                var p = probabilities.AsSpan(((head * t) + i) * t, t);
                double max = double.NegativeInfinity, sum = 0;
                for (int j = 0; j <= i; j++)
                {
                    p[j] = Dot(qkv.AsSpan(index.Q(i), headSize), qkv.AsSpan(index.K(j), headSize)) / Math.Sqrt(headSize);
                    max = Math.Max(max, p[j]);
                }

                for (int j = 0; j <= i; j++)
                    sum += Math.Exp(p[j] - max);
                logSumExp[(head * t) + i] = max + Math.Log(sum);
                for (int j = 0; j <= i; j++)
                {
                    p[j] = Math.Exp(p[j] - max) / sum;
                    AddMultiple(output.AsSpan(index.Output(i), headSize), p[j], qkv.AsSpan(index.V(j), headSize));
                }
            }
        }

        return (output, logSumExp, probabilities);
    }

    /// <summary>Through the Jacobian of each softmax, ∂Pⱼ/∂Sₖ = Pⱼ (δⱼₖ - Pₖ), from the probabilities of the forward pass.</summary>
    public static double[] AttentionBackward(double[] dOutput, double[] qkv, double[] probabilities, int b, int t, int c, int heads)
    {
        int headSize = c / heads;
        var dQkv = new double[b * t * 3 * c];
        var dP = new double[t];
        for (int head = 0; head < b * heads; head++)
        {
            var index = new HeadIndex(head / heads, head % heads, t, c, headSize);
            for (int i = 0; i < t; i++)
            {
                var p = probabilities.AsSpan(((head * t) + i) * t, t);
                var gradient = dOutput.AsSpan(index.Output(i), headSize);
                double expected = 0;
                for (int j = 0; j <= i; j++)
                {
                    dP[j] = Dot(gradient, qkv.AsSpan(index.V(j), headSize));
                    expected += p[j] * dP[j];
                    AddMultiple(dQkv.AsSpan(index.V(j), headSize), p[j], gradient);
                }

                for (int j = 0; j <= i; j++)
                {
                    double dScore = p[j] * (dP[j] - expected) / Math.Sqrt(headSize);
                    AddMultiple(dQkv.AsSpan(index.Q(i), headSize), dScore, qkv.AsSpan(index.K(j), headSize));
                    AddMultiple(dQkv.AsSpan(index.K(j), headSize), dScore, qkv.AsSpan(index.Q(i), headSize));
                }
            }
        }

        return dQkv;
    }

    /// <summary>The losses, and the gradient of <paramref name="gradientScale"/> · their sum, 0 in the padded columns.</summary>
    public static (double[] Losses, double[] DLogits) SoftmaxCrossEntropy(double[] logits, int[] targets, int rows, int vocabulary, int padded, double gradientScale)
    {
        var (losses, dLogits) = (new double[rows], new double[rows * padded]);
        for (int row = 0; row < rows; row++)
        {
            var x = logits.AsSpan(row * padded, vocabulary);
            double max = double.NegativeInfinity, sum = 0;
            foreach (double value in x)
                max = Math.Max(max, value);
            foreach (double value in x)
                sum += Math.Exp(value - max);
            losses[row] = max + Math.Log(sum) - x[targets[row]];
            for (int i = 0; i < vocabulary; i++)
                dLogits[(row * padded) + i] = gradientScale * ((Math.Exp(x[i] - max) / sum) - (i == targets[row] ? 1 : 0));
        }

        return (losses, dLogits);
    }

    public static double SumOfSquares(double[] values, Segment segment)
    {
        double sum = 0;
        for (long i = segment.Offset; i < segment.Offset + segment.Count; i++)
            sum += values[i] * values[i];
        return sum;
    }

    /// <summary>One Adam step of the elements of one segment, in place.</summary>
    public static void AdamUpdate(double[] w, double[] gradients, double[] m, double[] v, SegmentUpdate update, AdamStep step)
    {
        double beta1 = step.Beta1, beta2 = step.Beta2;
        for (long i = update.Segment.Offset; i < update.Segment.Offset + update.Segment.Count; i++)
        {
            double g = (step.GradientScale * gradients[i]) + (update.L2 * w[i]);
            m[i] = (beta1 * m[i]) + ((1 - beta1) * g);
            v[i] = (beta2 * v[i]) + ((1 - beta2) * g * g);
            double u = m[i] / (1 - Math.Pow(beta1, step.Step)) / (Math.Sqrt(v[i] / (1 - Math.Pow(beta2, step.Step))) + step.Epsilon);
            w[i] = ((update.ShrinkBefore * w[i]) - (update.LearningRate * u)) * update.ShrinkAfter;
        }
    }

    private static double Dot(ReadOnlySpan<double> a, ReadOnlySpan<double> b)
    {
        double sum = 0;
        for (int i = 0; i < a.Length; i++)
            sum += a[i] * b[i];
        return sum;
    }

    private static void AddMultiple(Span<double> target, double factor, ReadOnlySpan<double> values)
    {
        for (int i = 0; i < target.Length; i++)
            target[i] += factor * values[i];
    }

    /// <summary>Where the vectors of one head of one sequence lie in (B, T, 3C) and (B, T, C).</summary>
    private readonly record struct HeadIndex(int Batch, int Head, int T, int C, int HeadSize)
    {
        public int Q(int t) => (((Batch * T) + t) * 3 * C) + (Head * HeadSize);

        public int K(int t) => Q(t) + C;

        public int V(int t) => Q(t) + (2 * C);

        public int Output(int t) => (((Batch * T) + t) * C) + (Head * HeadSize);
    }
}
