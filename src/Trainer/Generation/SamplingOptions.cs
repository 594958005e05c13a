namespace Trainer.Generation;

/// <summary>How the next token is drawn from the model's distribution.</summary>
public sealed record SamplingOptions
{
    /// <summary>What the logits are divided by; 0 takes the most likely token.</summary>
    public double Temperature { get; init; } = 1;

    /// <summary>Only the k most likely tokens (Fan et al. 2018); 0 for all.</summary>
    public int TopK { get; init; }

    /// <summary>Only the fewest most likely tokens that together have this probability (Holtzman et al. 2020); 1 for all.</summary>
    public double TopP { get; init; } = 1;

    /// <summary>The same seed draws the same tokens.</summary>
    public ulong Seed { get; init; } = 1;

    /// <summary>Checks the values.</summary>
    /// <exception cref="RequestException">A value is out of range.</exception>
    public SamplingOptions Validated()
    {
        if (!(Temperature >= 0) || !double.IsFinite(Temperature))
            throw new RequestException($"--temperature must be 0 or more, but is {Temperature}.");
        if (TopK < 0)
            throw new RequestException($"--top-k must be 0 (all) or more, but is {TopK}.");
        if (!(TopP > 0 && TopP <= 1))
            throw new RequestException($"--top-p must lie in (0, 1], but is {TopP}.");
        return this;
    }
}
