using Trainer.Optimization;

namespace Trainer.Diagnostics;

/// <summary>
/// Weight decay read as a Gaussian prior of the weights: a mean loss with (λ/2) ‖θ‖² is, up to a constant, the negative logarithm of a posterior whose prior
/// has σ = 1/√λ where the loss is taken for one observation, and σ = 1/√(λ N) where it is the mean over N of them, the tokens trained on so far.
/// </summary>
/// <remarks>
/// This is exact for L2 alone. AdamW's decay is the gradient of no such term: one would have to be divided by √v̂ like the rest of the gradient. What is told
/// for it is the λ that L2 would need for the same pull on average, λ · mean(√v̂) over the regularised set; it changes as the run goes on, and for single
/// weights it can be off by orders of magnitude.
/// </remarks>
public static class PriorDiagnostics
{
    /// <summary>Adds priorLambda, priorSigmaSum, priorSigmaData and negLogPrior (nats per token); nothing for rules without a strength.</summary>
    /// <param name="values">What is added to.</param>
    /// <param name="options">The rule.</param>
    /// <param name="decayShare">The share of a weight that the step took away, lr λ; only looked at for AdamW.</param>
    /// <param name="l2">λ_t of L2; only looked at for L2.</param>
    /// <param name="learningRate">lr_t.</param>
    /// <param name="meanRootSecondMoment">mean(√v̂) over the regularised set; only looked at for AdamW.</param>
    /// <param name="squares">‖θ‖² of the regularised set.</param>
    /// <param name="tokens">N.</param>
    public static void AddTo(
        DiagnosticValues values, OptimizerOptions options, double decayShare, double l2, double learningRate, double meanRootSecondMoment, double squares, long tokens)
    {
        ArgumentNullException.ThrowIfNull(values);
        ArgumentNullException.ThrowIfNull(options);
        bool isL2 = options.Regularizer.Kind == RegularizerKind.L2;
        if (!isL2 && (options.Kind != OptimizerKind.Adam || !options.Regularizer.IsDecay))
            return;
        double lambda = isL2 ? l2 : decayShare / learningRate * meanRootSecondMoment;
        if (!(lambda > 0) || !double.IsFinite(lambda))
            return;
        values.Add("priorLambda", lambda);
        values.Add("priorSigmaSum", 1 / Math.Sqrt(lambda));
        values.Add("priorSigmaData", 1 / Math.Sqrt(lambda * tokens));
        values.Add("negLogPrior", 0.5 * lambda * squares);
    }
}
