namespace Trainer.Reports;

/// <summary>Makes long series short enough for a page, so that what is drawn looks the same.</summary>
internal static class Thinning
{
    /// <summary>The parts a long series is divided into: more than a chart has columns of pixels.</summary>
    public const int Buckets = 2000;

    /// <summary>A series of at most this many points is left as it is: two for each bucket would not be fewer.</summary>
    public const int Limit = 2 * Buckets;

    /// <summary>
    /// The lowest and the highest point of each bucket, in their order, and the first and last point of all. Points that are not finite are left out,
    /// but for the first of a bucket, so that a gap stays one.
    /// </summary>
    public static List<Point> Extremes(IReadOnlyList<Point> points)
    {
        var kept = new List<Point>(Limit + 2);
        var chosen = new SortedSet<int>();
        foreach ((int start, int end) in Parts(points.Count))
        {
            int lowest = -1, highest = -1, gap = -1;
            for (int i = start; i < end; i++)
            {
                if (!double.IsFinite(points[i].Y))
                    gap = gap < 0 ? i : gap;
                else if (lowest < 0)
                    lowest = highest = i;
                else if (points[i].Y < points[lowest].Y)
                    lowest = i;
                else if (points[i].Y > points[highest].Y)
                    highest = i;
            }

            chosen.Clear();
            chosen.UnionWith([lowest, highest, gap]);
            if (start == 0)
                chosen.Add(0);
            if (end == points.Count)
                chosen.Add(end - 1);
            kept.AddRange(chosen.Where(i => i >= 0).Select(i => points[i]));
        }

        return kept;
    }

    /// <summary>The mean of each bucket over its finite values, at the bucket's last x: what a moving average continues from.</summary>
    public static List<Point> Means(IReadOnlyList<Point> points)
    {
        var means = new List<Point>(Buckets);
        foreach ((int start, int end) in Parts(points.Count))
        {
            double sum = 0;
            int count = 0;
            for (int i = start; i < end; i++)
            {
                if (double.IsFinite(points[i].Y))
                    (sum, count) = (sum + points[i].Y, count + 1);
            }

            means.Add(new Point(points[end - 1].X, count > 0 ? sum / count : double.NaN));
        }

        return means;
    }

    private static IEnumerable<(int Start, int End)> Parts(int count)
    {
        for (int bucket = 0; bucket < Buckets; bucket++)
            yield return ((int)((long)count * bucket / Buckets), (int)((long)count * (bucket + 1) / Buckets));
    }
}
