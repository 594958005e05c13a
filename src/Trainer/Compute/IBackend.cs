using Trainer.Model;
using Trainer.Optimization;

namespace Trainer.Compute;

/// <summary>
/// The only door to a device: its memory, and the operations that a GPT-2 step needs, forward and backward side by side.
/// </summary>
/// <remarks>
/// <para>Letters: B sequences in a batch, T tokens in a sequence, R = B·T rows, C channels, NH heads, HS = C / NH head size,
/// V vocabulary, Vp padded vocabulary. Every tensor is row-major without gaps. Activations, their gradients and weights have the
/// type <see cref="Precision.Working"/>; gradients of parameters (dWeight, dBias, the tables'), means, rstds, log-sum-exps and losses
/// are <see cref="ElementType.Float32"/>.</para>
/// <para>Rules that hold for all operations: gradients of parameters are added to (<c>+=</c>), gradients of activations are
/// overwritten unless noted; shapes are checked once, at this boundary, and an <see cref="ArgumentException"/> names the operand that
/// does not fit; results are bitwise the same in every run on a device and for any number of threads; no operation allocates after
/// its first call for a shape.</para>
/// <para>A device may work on its own: operations are done in the order of the calls, but need not be done when a call returns.
/// <see cref="Download"/> and <see cref="Synchronize"/> wait. An error of the device shows at one of the calls after it, as a
/// <see cref="RunFailedException"/>.</para>
/// <para>An implementation is used by one thread at a time.</para>
/// </remarks>
public interface IBackend : IDisposable
{
    /// <summary>What this backend computes on, for people: <c>cpu, AVX-512, 2 threads</c>.</summary>
    string Description { get; }

    /// <summary>The formats in which it computes.</summary>
    Precision Precision { get; }

    /// <summary>Whether the device works on its own, so that the host can prepare a step while it is busy with the one before.</summary>
    bool RunsAhead { get; }

    /// <summary>
    /// Which implementation was chosen where there are several, by the operation and its sizes: what a run records, so that it makes
    /// the same choices when it is resumed. Empty where there is nothing to choose.
    /// </summary>
    IReadOnlyDictionary<string, string> Choices { get; }

    /// <summary>What the user should know of what was prepared, a sentence each; empty where all is well.</summary>
    IReadOnlyList<string> Warnings => [];

    /// <summary>The bytes that may still be allocated before the machine runs short, as the system reports them now.</summary>
    long AvailableBytes { get; }

    /// <summary>
    /// The floating-point operations per second of multiply-adds in the precision that matrix products use, on registers alone,
    /// measured now: what the speed of anything else is a share of.
    /// </summary>
    double MeasurePeakFlops();

    /// <summary>The number of allocations not yet freed; 0 when everything was given back.</summary>
    int LiveAllocations { get; }

    /// <summary>Is told of every operation, copies and passes over the weights included; null for nobody, which costs nothing.</summary>
    IOperationObserver? Observer { get; set; }

    /// <summary>Allocates zeroed device memory, aligned to at least 64 bytes.</summary>
    /// <exception cref="OutOfMemoryException">The device has not that much memory left.</exception>
    /// <exception cref="ArgumentException">An extent is negative.</exception>
    Tensor Allocate(ElementType type, Shape shape);

    /// <summary>Frees what <see cref="Allocate"/> returned.</summary>
    void Free(Tensor allocation);

    /// <summary>Refuses a model that the device has no operations for, before any memory is taken.</summary>
    /// <exception cref="RequestException">A size is not supported; the message says which would be.</exception>
    void CheckSupports(ModelConfig config);

    /// <summary>
    /// The bytes of scratch memory that operations of these sizes need at most; 0 if there is no such memory on the device.
    /// </summary>
    long WorkspaceBytes(in PassShape shape);

    /// <summary>
    /// Says which sizes are coming. Everything that depends on them is planned now: nothing is allocated in a step, and where there are
    /// several implementations of an operation, the fastest is found.
    /// </summary>
    /// <param name="shape">The sizes.</param>
    /// <param name="choices">The <see cref="Choices"/> of the run that is continued; those it lacks are made anew.</param>
    void Prepare(in PassShape shape, IReadOnlyDictionary<string, string>? choices = null);

    /// <summary>Gives scratch memory to work in, of <see cref="WorkspaceBytes"/>; it stays the caller's. No tensor takes it back.</summary>
    void UseWorkspace(Tensor workspace);

    /// <summary>Waits until everything that was asked for is done.</summary>
    void Synchronize();

    /// <summary>Copies host values to the device; the host's may change afterwards. The counts and the types of the elements must agree, bf16 being <see cref="ushort"/>.</summary>
    void Upload<T>(ReadOnlySpan<T> source, Tensor destination)
        where T : unmanaged;

    /// <summary>Copies device values to the host and waits for them. The counts and the types of the elements must agree.</summary>
    void Download<T>(Tensor source, Span<T> destination)
        where T : unmanaged;

    /// <summary>Sets every element to zero.</summary>
    void Zero(Tensor tensor);

    /// <summary>Copies the elements, rounded to the nearest where the destination is narrower: between fp32 and bf16, or of one type.</summary>
    void Convert(Tensor destination, Tensor source);

