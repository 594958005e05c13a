using System.Runtime.InteropServices;

namespace Trainer.Cuda.Kernels;

/// <summary>Where a parameter tensor lies: mirrors <c>TensorSpan</c> of cuda/include/tensors.cuh.</summary>
[StructLayout(LayoutKind.Sequential)]
internal struct TensorSpan
{
    /// <summary>Its first element in the allocation of all, a multiple of 8.</summary>
    public long Offset;

    /// <summary>Its elements, a multiple of 8.</summary>
    public long Count;

    /// <summary>The chunks of all tensors before it.</summary>
    public int FirstChunk;

    /// <summary>The unit of the regulariser that it belongs to; -1 for none.</summary>
    public int Unit;
}

/// <summary>What happens to the weights of a unit besides the gradient step; the numbers are those of cuda/include/optimizer.cuh.</summary>
internal enum UnitRule
{
    /// <summary>Nothing; the unit's norm is only watched.</summary>
    None = 0,

    /// <summary>λ w joins the gradient after clipping.</summary>
    L2 = 1,

    /// <summary>13.a: the factor 1 - α η λ.</summary>
    Decay = 2,

    /// <summary>13.b: the factor 1 - η λ.</summary>
    DecayDecoupled = 3,

    /// <summary>13.c, AdamWN: the factor 1 - k (1 - r ‖θ₀‖ / ‖θ‖).</summary>
    NormControl = 4,

    /// <summary>CPR (Franke et al. 2023): a multiplier that grows while the norm is above its bound.</summary>
    ParameterBound = 5,

    /// <summary>The factor min(1, c ‖θ₀‖ / ‖θ‖) (Srivastava et al. 2014).</summary>
    MaxNorm = 6,

    /// <summary>The factor r ‖θ₀‖ / ‖θ‖.</summary>
    Sphere = 7,
}

/// <summary>Tensors that share a norm and a rule: mirrors <c>Unit</c> of cuda/include/optimizer.cuh.</summary>
[StructLayout(LayoutKind.Sequential)]
internal struct RegularizedUnit
{
    /// <summary>The rule.</summary>
    public UnitRule Rule;

    /// <summary>1: its factor is applied after the gradient step; 0: before it.</summary>
    public int After;

    /// <summary>λ, r or c.</summary>
    public double Strength;

    /// <summary>k or μ.</summary>
    public double Rate;

    /// <summary>‖θ₀‖.</summary>
    public double InitialNorm;

    /// <summary>The elements of the unit.</summary>
    public double Count;

    /// <summary>CPR: the step whose end sets the bound; 0 when <see cref="Bound"/> is given.</summary>
    public int BoundStep;

    /// <summary>The factor of the last step that was taken.</summary>
    public float Factor;

    /// <summary>The norm of the weights as they are stored.</summary>
    public double Norm;

    /// <summary>CPR: λ of the constraint, 0 at the beginning.</summary>
    public double Multiplier;

    /// <summary>CPR: κ, a bound of the sum of squares.</summary>
    public double Bound;

    /// <summary>Whether the factor follows from the norm that the pass over the parameters leaves, and <c>scale_weights</c> applies it.</summary>
    public readonly bool FollowsPass => Rule >= UnitRule.NormControl && After != 0;
}

/// <summary>What the host says of a step: mirrors <c>StepInput</c>.</summary>
[StructLayout(LayoutKind.Sequential)]
internal struct StepInput
{
    /// <summary>t, from 1.</summary>
    public int Step;

    /// <summary>Of stochastic rounding.</summary>
    public uint Seed;

    /// <summary>α.</summary>
    public double PeakRate;

    /// <summary>η_t; the learning rate is α η_t.</summary>
    public double Multiplier;

    /// <summary>A schedule of λ's own.</summary>
    public double DecayMultiplier;

    /// <summary>r_t = 1 + (r - 1) times this.</summary>
    public double TargetMultiplier;

    /// <summary>k_t = k times this.</summary>
    public double RateMultiplier;

    /// <summary>The largest gradient norm; 0 for any.</summary>
    public double Clip;

    /// <summary>β₁ of Adam.</summary>
    public double Beta1;

    /// <summary>β₂ of Adam.</summary>
    public double Beta2;

    /// <summary>ε of Adam.</summary>
    public double Epsilon;

    /// <summary>Of SGD.</summary>
    public double Momentum;

    /// <summary>Of SGD, torch's form.</summary>
    public double Dampening;

    /// <summary>1: the learning rate is inside SGD's buffer; 0: outside, as in torch.</summary>
    public int RateInMomentum;

    /// <summary>Unused.</summary>
    public int Reserved;
}

/// <summary>What the pass does to one tensor: mirrors <c>TensorFactors</c>.</summary>
[StructLayout(LayoutKind.Sequential)]
internal struct TensorFactors
{
    /// <summary>The learning rate.</summary>
    public float Rate;

    /// <summary>The coefficient of the weight in the gradient.</summary>
    public float L2;

    /// <summary>The factor on the weight before the gradient step.</summary>
    public float Before;

    /// <summary>The factor on the weight after it.</summary>
    public float After;
}

/// <summary>What the pass needs for all tensors, and what the host may look at: mirrors <c>StepScalars</c>.</summary>
[StructLayout(LayoutKind.Sequential)]
internal struct StepScalars
{
    /// <summary>1 from the beginning, which the host must see to; 0 from the first step on whose gradients or loss are not finite.</summary>
    public int Taken;

    /// <summary>t of the last step that was taken, or of the first that was not.</summary>
    public uint Step;

    /// <summary>Of stochastic rounding.</summary>
    public uint Seed;

    /// <summary>The clip factor.</summary>
    public float GradientScale;

    /// <summary>β₁.</summary>
    public float Beta1;

    /// <summary>β₂.</summary>
    public float Beta2;

    /// <summary>ε.</summary>
    public float Epsilon;

    /// <summary>1 / (1 - β₁ᵗ).</summary>
    public float FirstCorrection;

    /// <summary>1 / (1 - β₂ᵗ).</summary>
    public float SecondCorrection;

    /// <summary>Of SGD.</summary>
    public float Momentum;

    /// <summary>Of SGD: what the gradient is multiplied by on its way into the buffer.</summary>
    public float Gain;

    /// <summary>Of SGD.</summary>
    public int RateInMomentum;

    /// <summary>The norm of all gradients, before clipping; of the first step that was not taken, if there is one.</summary>
    public double GradientNorm;

    /// <summary>The norm of the regularised set after the last step that was taken.</summary>
    public double WeightNorm;

    /// <summary>The loss that the gradients are of, not a number when none was given; of the first step that was not taken, if there is one.</summary>
    public double Loss;
}
