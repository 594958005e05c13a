using Trainer.Optimization;

namespace Trainer.Experiments;

/// <summary>How a <see cref="HessianTrace"/> is estimated.</summary>
public sealed record HessianTraceOptions
{
    /// <summary>m: the random probes, two gradients each; at least 2, for there to be a standard error.</summary>
    public int Probes { get; init; } = 16;

    /// <summary>Decides the probes.</summary>
    public ulong Seed { get; init; } = 1;

    /// <summary>
    /// h |z| / |θ|: how far the parameters are moved, as a share of their norm. The default suits fp32: half of its digits are left to the difference
    /// of the gradients. In double precision about 1e-5 is best. A gradient with jumps, as a ReLU network's, has no such difference where it jumps.
    /// </summary>
    public double RelativeStep { get; init; } = 1e-3;

    /// <summary>The steps of the power iteration for the largest eigenvalue, two gradients each; 0 leaves it out.</summary>
    public int PowerIterations { get; init; }

    /// <summary>Checks that the settings make an estimate.</summary>
    /// <exception cref="RequestException">One is out of its range.</exception>
    public HessianTraceOptions Validated()
    {
        if (Probes < 2)
            throw new RequestException($"a trace with a standard error needs at least 2 probes, not {Probes}.");
        if (!(RelativeStep is > 0 and < 1))
            throw new RequestException($"the relative step must be between 0 and 1, but is {Number.Text(RelativeStep)}; 1e-3 suits fp32.");
        if (PowerIterations < 0)
            throw new RequestException($"the power iterations must not be negative, but are {PowerIterations}; 0 leaves them out.");
        return this;
    }
}