    /// <summary>Token plus position embedding: <c>output[b,t] = tokenTable[tokens[b,t]] + positionTable[t]</c>.</summary>
    /// <param name="output">(B, T, C), overwritten.</param>
    /// <param name="tokens">(B, T) of <see cref="ElementType.Int32"/>, each in [0, Vp).</param>
    /// <param name="tokenTable">(Vp, C).</param>
    /// <param name="positionTable">(maximum T, C).</param>
    void EmbeddingForward(Tensor output, Tensor tokens, Tensor tokenTable, Tensor positionTable);

    /// <summary>Gradients of both embedding tables.</summary>
    /// <param name="dTokenTable">(Vp, C), <c>+=</c>.</param>
    /// <param name="dPositionTable">(maximum T, C), <c>+=</c>.</param>
    /// <param name="dOutput">(B, T, C).</param>
    /// <param name="tokens">(B, T) of <see cref="ElementType.Int32"/>.</param>
    void EmbeddingBackward(Tensor dTokenTable, Tensor dPositionTable, Tensor dOutput, Tensor tokens);

    /// <summary>Layer normalisation (Ba et al. 2016) over C: <c>output = (input - mean) * rstd * weight + bias</c>, epsilon 1e-5.</summary>
    /// <param name="output">(R, C), overwritten.</param>
    /// <param name="mean">(R), overwritten, kept for the backward pass.</param>
    /// <param name="rstd">(R), overwritten: 1 / sqrt(variance + epsilon).</param>
    /// <param name="input">(R, C).</param>
    /// <param name="weight">(C).</param>
    /// <param name="bias">(C).</param>
    void LayerNormForward(Tensor output, Tensor mean, Tensor rstd, Tensor input, Tensor weight, Tensor bias);

    /// <summary>Residual add and layer normalisation in one pass: <c>sum = residual + branch; output = LayerNorm(sum)</c>.</summary>
    /// <param name="sum">(R, C), overwritten: the new residual stream.</param>
    /// <param name="output">(R, C), overwritten.</param>
    /// <param name="mean">(R), overwritten.</param>
    /// <param name="rstd">(R), overwritten.</param>
    /// <param name="residual">(R, C): the residual stream so far.</param>
    /// <param name="branch">(R, C): what the last sublayer adds to it.</param>
    /// <param name="weight">(C).</param>
    /// <param name="bias">(C).</param>
    void ResidualLayerNormForward(Tensor sum, Tensor output, Tensor mean, Tensor rstd, Tensor residual, Tensor branch, Tensor weight, Tensor bias);

    /// <summary>Gradients of a layer normalisation.</summary>
    /// <param name="dInput">(R, C), <c>+=</c>: the gradient of the residual stream, into which every branch adds.</param>
    /// <param name="dWeight">(C), <c>+=</c>.</param>
    /// <param name="dBias">(C), <c>+=</c>.</param>
    /// <param name="dOutput">(R, C).</param>
    /// <param name="input">(R, C): the input of the forward pass.</param>
    /// <param name="weight">(C).</param>
    /// <param name="mean">(R) of the forward pass.</param>
    /// <param name="rstd">(R) of the forward pass.</param>
    void LayerNormBackward(Tensor dInput, Tensor dWeight, Tensor dBias, Tensor dOutput, Tensor input, Tensor weight, Tensor mean, Tensor rstd);

    /// <summary>
    /// A linear layer, <c>output = input · weightᵀ + bias</c>, and with <paramref name="preActivation"/> the tanh GELU of it:
    /// <c>preActivation = input · weightᵀ + bias; output = GELU(preActivation)</c>. GELU(x) = x/2 · (1 + tanh(√(2/π)(x + 0.044715 x³)))
    /// (Hendrycks and Gimpel 2016).
    /// </summary>
    /// <param name="output">(R, N), overwritten.</param>
    /// <param name="input">(R, K).</param>
    /// <param name="weight">(N, K).</param>
    /// <param name="bias">(N), or none.</param>
    /// <param name="preActivation">(R, N), overwritten and kept for the backward pass; or none for a plain linear layer.</param>
    void LinearForward(Tensor output, Tensor input, Tensor weight, Tensor bias = default, Tensor preActivation = default);

    /// <summary>The tanh GELU of what <see cref="LinearForward"/> kept: an activation that was not kept is computed again.</summary>
    /// <param name="output">(R, N), overwritten.</param>
    /// <param name="preActivation">(R, N).</param>
    void GeluForward(Tensor output, Tensor preActivation);

    /// <summary>
    /// The gradient of a linear layer's input, <c>dInput = dOutput · weight</c>, and with <paramref name="preActivation"/> the
    /// gradient before the GELU that made that input: <c>dInput = (dOutput · weight) ∘ GELU'(preActivation)</c>.
    /// </summary>
    /// <param name="dInput">(R, K), overwritten.</param>
    /// <param name="dOutput">(R, N).</param>
    /// <param name="weight">(N, K).</param>
    /// <param name="preActivation">(R, K): what the GELU saw in the forward pass, or none.</param>
    void LinearBackwardInput(Tensor dInput, Tensor dOutput, Tensor weight, Tensor preActivation = default);

