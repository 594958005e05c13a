namespace Trainer.Tests.Compute;

/// <summary>Repeatable inputs, and conversions between the precision under test and the reference's.</summary>
internal static class TestValues
{
    /// <summary>Half the distance from 1 to the next float: the relative error of one rounding.</summary>
    public const double UnitRoundoff = 1.0 / (1 << 24);

    /// <summary>Normally distributed numbers.</summary>
    public static float[] Normal(long count, ulong stream, double deviation = 1, double mean = 0)
    {
        var random = new CounterRandom(20261122, stream);
        var values = new float[count];
        for (int i = 0; i < values.Length; i++)
            values[i] = (float)(mean + (deviation * random.Normal((ulong)i)));
        return values;
    }

    /// <summary>Whole numbers in [0, bound), the last one always among them.</summary>
    public static int[] Tokens(int count, int bound, ulong stream)
    {
        var random = new CounterRandom(20261122, stream);
        var values = new int[count];
        for (int i = 0; i < values.Length; i++)
            values[i] = (int)random.Below((ulong)i, (ulong)bound);
        values[count / 2] = bound - 1;
        return values;
    }

    public static double[] Doubles(this float[] values) => Array.ConvertAll(values, value => (double)value);

    public static double[] Magnitudes(this float[] values) => Array.ConvertAll(values, value => Math.Abs((double)value));

    public static float[] Floats(this double[] values) => Array.ConvertAll(values, value => (float)value);

    public static double[] Scaled(this double[] values, double factor) => Array.ConvertAll(values, value => factor * value);

    /// <summary>The Euclidean norms of the rows of a matrix.</summary>
    public static double[] RowNorms(this float[] values, int columns)
    {
        var norms = new double[values.Length / columns];
        for (int i = 0; i < norms.Length * columns; i++)
            norms[i / columns] += (double)values[i] * values[i];
        return Array.ConvertAll(norms, Math.Sqrt);
    }

    /// <summary>The Euclidean norms of the columns of a matrix.</summary>
    public static double[] ColumnNorms(this float[] values, int columns)
    {
        var norms = new double[columns];
        for (int i = 0; i < values.Length; i++)
            norms[i % columns] += (double)values[i] * values[i];
        return Array.ConvertAll(norms, Math.Sqrt);
    }
}
