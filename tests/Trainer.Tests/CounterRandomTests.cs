namespace Trainer.Tests;

public sealed class CounterRandomTests
{
    [Test]
    public void Normal_numbers_have_mean_zero_and_variance_one()
    {
        var random = new CounterRandom(seed: 7, stream: 1);
        const int count = 200_000;
        double sum = 0, squares = 0;
        for (ulong i = 0; i < count; i++)
        {
            double x = random.Normal(i);
            sum += x;
            squares += x * x;
        }

        // Standard errors: 1/sqrt(n) for the mean, sqrt(2/n) for the variance; five of each.
        Assert.That(sum / count, Is.EqualTo(0).Within(5 / Math.Sqrt(count)));
        Assert.That(squares / count, Is.EqualTo(1).Within(5 * Math.Sqrt(2.0 / count)));
    }

    [Test]
    public void Seeds_and_streams_give_different_numbers()
    {
        Assert.That(new CounterRandom(1, 1).Bits(0), Is.Not.EqualTo(new CounterRandom(2, 1).Bits(0)));
        Assert.That(new CounterRandom(1, 1).Bits(0), Is.Not.EqualTo(new CounterRandom(1, 2).Bits(0)));
    }

    [Test]
    public void Below_stays_below_and_reaches_every_value()
    {
        var random = new CounterRandom(3, 3);
        var seen = new HashSet<ulong>();
        for (ulong i = 0; i < 1000; i++)
            seen.Add(random.Below(i, 7));
        Assert.That(seen, Is.EquivalentTo(new ulong[] { 0, 1, 2, 3, 4, 5, 6 }));
    }
}
