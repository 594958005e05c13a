namespace Trainer.Optimization;

/// <summary>
/// How the passes of an optimizer step round each weight that they write to a bf16 number, kept as fp32: to the nearest, ties to even, or at random,
/// up with a probability of the share of the way, so that the mean is the number itself (Gupta et al. 2015).
/// </summary>
/// <remarks>
/// <para>A step rounds once, in the pass that takes the gradient step; and, where a rule multiplies weights by a factor that follows from the norm
/// which that pass leaves, once more in the pass that multiplies. Random numbers depend on the element, the step, the seed and which of the two
/// passes asks (Philox 4x32 with 10 rounds, Salmon et al. 2011), as those of the CUDA kernels do; so equal numbers are rounded to equal bits.</para>
/// <para>What is counted: an element is moved when the number that is to be rounded last in a step, in fp32, is not the weight before the step;
/// it is lost when it is moved and the weight after the step is the one before. A change too small for fp32 itself is none.</para>
/// </remarks>
/// <param name="isStochastic">At random rather than to the nearest.</param>
/// <param name="seed">The seed of the random numbers.</param>
public sealed class WeightRounding(bool isStochastic, uint seed)
{
    private float[] _before = [];
    private double[] _moved = [];
    private double[] _lost = [];

    /// <summary>Whether weights are rounded at random.</summary>
    public bool IsStochastic => isStochastic;

    /// <summary>The seed of the random numbers.</summary>
    public uint Seed => seed;

    /// <summary>t, counted from 1.</summary>
    public long Step { get; set; }

    /// <summary>The elements of each segment that the step moved.</summary>
    public Span<double> Moved => _moved;

    /// <summary>The elements of each segment that rounding left as they were.</summary>
    public Span<double> Lost => _lost;

    /// <summary>All weights as the step began, written by the pass that takes the gradient step; empty where no pass follows it.</summary>
    public Span<float> Before => _before;

    /// <summary>Makes room for what is counted and kept.</summary>
    /// <param name="segments">The number of segments.</param>
    /// <param name="weights">The number of weights where a pass follows the one that takes the gradient step, else 0.</param>
    public void Prepare(int segments, long weights) => (_moved, _lost, _before) = (new double[segments], new double[segments], new float[weights]);
}
