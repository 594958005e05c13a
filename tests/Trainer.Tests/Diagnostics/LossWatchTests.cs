using Trainer.Diagnostics;

namespace Trainer.Tests.Diagnostics;

public sealed class LossWatchTests
{
    private const int Vocabulary = 1000;

    [Test]
    public void Noise_and_a_falling_loss_are_nothing_remarkable()
    {
        var watch = new LossWatch(Vocabulary);
        var random = new Random(1);
        for (int step = 0; step < 3000; step++)
        {
            // Uniform noise reaches 2.7 of the deviations that a spike needs 6 of.
            LossNotice notice = watch.Observe(2 + (5 * Math.Exp(-step / 300.0)) + (0.1 * (random.NextDouble() - 0.5)));
            Assert.That(notice, Is.EqualTo(new LossNotice(false, null, null)), $"step {step}");
        }
    }

    [Test]
    public void A_spike_is_every_step_above_the_bound_and_told_of_at_its_first()
    {
        var watch = new LossWatch(Vocabulary);

        // 1.9, 1.95, 2, 2.05, 2.1 over and over: median 2, MAD 0.05, bound 2 + 6 · 1.4826 · 0.05 = 2.44478.
        static double Usual(int i) => 1.9 + (0.05 * (i % 5));
        for (int i = 0; i < LossWatch.Window; i++)
            Assert.That(watch.Observe(Usual(i)).IsSpike, Is.False);
        Assert.That(watch.Observe(2.44).IsSpike, Is.False);
        LossNotice first = watch.Observe(2.46), second = watch.Observe(3), after = watch.Observe(2), again = watch.Observe(2.6);
        Assert.Multiple(() =>
        {
            Assert.That((first.IsSpike, second.IsSpike, after.IsSpike, again.IsSpike), Is.EqualTo((true, true, false, true)));
            Assert.That(first.Spike, Does.Contain("2.4600").And.Contain("2.0000"));
            Assert.That((second.Spike, after.Spike), Is.EqualTo(((string?)null, (string?)null)));
            Assert.That(again.Spike, Is.Not.Null);
        });
    }

    [Test]
    public void Few_losses_have_no_spike()
    {
        var watch = new LossWatch(Vocabulary);
        for (int i = 0; i < 49; i++)
            watch.Observe(1 + (1e-3 * (i % 3)));
        Assert.That(watch.Observe(9).IsSpike, Is.False);
        Assert.That(watch.Observe(9).IsSpike, Is.True, "the 51st sees 50 before it");
    }

    [Test]
    public void A_loss_that_stays_above_its_lowest_diverges_once_after_500_steps()
    {
        var watch = new LossWatch(Vocabulary);
        for (int i = 0; i < 1000; i++)
            watch.Observe(2);

        // The average rises as 2 + 2 (1 - 0.99ⁿ), above 2.5 from the 29th loss on.
        List<int> found = [.. Enumerable.Range(1, 2000).Where(_ => watch.Observe(4).Divergence is not null)];
        Assert.That(found, Is.EqualTo(new[] { 29 + 499 }));

        for (int i = 0; i < 1000; i++)
            watch.Observe(2);
        Assert.That(Enumerable.Range(1, 2000).Count(_ => watch.Observe(4).Divergence is not null), Is.EqualTo(1), "anew after it has recovered");
    }

    [Test]
    public void A_loss_above_that_of_ignorance_diverges_at_once_but_not_before_anything_was_learned()
    {
        var watch = new LossWatch(Vocabulary);
        for (int i = 0; i < 1000; i++)
            Assert.That(watch.Observe(Math.Log(Vocabulary) + 0.1).Divergence, Is.Null);
        for (int i = 0; i < 1000; i++)
            watch.Observe(2);

        // 2 + 18 (1 - 0.99ⁿ) exceeds ln 1000 = 6.9078 from the 32nd loss on.
        Assert.That(Enumerable.Range(1, 100).Where(_ => watch.Observe(20).Divergence is not null), Is.EqualTo(new[] { 32 }));
    }

    [TestCase(double.NaN)]
    [TestCase(double.PositiveInfinity)]
    public void A_loss_that_is_not_finite_diverges(double loss)
    {
        var watch = new LossWatch(Vocabulary);
        Assert.That(watch.Observe(loss).Divergence, Does.StartWith("the loss is"));
        Assert.That(watch.Observe(2), Is.EqualTo(new LossNotice(false, null, null)), "it is not taken in");
    }
}
