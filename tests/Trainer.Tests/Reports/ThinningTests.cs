using Trainer.Reports;

namespace Trainer.Tests.Reports;

public sealed class ThinningTests
{
    [Test]
    public void Extremes_ends_and_gaps_stay_and_the_order_too()
    {
        const int Count = 100_003;
        var random = new CounterRandom(1, 1);
        Point[] points = [.. Enumerable.Range(0, Count).Select(i => new Point(i, random.Normal((ulong)i)))];
        points[12_345] = new Point(12_345, 50);
        points[12_346] = new Point(12_346, -50);
        points[77_777] = new Point(77_777, double.NaN);

        List<Point> kept = Thinning.Extremes(points);
        Assert.Multiple(() =>
        {
            // A lowest and a highest for each bucket, the two ends, one gap.
            Assert.That(kept, Has.Count.LessThanOrEqualTo(Thinning.Limit + 3));
            Assert.That(kept, Is.SubsetOf(points));
            Assert.That(kept.Select(point => point.X), Is.Ordered.Ascending.And.Unique);
            Assert.That(new[] { kept[0], kept[^1] }, Is.EqualTo(new[] { points[0], points[^1] }));
            Assert.That(kept, Does.Contain(points[12_345]).And.Contain(points[12_346]).And.Contain(points[77_777]));
        });

        // In any stretch as long as a bucket or longer, what is drawn reaches as far as the series, but for the parts of buckets at its ends.
        const int Bucket = (Count / Thinning.Buckets) + 1;
        for (int start = 0; start + (5 * Bucket) < Count; start += 4999)
        {
            IEnumerable<double> inner = points[(start + Bucket)..(start + (4 * Bucket))].Select(point => point.Y).Where(double.IsFinite);
            double[] drawn = [.. kept.Where(point => point.X >= start && point.X < start + (5 * Bucket)).Select(point => point.Y).Where(double.IsFinite)];
            Assert.That((drawn.Min(), drawn.Max()), Is.EqualTo((Math.Min(drawn.Min(), inner.Min()), Math.Max(drawn.Max(), inner.Max()))));
        }
    }

    [Test]
    public void Means_are_those_of_equal_parts_without_gaps()
    {
        Point[] points = [.. Enumerable.Range(1, 3 * Thinning.Buckets).Select(i => new Point(i, i))];
        points[0] = new Point(1, double.NaN);
        List<Point> means = Thinning.Means(points);
        Assert.That(means, Has.Count.EqualTo(Thinning.Buckets));
        Assert.That(means[0], Is.EqualTo(new Point(3, 2.5)));
        Assert.That(means.Skip(1), Is.EqualTo(Enumerable.Range(1, Thinning.Buckets - 1).Select(i => new Point((3 * i) + 3, (3 * i) + 2))));
    }
}
