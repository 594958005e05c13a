using Trainer.Compute;
using Trainer.Cpu;
using Trainer.Optimization;
using Trainer.Tests.Compute;

namespace Trainer.Tests.Optimization;

/// <summary>Whole optimizer steps over weights that are bf16 numbers.</summary>
[TestFixtureSource(nameof(Backends))]
internal sealed class RoundedWeightsTests(Func<Precision, IBackend> create)
{
    private static readonly Precision[] Pure = [Precision.BFloat16Pure.Emulated, Precision.BFloat16PureStochastic.Emulated];

    private static readonly RegularizerOptions[] Rules =
    [
        new() { Kind = RegularizerKind.Decay, WeightDecay = 0.1 },
        new() { Kind = RegularizerKind.NormControl, NormTarget = 1.5, NormRate = 0.01 },
        new() { Kind = RegularizerKind.NormControl, NormTarget = 1, NormRate = 1 },
    ];

    private static IEnumerable<TestFixtureData> Backends()
    {
        yield return Of("reference", precision => new ReferenceBackend { Precision = precision });
        foreach (var set in CpuInstructionSets.Supported)
            yield return Of($"cpu {set}", precision => new CpuBackend(2, set, precision));

        static TestFixtureData Of(string name, Func<Precision, IBackend> create) => new TestFixtureData(create).SetArgDisplayNames(name);
    }

    [Test]
    public void What_a_step_tells_is_what_it_did([ValueSource(nameof(Pure))] Precision precision, [Range(0, 2)] int rule)
    {
        using var trial = Start(precision, rule);
        for (int step = 1; step <= 12; step++)
        {
            float[] before = trial.Read();
            OptimizerStep told = trial.Step();
            float[] after = trial.Read();
            Assert.That(after, Is.EqualTo(after.Rounded()), "every weight is a bf16 number");
            int[] members = [.. trial.Indices(OptimizerTrial.HasTwoDimensions)];
            double norm = Math.Sqrt(members.Sum(i => (double)after[i] * after[i])), normBefore = Math.Sqrt(members.Sum(i => (double)before[i] * before[i]));
            double change = Math.Sqrt(members.Sum(i => Math.Pow((double)after[i] - before[i], 2)));
            Assert.That(told.WeightNorm, Is.EqualTo(norm).Within(1e-10 * norm));
            Assert.That(told.UpdateRatio, Is.EqualTo(change / normBefore).Within(1e-10));

            // Every element that is not moved stays as it is, so those that stay are the lost ones and the ones that are not moved.
            (double lost, double moved) = (0, 0);
            foreach (int segment in trial.Optimizer.Regularizer.Members)
                (lost, moved) = (lost + trial.Optimizer.Sums.Lost[segment], moved + trial.Optimizer.Sums.Moved[segment]);
            Assert.That(lost + members.Length - moved, Is.EqualTo(members.Count(i => after[i] == before[i])));
            Assert.That(moved, Is.GreaterThan(0.5 * members.Length).And.LessThanOrEqualTo(members.Length));
            Assert.That(told.LostUpdates, Is.EqualTo(lost / moved));
        }
    }

    [Test]
    public void A_decay_alone_is_lost_to_the_nearest_and_not_at_random()
    {
        // Rate x strength is 1e-3 of a weight, less than half of the 2^-8 to 2^-7 of it that lie between bf16 numbers.
        OptimizerOptions options = new() { LearningRate = 0.01, Regularizer = Rules[0] };
        foreach (Precision precision in Pure)
        {
            using var trial = new OptimizerTrial(() => create(precision), options, _ => 1);
            trial.Set(trial.Gradients, _ => 0);
            OptimizerStep told = default;
            for (int step = 0; step < 30; step++)
                told = trial.Optimizer.Step();
            Assert.That(told.LostUpdates, precision.RoundsStochastically ? Is.LessThan(1) : Is.EqualTo(1));
            Assert.That(told.NormRatio, precision.RoundsStochastically ? Is.LessThan(0.99) : Is.EqualTo(1));
        }
    }

    [Test]
    public void Exact_weights_count_nothing()
    {
        using var trial = Start(Precision.Float32, 0);
        Assert.That(trial.Step().LostUpdates, Is.NaN);
    }

    private OptimizerTrial Start(Precision precision, int rule) => new(() => create(precision), new() { LearningRate = 1e-3, Regularizer = Rules[rule] }, i =>
        Bf16.Value(Bf16.Round((float)(0.1 * new CounterRandom(1, 1).Normal((ulong)i)))));
}
