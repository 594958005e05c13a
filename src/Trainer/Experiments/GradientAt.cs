namespace Trainer.Experiments;

/// <summary>The gradient of a loss at any parameters. It gives the same result for the same parameters.</summary>
/// <typeparam name="T">float or double.</typeparam>
/// <param name="parameters">(C).</param>
/// <param name="gradient">(C), overwritten.</param>
public delegate void GradientAt<T>(ReadOnlySpan<T> parameters, Span<T> gradient);
