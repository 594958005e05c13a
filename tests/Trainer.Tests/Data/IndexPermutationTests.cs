using Trainer.Data;

namespace Trainer.Tests.Data;

public sealed class IndexPermutationTests
{
    [Test]
    public void Every_index_is_reached_once()
    {
        foreach (int count in Enumerable.Range(1, 300).Concat([1023, 1024, 1025, 65_535, 65_536, 65_537, 100_003]))
        {
            var permutation = new IndexPermutation(new CounterRandom(5, (ulong)count), count);
            var seen = new bool[count];
            for (int i = 0; i < count; i++)
                seen[permutation[i]] = true;
            Assert.That(seen, Is.All.True, $"count {count}");
        }
    }

    [Test]
    public void Large_counts_stay_in_range()
    {
        const long Count = (1L << 40) + 12345;
        var permutation = new IndexPermutation(new CounterRandom(1, 1), Count);
        var seen = new HashSet<long>();
        for (long i = 0; i < 10_000; i++)
        {
            long to = permutation[Count - 1 - i];
            Assert.That(to, Is.InRange(0, Count - 1));
            Assert.That(seen.Add(to), Is.True);
        }
    }

    [TestCase(3)]
    [TestCase(10)]
    [TestCase(100)]
    public void Every_index_goes_everywhere_equally_often(int count)
    {
        // Over many keys, chi-squared of where two neighbours go: count (count - 1) cells, each as likely as the others.
        const int Keys = 40_000;
        var cells = new double[count * count];
        for (ulong key = 0; key < Keys; key++)
        {
            var permutation = new IndexPermutation(new CounterRandom(9, key), count);
            cells[(permutation[0] * count) + permutation[1]]++;
        }

        int possible = count * (count - 1);
        double expected = (double)Keys / possible;
        double chiSquared = cells.Where((_, cell) => cell / count != cell % count).Sum(observed => (observed - expected) * (observed - expected) / expected);

        // The mean is the degrees of freedom, the standard deviation the root of twice that; six of them.
        Assert.That(chiSquared, Is.EqualTo(possible - 1).Within(6 * Math.Sqrt(2.0 * possible)));
    }
}
