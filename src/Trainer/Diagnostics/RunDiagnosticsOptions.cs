namespace Trainer.Diagnostics;

/// <summary>Which diagnostics a run makes, and the sizes that they need.</summary>
/// <param name="Every">Steps between diagnostics; 0 for none.</param>
/// <param name="MicroBatches">Of a step.</param>
/// <param name="TokensPerStep">Of a step.</param>
public sealed record RunDiagnosticsOptions(int Every, int MicroBatches, long TokensPerStep)
{
    /// <summary>Steps between estimates of the Hessian's trace; 0 for none.</summary>
    public int HessianEvery { get; init; }

    /// <summary>The random probes of each estimate.</summary>
    public int HessianProbes { get; init; } = 16;
}

/// <summary>A batch that is the same at every step and in every run on the same data.</summary>
/// <param name="Tokens">(B, T) ids.</param>
/// <param name="Targets">(B, T) ids: the token after each.</param>
/// <param name="BatchSize">B.</param>
/// <param name="SequenceLength">T.</param>
public sealed record ProbeBatch(int[] Tokens, int[] Targets, int BatchSize, int SequenceLength);
