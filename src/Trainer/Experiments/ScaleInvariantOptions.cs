using Trainer.Optimization;

namespace Trainer.Experiments;

/// <summary>The settings of a <see cref="ScaleInvariantToy"/>.</summary>
public sealed record ScaleInvariantOptions
{
    private static readonly double[] GridRates = [0.02, 0.08, 0.32];
    private static readonly double[] GridDecays = [5e-4, 2e-3, 8e-3];

    /// <summary>η: the constant learning rate of SGD; positive.</summary>
    public required double LearningRate { get; init; }

    /// <summary>λ: the strength of the coupled decay, λ w being added to the gradient; 0 switches it off. η λ is below 1.</summary>
    public double WeightDecay { get; init; }

    /// <summary>The optimizer steps; at least 20, for the averages to mean something.</summary>
    public required long Steps { get; init; }

    /// <summary>Decides the initial weights, the direction that labels the data, and the data.</summary>
    public ulong Seed { get; init; } = 1;

    /// <summary>The number of weights; at least 2.</summary>
    public int Dimension { get; init; } = 64;

    /// <summary>Samples in a step, new ones each time.</summary>
    public int BatchSize { get; init; } = 4;

    /// <summary>The share of labels that are flipped, in [0, 1/2].</summary>
    public double LabelNoise { get; init; } = 0.1;

    /// <summary>|w| at the start; positive.</summary>
    public double InitialNorm { get; init; } = 1;

    /// <summary>ρ: the weights start on the sphere of this radius and are projected back onto it (projected SGD); 0 leaves the norm free.</summary>
    public double SphereRadius { get; init; }

    /// <summary>The projection follows every n-th step.</summary>
    public long ProjectEvery { get; init; } = 1;

    /// <summary>
    /// The nine runs that Labatie's collapse is tested on: η in {0.02, 0.08, 0.32} and λ in {5e-4, 2e-3, 8e-3}, each for 12 / (η λ) steps, that
    /// is, twelve time constants of the decay. About two million steps in all.
    /// </summary>
    /// <param name="seed">The seed of all nine.</param>
    public static IReadOnlyList<ScaleInvariantOptions> Grid(ulong seed = 1) =>
    [
        .. from learningRate in GridRates
           from weightDecay in GridDecays
           select new ScaleInvariantOptions
           {
               LearningRate = learningRate,
               WeightDecay = weightDecay,
               Steps = (long)Math.Round(12 / (learningRate * weightDecay)),
               Seed = seed,
           },
    ];

    /// <summary>Checks that the settings make a run.</summary>
    /// <exception cref="RequestException">One is out of its range.</exception>
    public ScaleInvariantOptions Validated()
    {
        Require(LearningRate > 0 && double.IsFinite(LearningRate), $"the learning rate must be positive, but is {Number.Text(LearningRate)}.");
        Require(WeightDecay >= 0, $"the weight decay must not be negative, but is {Number.Text(WeightDecay)}.");
        Require(LearningRate * WeightDecay < 1,
            $"learning rate {Number.Text(LearningRate)} times weight decay {Number.Text(WeightDecay)} is 1 or more, which turns the weights round "
            + $"in each step; take a weight decay below {Number.Text(1 / LearningRate)}.");
        Require(Steps >= 20, $"a run has at least 20 steps, not {Steps}.");
        Require(Dimension >= 2, $"a direction needs at least 2 dimensions, not {Dimension}.");
        Require(BatchSize >= 1, $"a step needs at least 1 sample, not {BatchSize}.");
        Require(LabelNoise is >= 0 and <= 0.5, $"the label noise must be between 0 and 0.5, but is {Number.Text(LabelNoise)}.");
        Require(InitialNorm > 0 && double.IsFinite(InitialNorm), $"the initial norm must be positive, but is {Number.Text(InitialNorm)}.");
        Require(SphereRadius >= 0 && double.IsFinite(SphereRadius),
            $"the radius of the sphere must be positive, or 0 for none, but is {Number.Text(SphereRadius)}.");
        Require(ProjectEvery >= 1, $"the projection follows every step or every few, not every {ProjectEvery}.");
        return this;
    }

    private static void Require(bool condition, string message)
    {
        if (!condition)
            throw new RequestException(message);
    }
}
