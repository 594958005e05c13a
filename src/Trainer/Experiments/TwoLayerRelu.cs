namespace Trainer.Experiments;

/// <summary>
/// <c>f(x) = Σ_j a_j max(0, w_j·x + b_j) + c</c> and half its mean squared error, in double precision. The parameters lie in one vector:
/// w (m, d), b (m), a (m), c.
/// </summary>
/// <param name="inputs">d.</param>
/// <param name="width">m.</param>
internal sealed class TwoLayerRelu(int inputs, int width)
{
    /// <summary>C = m (d + 2) + 1.</summary>
    public int Count { get; } = (width * (inputs + 2)) + 1;

    private int Biases => width * inputs;

    private int OutputWeights => Biases + width;

    private int OutputBias => OutputWeights + width;

    /// <summary>
    /// Normal numbers: w with variance 1/d and b with 1, so that each hidden unit's input has variance 2 for inputs of variance 1 and the kinks of one
    /// input lie about it; a with 1/m, so that the output is of order 1 (He et al. 2015); c is 0.
    /// </summary>
    public double[] Initialize(CounterRandom random)
    {
        var parameters = new double[Count];
        for (int i = 0; i < OutputBias; i++)
        {
            double variance = i < Biases ? 1.0 / inputs : i < OutputWeights ? 1 : 1.0 / width;
            parameters[i] = Math.Sqrt(variance) * random.Normal((ulong)i);
        }

        return parameters;
    }

    /// <summary>f(x).</summary>
    /// <param name="parameters">(C).</param>
    /// <param name="x">(d).</param>
    public double Output(ReadOnlySpan<double> parameters, ReadOnlySpan<double> x)
    {
        double output = parameters[OutputBias];
        for (int j = 0; j < width; j++)
            output += parameters[OutputWeights + j] * Math.Max(0, PreActivation(parameters, x, j));
        return output;
    }

    /// <summary>Half the mean squared error.</summary>
    /// <param name="parameters">(C).</param>
    /// <param name="samples">Inputs and targets.</param>
    public double Loss(ReadOnlySpan<double> parameters, ReluSamples samples)
    {
        double sum = 0;
        for (int i = 0; i < samples.Count; i++)
        {
            double error = Output(parameters, samples.Input(i)) - samples.Targets[i];
            sum += error * error;
        }

        return sum / (2 * samples.Count);
    }

    /// <summary>Adds scale times the gradient of half the squared error of one sample.</summary>
    /// <param name="parameters">(C).</param>
    /// <param name="x">(d).</param>
    /// <param name="target">y.</param>
    /// <param name="scale">1 / B for a mean over B samples.</param>
    /// <param name="gradient">(C), added to.</param>
    /// <returns>Half the squared error.</returns>
    public double AddGradient(ReadOnlySpan<double> parameters, ReadOnlySpan<double> x, double target, double scale, Span<double> gradient)
    {
        double error = Output(parameters, x) - target;
        double slope = scale * error;
        gradient[OutputBias] += slope;
        for (int j = 0; j < width; j++)
        {
            double activation = PreActivation(parameters, x, j);
            if (activation <= 0)
                continue;
            gradient[OutputWeights + j] += slope * activation;
            double hidden = slope * parameters[OutputWeights + j];
            gradient[Biases + j] += hidden;
            for (int i = 0; i < inputs; i++)
                gradient[(j * inputs) + i] += hidden * x[i];
        }

        return error * error / 2;
    }

    /// <summary>
    /// The trace of the Hessian of <see cref="Loss"/>, exactly: the mean of |∇f(x)|². Between kinks f is linear in each parameter by itself, so that the
    /// diagonal of the Hessian is that of Gauss and Newton. On a kink the loss has none; SGD likes to end there, a sample's hidden unit about 0, where a
    /// difference of gradients finds the jump over the step instead of a curvature. So this toy takes the formula and no estimate.
    /// </summary>
    /// <param name="parameters">(C).</param>
    /// <param name="samples">Inputs; the targets do not matter.</param>
    public double HessianTrace(ReadOnlySpan<double> parameters, ReluSamples samples)
    {
        double sum = 0;
        for (int i = 0; i < samples.Count; i++)
        {
            var x = samples.Input(i);
            double squaredInput = 1;
            foreach (double value in x)
                squaredInput += value * value;
            sum += 1;
            for (int j = 0; j < width; j++)
            {
                double activation = PreActivation(parameters, x, j);
                double outputWeight = parameters[OutputWeights + j];
                if (activation > 0)
                    sum += (activation * activation) + (outputWeight * outputWeight * squaredInput);
            }
        }

        return sum / samples.Count;
    }

    private double PreActivation(ReadOnlySpan<double> parameters, ReadOnlySpan<double> x, int j)
    {
        double sum = parameters[Biases + j];
        for (int i = 0; i < inputs; i++)
            sum += parameters[(j * inputs) + i] * x[i];
        return sum;
    }
}
