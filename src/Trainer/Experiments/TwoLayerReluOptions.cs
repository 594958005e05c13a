using Trainer.Optimization;

namespace Trainer.Experiments;

/// <summary>What a <see cref="TwoLayerReluToy"/> learns.</summary>
public enum ReluTask
{
    /// <summary>A function of one number, sin(3 x) on [-1, 1], from a few noisy points.</summary>
    Regression,

    /// <summary>A ReLU network of 4 hidden units over 32 standard normal inputs, from noisy samples.</summary>
    TeacherStudent,
}

/// <summary>The settings of a <see cref="TwoLayerReluToy"/>.</summary>
public sealed record TwoLayerReluOptions
{
    private const double RateAfterDrop = 1e-3;

    private static readonly double[] GridRates = [0.0025, 0.005, 0.01, 0.02, 0.04];
    private static readonly double[] GridDecays = [0, 1e-3];

    /// <summary>What is learned.</summary>
    public ReluTask Task { get; init; } = ReluTask.Regression;

    /// <summary>m: the hidden units.</summary>
    public int Width { get; init; } = 100;

    /// <summary>The rate of SGD before the drop.</summary>
    public required double LearningRate { get; init; }

    /// <summary>λ: the strength of the coupled decay of all parameters, λ θ being added to the gradient.</summary>
    public double WeightDecay { get; init; }

    /// <summary>The optimizer steps, those after the drop included.</summary>
    public required long Steps { get; init; }

    /// <summary>The steps at the full rate; <see cref="Steps"/> or more for no drop.</summary>
    public long DropStep { get; init; } = long.MaxValue;

    /// <summary>What the rate is multiplied by after the drop.</summary>
    public double DropFactor { get; init; } = 0.1;

    /// <summary>Samples in a step, drawn with replacement; as many as there are, or more, takes all of them in each step.</summary>
    public int BatchSize { get; init; } = 1;

    /// <summary>Decides data, initial weights and batches.</summary>
    public ulong Seed { get; init; } = 1;

    /// <summary>The training samples.</summary>
    public int TrainSamples { get; init; } = 20;

    /// <summary>The test samples, whose targets have no noise.</summary>
    public int TestSamples { get; init; } = 500;

    /// <summary>The standard deviation of the normal noise of the training targets.</summary>
    public double LabelNoise { get; init; } = 0.1;

    /// <summary>
    /// The ten runs that loss stabilisation is looked for in: η in {0.0025, 0.005, 0.01, 0.02, 0.04} and λ in {0, 1e-3}, and in the second half of the
    /// steps η = 1e-3 for all of them, so that they end at the same noise. The rates reach up to where SGD stays stable: the teacher's student diverges
    /// at 0.06. The sources give no settings.
    /// </summary>
    /// <param name="task">
    /// Regression: 100 hidden units, 20 points, batches of 1, 200 000 steps. Teacher and student: 64 hidden units, 128 samples, batches of 4, 40 000 steps.
    /// </param>
    /// <param name="seed">The seed of all ten.</param>
    public static IReadOnlyList<TwoLayerReluOptions> Grid(ReluTask task, ulong seed = 1)
    {
        bool regression = task == ReluTask.Regression;
        long steps = regression ? 200_000 : 40_000;
        return
        [
            .. from learningRate in GridRates
               from weightDecay in GridDecays
               select new TwoLayerReluOptions
               {
                   Task = task,
                   Width = regression ? 100 : 64,
                   TrainSamples = regression ? 20 : 128,
                   BatchSize = regression ? 1 : 4,
                   LearningRate = learningRate,
                   WeightDecay = weightDecay,
                   Steps = steps,
                   DropStep = steps / 2,
                   DropFactor = RateAfterDrop / learningRate,
                   Seed = seed,
               },
        ];
    }

    /// <summary>Checks that the settings make a run.</summary>
    /// <exception cref="RequestException">One is out of its range.</exception>
    public TwoLayerReluOptions Validated()
    {
        Require(Width >= 1, $"the network needs at least 1 hidden unit, not {Width}.");
        Require(LearningRate > 0 && double.IsFinite(LearningRate), $"the learning rate must be positive, but is {Number.Text(LearningRate)}.");
        Require(WeightDecay >= 0, $"the weight decay must not be negative, but is {Number.Text(WeightDecay)}.");
        Require(LearningRate * WeightDecay < 1,
            $"learning rate {Number.Text(LearningRate)} times weight decay {Number.Text(WeightDecay)} is 1 or more, which turns the weights round "
            + $"in each step; take a weight decay below {Number.Text(1 / LearningRate)}.");
        Require(Steps >= 1, $"a run has at least 1 step, not {Steps}.");
        Require(DropStep >= 1, $"the rate drops after at least 1 step, not {DropStep}.");
        Require(DropFactor is > 0 and <= 1, $"the rate drops to a share of at most 1, not {Number.Text(DropFactor)}.");
        Require(BatchSize >= 1, $"a step needs at least 1 sample, not {BatchSize}.");
        Require(TrainSamples >= 1 && TestSamples >= 1, $"{TrainSamples} training and {TestSamples} test samples: both must be positive.");
        Require(LabelNoise >= 0 && double.IsFinite(LabelNoise), $"the label noise must not be negative, but is {Number.Text(LabelNoise)}.");
        return this;
    }

    private static void Require(bool condition, string message)
    {
        if (!condition)
            throw new RequestException(message);
    }
}
