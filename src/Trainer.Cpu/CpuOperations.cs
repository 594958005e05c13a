using Trainer.Optimization;

namespace Trainer.Cpu;

/// <summary>
/// The operations of <see cref="Trainer.Compute.IBackend"/> over plain pointers, whose extents <see cref="CpuBackend"/> has checked.
/// One implementation for each width of vector, chosen once.
/// </summary>
internal abstract unsafe class CpuOperations : IDisposable
{
    protected CpuOperations(ThreadTeam team, MicroKernel kernel, MantissaRounding mantissa)
    {
        Mantissa = mantissa;
        Team = team;
        Kernel = kernel;
        Product = new MatrixProduct(kernel, team, mantissa);
    }

    protected ThreadTeam Team { get; }

    protected MicroKernel Kernel { get; }

    protected MatrixProduct Product { get; }

    /// <summary>What factors and results of matrix products are rounded to.</summary>
    protected MantissaRounding Mantissa { get; }

    /// <summary>The operations for an instruction set.</summary>
    public static CpuOperations For(CpuInstructionSet set, ThreadTeam team, MantissaRounding mantissa) => set switch
    {
        CpuInstructionSet.Avx512 => new CpuOperations<Float16>(team, MicroKernel.For(set), mantissa),
        CpuInstructionSet.Avx2 => new CpuOperations<Float8>(team, MicroKernel.For(set), mantissa),
        _ => new CpuOperations<Float4>(team, MicroKernel.For(set), mantissa),
    };

    /// <summary>Copies elements of so many bytes, or converts them between fp32 and bf16.</summary>
    public abstract void Convert(void* to, void* from, long count, bool widens, bool narrows, int bytes);

    public abstract void EmbeddingForward(float* output, int* tokens, float* tokenTable, float* positionTable, int b, int t, int c);

    public abstract void EmbeddingBackward(float* dTokenTable, float* dPositionTable, float* dOutput, int* tokens, int b, int t, int c);

    /// <summary>Layer normalisation; with <paramref name="branch"/> of <c>sum = input + branch</c>.</summary>
    public abstract void LayerNormForward(
        float* sum, float* output, float* mean, float* rstd, float* input, float* branch, float* weight, float* bias, int rows, int c);

    public abstract void LayerNormBackward(
        float* dInput, float* dWeight, float* dBias, float* dOutput, float* input, float* weight, float* mean, float* rstd, int rows, int c);

    public abstract void LinearForward(float* output, float* input, float* weight, float* bias, float* preActivation, int rows, int n, int k);

    public abstract void GeluForward(float* output, float* preActivation, long count);

    public abstract void LinearBackwardInput(float* dInput, float* dOutput, float* weight, float* preActivation, int rows, int n, int k);

    public abstract void LinearBackwardWeight(
        float* dWeight, float* dBias, float* dOutput, float* input, int rows, int n, int k, bool accumulate);

    public abstract void AttentionForward(float* output, float* logSumExp, float* qkv, int b, int t, int c, int heads);

    public abstract void AttentionBackward(
        float* dQkv, float* dOutput, float* output, float* logSumExp, float* qkv, int b, int t, int c, int heads);

    public abstract void SoftmaxCrossEntropy(float* logits, float* losses, int* targets, int rows, int vocabulary, int stride, float gradientScale);

    public abstract void SumOfSquares(float* values, ReadOnlySpan<Segment> segments, Span<double> sums);

    public abstract void AdamUpdate(float* weights, float* gradients, float* firstMoment, float* secondMoment,
        ReadOnlySpan<SegmentUpdate> updates, in AdamStep step, Span<double> sums, Span<double> changes, WeightRounding? rounding);

    public abstract void SgdUpdate(float* weights, float* gradients, float* momentum,
        ReadOnlySpan<SegmentUpdate> updates, in SgdStep step, Span<double> sums, Span<double> changes, WeightRounding? rounding);

    public abstract void AddScaled(float* values, float* addend, ReadOnlySpan<Segment> segments, ReadOnlySpan<float> factors);

    public abstract void Scale(float* values, ReadOnlySpan<Segment> segments, ReadOnlySpan<float> factors);

    public abstract void ScaleRounded(float* weights, ReadOnlySpan<Segment> segments, ReadOnlySpan<float> factors,
        WeightRounding rounding, Span<double> sums, Span<double> changes);

    public abstract void UpdateAverage(float* average, float* weights, long count, float coefficient);

    public void Dispose()
    {
        Dispose(true);
        GC.SuppressFinalize(this);
    }

    protected virtual void Dispose(bool disposing) => Product.Dispose();
}