    /// <summary>The gradients of a linear layer's parameters: <c>dWeight += dOutputᵀ · input; dBias += column sums of dOutput</c>.</summary>
    /// <param name="dWeight">(N, K), <c>+=</c>.</param>
    /// <param name="dBias">(N), <c>+=</c>, or none.</param>
    /// <param name="dOutput">(R, N).</param>
    /// <param name="input">(R, K).</param>
    /// <param name="accumulate">False overwrites both gradients: the first micro-batch of a step needs no zeros then, and does not read them.</param>
    void LinearBackwardWeight(Tensor dWeight, Tensor dBias, Tensor dOutput, Tensor input, bool accumulate = true);

    /// <summary>Causal self-attention, softmax(Q Kᵀ / √HS) V per head (Vaswani et al. 2017), without keeping the T x T scores.</summary>
    /// <param name="output">(B, T, C), overwritten.</param>
    /// <param name="logSumExp">(B, NH, T), overwritten: the logarithm of each softmax's denominator, kept for the backward pass.</param>
    /// <param name="qkv">(B, T, 3C): queries, keys, values, each NH heads of HS.</param>
    void AttentionForward(Tensor output, Tensor logSumExp, Tensor qkv);

    /// <summary>The gradient of causal self-attention; the scores are computed again from <paramref name="logSumExp"/> (Dao et al. 2022).</summary>
    /// <param name="dQkv">(B, T, 3C), overwritten.</param>
    /// <param name="dOutput">(B, T, C).</param>
    /// <param name="output">(B, T, C) of the forward pass.</param>
    /// <param name="logSumExp">(B, NH, T) of the forward pass.</param>
    /// <param name="qkv">(B, T, 3C) of the forward pass.</param>
    void AttentionBackward(Tensor dQkv, Tensor dOutput, Tensor output, Tensor logSumExp, Tensor qkv);

    /// <summary>
    /// Softmax and cross-entropy in one pass: <c>losses[r] = -log softmax(logits[r])[targets[r]]</c> over the first
    /// <paramref name="vocabulary"/> columns, and with a non-zero <paramref name="gradientScale"/> the logits are replaced in place by
    /// <c>gradientScale · (softmax(logits) - onehot(target))</c>, padded columns by 0.
    /// </summary>
    /// <param name="logits">(R, Vp).</param>
    /// <param name="losses">(R), overwritten.</param>
    /// <param name="targets">(R) of <see cref="ElementType.Int32"/>, each in [0, vocabulary).</param>
    /// <param name="vocabulary">V, at most Vp.</param>
    /// <param name="gradientScale">What the gradient is multiplied by: 1 / (R · micro-batches) for a mean loss; 0 leaves the logits as they are.</param>
    void SoftmaxCrossEntropy(Tensor logits, Tensor losses, Tensor targets, int vocabulary, float gradientScale);

    /// <summary>
    /// Adds a mean to a total on the device: <c>total = total + scale · mean(values)</c>, or without <paramref name="accumulate"/>
    /// <c>total = scale · mean(values)</c>, in double precision.
    /// </summary>
    /// <param name="total">(1) of <see cref="ElementType.Float64"/>.</param>
    /// <param name="values">A vector of losses.</param>
    /// <param name="scale">1 / micro-batches for a mean over several.</param>
    /// <param name="accumulate">Whether to add to what is there.</param>
    void AddMean(Tensor total, Tensor values, double scale, bool accumulate);

    /// <summary>
    /// The sum of squares of each segment, in an order that depends on nothing but the lengths, and accumulated in double precision; a GPU adds up
    /// to 32 squares in single precision before. Waits for it.
    /// </summary>
    /// <param name="values">One tensor of fp32 holding all segments, parameters or their gradients.</param>
    /// <param name="segments">Which elements belong together.</param>
    /// <param name="sums">One sum for each segment, overwritten. A non-finite element makes its sum non-finite.</param>
    void SumOfSquares(Tensor values, ReadOnlySpan<Segment> segments, Span<double> sums);

    /// <summary>
    /// One step of an exponential moving average (Polyak and Juditsky 1992): <c>average = coefficient · average + (1 - coefficient) · weights</c>. The
    /// coefficient is rounded to fp32 first; 1 minus it is then exact, so that an average of equal weights keeps their size.
    /// </summary>
    /// <param name="average">fp32, updated in place.</param>
    /// <param name="weights">fp32, as many.</param>
    /// <param name="coefficient">In [1/2, 1): what the average keeps of itself.</param>
    void UpdateAverage(Tensor average, Tensor weights, double coefficient);

    /// <summary>Makes the end of a training step for some parameters: gradient norm, clipping, optimizer and regulariser.</summary>
    /// <param name="layout">Where each tensor is.</param>
    /// <param name="tensors">Parameters, gradients and moments; stay the caller's.</param>
    /// <param name="options">The rule.</param>
    IOptimizerPass CreateOptimizer(ParameterLayout layout, TrainingTensors tensors, OptimizerOptions options);
}
