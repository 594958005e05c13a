using System.Numerics;

namespace Trainer.Experiments;

/// <summary>
/// The Hessian of a loss times a vector from two gradients: <c>Hz = (∇L(θ + hz) - ∇L(θ - hz)) / (2h)</c> with
/// h = <paramref name="relativeStep"/> · |θ|/|z|.
/// </summary>
/// <typeparam name="T">float or double.</typeparam>
/// <param name="parameters">θ, (C).</param>
/// <param name="gradient">∇L.</param>
/// <param name="relativeStep">h |z| / |θ|.</param>
internal sealed class HessianProduct<T>(T[] parameters, GradientAt<T> gradient, double relativeStep)
    where T : unmanaged, IBinaryFloatingPointIeee754<T>
{
    private readonly T[] _moved = new T[parameters.Length];
    private readonly T[] _behind = new T[parameters.Length];
    private readonly T[] _ahead = new T[parameters.Length];

    /// <summary>|θ|.</summary>
    public double ParameterNorm { get; } = Math.Sqrt(Dot(parameters, parameters));

    /// <summary>Hz, valid until the next call.</summary>
    /// <param name="direction">z, (C), not zero.</param>
    public ReadOnlySpan<T> Times(ReadOnlySpan<T> direction)
    {
        double h = relativeStep * ParameterNorm / Math.Sqrt(Dot(direction, direction));
        Move(direction, -h);
        gradient(_moved, _behind);
        Move(direction, h);
        gradient(_moved, _ahead);
        for (int i = 0; i < _ahead.Length; i++)
            _ahead[i] = T.CreateChecked((double.CreateChecked(_ahead[i]) - double.CreateChecked(_behind[i])) / (2 * h));
        return _ahead;
    }

    /// <summary>The scalar product, summed in double precision.</summary>
    public static double Dot(ReadOnlySpan<T> x, ReadOnlySpan<T> y)
    {
        double sum = 0;
        for (int i = 0; i < x.Length; i++)
            sum += double.CreateChecked(x[i]) * double.CreateChecked(y[i]);
        return sum;
    }

    private void Move(ReadOnlySpan<T> direction, double step)
    {
        for (int i = 0; i < _moved.Length; i++)
            _moved[i] = T.CreateChecked(double.CreateChecked(parameters[i]) + (step * double.CreateChecked(direction[i])));
    }
}
