namespace Trainer.Optimization;

/// <summary>Consecutive elements of the one allocation that holds all parameters: one tensor of one layer, or a row of it.</summary>
/// <param name="Offset">The index of the first element.</param>
/// <param name="Count">The number of elements.</param>
public readonly record struct Segment(long Offset, long Count);

/// <summary>What one optimizer step does to one segment besides the gradient step.</summary>
/// <param name="Segment">The elements.</param>
/// <param name="LearningRate">The learning rate of this step.</param>
/// <param name="L2">The coefficient of the weight in the gradient (coupled L2 regularisation).</param>
/// <param name="ShrinkBefore">The factor on the weight before the gradient step; 1 for none.</param>
/// <param name="ShrinkAfter">The factor on the weight after the gradient step; 1 for none.</param>
public readonly record struct SegmentUpdate(Segment Segment, float LearningRate, float L2, float ShrinkBefore, float ShrinkAfter);

/// <summary>The scalars of one Adam step that all segments share.</summary>
/// <param name="Beta1">The decay of the first moment, in [0, 1).</param>
/// <param name="Beta2">The decay of the second moment, in [0, 1).</param>
/// <param name="Epsilon">Added to the root of the second moment, positive.</param>
/// <param name="Step">t, counted from 1, for the bias correction.</param>
/// <param name="GradientScale">What every gradient is multiplied by first: the clip factor.</param>
public readonly record struct AdamStep(float Beta1, float Beta2, float Epsilon, long Step, float GradientScale);

/// <summary>The scalars of one step of SGD with momentum that all segments share.</summary>
/// <param name="Momentum">What the buffer keeps of itself, in [0, 1).</param>
/// <param name="Gain">What a gradient is multiplied by on its way into the buffer; not used with <paramref name="RateInMomentum"/>.</param>
/// <param name="RateInMomentum">Whether the learning rate is inside the buffer (Loshchilov and Hutter 2019, algorithm 1) or outside it (torch).</param>
/// <param name="GradientScale">What every gradient is multiplied by first: the clip factor.</param>
public readonly record struct SgdStep(float Momentum, float Gain, bool RateInMomentum, float GradientScale);
