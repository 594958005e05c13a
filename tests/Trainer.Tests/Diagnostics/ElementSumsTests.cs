using Trainer.Diagnostics;

namespace Trainer.Tests.Diagnostics;

public sealed class ElementSumsTests
{
    private static readonly ElementRule Plain = new(IsAdam: true, Rate: 0.1, Factor: 1, FactorAfter: 1, Correction1: 1, Correction2: 1, Epsilon: 0, IsStoredInBFloat16: false);

    [Test]
    public void Lost_updates_are_those_that_rounding_to_nearest_takes_back()
    {
        // Around 1 numbers of bf16 are 2^-7 apart above and 2^-8 below: 1 + 2^-9 and, by the tie to even, 1 + 2^-8 are 1; 1 + 1.5 · 2^-8 is not. The last does not change.
        float[] before = [1, 1, 1, 1], after = [1 + (1f / 512), 1 + (1f / 256), 1 + (1.5f / 256), 1];
        var sums = new ElementSums();
        sums.AddStep(Plain, before, after, [1, 1, 1, 1], [1, 1, 1, 1]);
        Assert.That(sums.LostUpdates, Is.EqualTo(2.0 / 3));
        Assert.That(sums.LostDecay, Is.NaN, "there is no decay");
        Assert.That(sums.LargestMagnitude, Is.EqualTo(1 + (1.5 / 256)));
    }

    [Test]
    public void Where_weights_are_bf16_updates_that_left_no_trace_are_lost()
    {
        // u = m / √v: 0.5 and 0; the first is meant to move by -0.05 and did not, the second by nothing, the third by -0.1 and did.
        var sums = new ElementSums();
        sums.AddStep(Plain with { IsStoredInBFloat16 = true }, [1, 1, 1], [1, 1, 0.90234375f], [1, 0, 2], [4, 4, 4]);
        Assert.That(sums.LostUpdates, Is.EqualTo(0.5));
    }

    [TestCase(1 - 1e-4, 1)]
    [TestCase(1 - (1.0 / 512), 1)]
    [TestCase(1 - (1.0 / 128), 0)]
    public void Decay_alone_is_lost_below_half_a_unit(double factor, double lost)
    {
        // 1 (1 - 2^-9) is a tie between 1 - 2^-8 and 1, which is even.
        var sums = new ElementSums();
        sums.AddStep(Plain with { Factor = factor }, [1, -1, 0], [1, -1, 0], [0, 0, 0], [1, 1, 1]);
        Assert.That(sums.LostDecay, Is.EqualTo(lost));
    }

    [Test]
    public void Directions_rates_and_roundings_are_their_definitions()
    {
        float[] weights = [3, 4], gradients = [4, -3], other = [3, 0];
        var sums = new ElementSums();
        sums.AddGradients(gradients, weights);
        sums.AddStep(Plain with { Correction1 = 0.5, Correction2 = 0.25, Epsilon = 1, Rate = 2 }, weights, [3, 1 + (1f / 512)], other, [4, 1]);
        sums.AddCopy([3, 1], [3, 1 + (1f / 512)]);
        double after = Math.Sqrt(9 + Math.Pow(1 + (1.0 / 512), 2));
        Assert.Multiple(() =>
        {
            Assert.That(sums.GradientCosine, Is.Zero);

            // u = (6 / (√16 + 1), 0).
            Assert.That(sums.DirectionCosine, Is.EqualTo(3.0 / 5).Within(1e-15));
            Assert.That(sums.MeanRootSecondMoment, Is.EqualTo((4 + 2) / 2.0));
            Assert.That(sums.MeanAdamRate, Is.EqualTo(((2 / 3.0) + (2 / 2.0)) / 2).Within(1e-15));
            Assert.That(sums.RoundingError, Is.EqualTo(1.0 / 512 / after).Within(1e-15));
            Assert.That(sums.MasterGap, Is.EqualTo(sums.RoundingError));
        });

        var total = new ElementSums();
        total.Add(sums);
        total.Add(sums);
        Assert.That((total.DirectionCosine, total.MeanAdamRate, total.RoundingError),
            Is.EqualTo((sums.DirectionCosine, sums.MeanAdamRate, sums.RoundingError)).Within(1e-15), "of equal parts the whole has the same means");
    }

    [Test]
    public void Noise_is_that_of_the_halves()
    {
        // g_a = (3, 1), g_b = (1, 1): g = (2, 1), half of the difference's square is 2.
        var noise = new GradientNoise();
        noise.Add([2, 1], [1.5f, 0.5f]);
        Assert.That((noise.Noise, noise.Ratio), Is.EqualTo((2.0, 0.4)));
    }
}
