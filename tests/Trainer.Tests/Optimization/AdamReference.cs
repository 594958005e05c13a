namespace Trainer.Tests.Optimization;

/// <summary>Adam in double precision, line by line as the papers have it. Rules are what the tests do to the weights before and after.</summary>
internal sealed class AdamReference(double[] weights, double beta1 = 0.9, double beta2 = 0.95, double epsilon = 1e-8)
{
    private readonly double[] _m = new double[weights.Length];
    private readonly double[] _v = new double[weights.Length];
    private int _t;

    public double[] Weights => weights;

    public void Step(double[] gradients, double learningRate, double clip, Action<double[]>? before = null, Action<double[]>? after = null)
    {
        _t++;
        double norm = Math.Sqrt(gradients.Sum(g => g * g));
        double scale = clip > 0 ? Math.Min(1, clip / (norm + 1e-6)) : 1;
        before?.Invoke(weights);
        for (int i = 0; i < weights.Length; i++)
        {
            double g = gradients[i] * scale;
            _m[i] = (beta1 * _m[i]) + ((1 - beta1) * g);
            _v[i] = (beta2 * _v[i]) + ((1 - beta2) * g * g);
            double mHat = _m[i] / (1 - Math.Pow(beta1, _t));
            double vHat = _v[i] / (1 - Math.Pow(beta2, _t));
            weights[i] -= learningRate * mHat / (Math.Sqrt(vHat) + epsilon);
        }

        after?.Invoke(weights);
    }
}
