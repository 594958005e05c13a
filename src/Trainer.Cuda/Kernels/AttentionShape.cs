namespace Trainer.Cuda.Kernels;

/// <summary>The sizes of causal self-attention.</summary>
/// <param name="B">Batch entries, at most 65535.</param>
/// <param name="T">Tokens of each.</param>
/// <param name="Heads">NH, at most 65535.</param>
/// <param name="HeadSize">HS: 64 or 128; in <see cref="AttentionGenericKernels"/> any multiple of 8 up to 128.</param>
internal readonly record struct AttentionShape(int B, int T, int Heads, int HeadSize)
{
    /// <summary>The rows of the backward pass's scratch memory for each head are T rounded up to a multiple of this.</summary>
    private const int PadRows = 128;

    /// <summary>T rounded up to whole rows of scratch memory.</summary>
    public int PaddedT => KernelLaunch.Blocks(T, PadRows) * PadRows;

    /// <summary>The floats of scratch memory that <c>attention_backward_stats</c> fills: two for each of B · NH · padded T rows.</summary>
    public long StatsCount => 2L * B * Heads * PaddedT;

    /// <summary>B · NH.</summary>
    public long AllHeads => (long)B * Heads;

    /// <summary>The elements of the output, B · T · NH · HS.</summary>
    public long OutputCount => AllHeads * T * HeadSize;

    /// <summary>The suffix of the tensor cores' kernels, after what they take has been checked.</summary>
    /// <exception cref="ArgumentException">None takes this shape.</exception>
    public string Suffix
    {
        get
        {
            if (HeadSize is not (64 or 128))
                throw new ArgumentException($"attention on tensor cores has kernels for heads of 64 and 128 channels, not {HeadSize}");
            CheckRange();
            return $"hs{HeadSize}";
        }
    }

    /// <summary>Checks everything but the head size.</summary>
    /// <exception cref="ArgumentException">No kernel takes so many batch entries, heads or elements.</exception>
    public void CheckRange()
    {
        if (B is <= 0 or > 65535 || Heads is <= 0 or > 65535 || T <= 0 || 3L * T * Heads * HeadSize > int.MaxValue)
            throw new ArgumentException($"attention over {this} is out of range");
    }

    /// <summary>
    /// The operations of <paramref name="products"/> matrix products over the pairs that the mask leaves, T (T + 1) / 2 for each head: what published rates of
    /// causal attention count, with 2 products for the forward pass and 5 for the backward pass.
    /// </summary>
    public long CausalFlops(int products) => Flops(products, (long)T * (T + 1) / 2);

    /// <summary>The operations of some products over a number of pairs of query and key of each head.</summary>
    public long Flops(int products, long pairs) => 2L * products * HeadSize * AllHeads * pairs;

    /// <summary>The sizes by their letters.</summary>
    public override string ToString() => $"B={B} T={T} NH={Heads} HS={HeadSize}";
}
