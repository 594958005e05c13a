namespace Trainer.Experiments;

/// <summary>Inputs and targets of a <see cref="TwoLayerReluToy"/>.</summary>
/// <param name="Dimension">d.</param>
/// <param name="Inputs">(N, d).</param>
/// <param name="Targets">(N).</param>
internal sealed record ReluSamples(int Dimension, double[] Inputs, double[] Targets)
{
    private const ulong InputStream = 0x72656C78;
    private const ulong NoiseStream = 0x72656C6E;
    private const ulong TeacherStream = 0x72656C74;
    private const int TeacherInputs = 32;
    private const int TeacherWidth = 4;

    /// <summary>N.</summary>
    public int Count => Targets.Length;

    /// <summary>The inputs of sample i, (d).</summary>
    public ReadOnlySpan<double> Input(int i) => Inputs.AsSpan(i * Dimension, Dimension);

    /// <summary>The training samples with noise, and the test samples without.</summary>
    public static (ReluSamples Train, ReluSamples Test) Draw(TwoLayerReluOptions options)
    {
        int dimension = options.Task == ReluTask.Regression ? 1 : TeacherInputs;
        var inputs = new CounterRandom(options.Seed, InputStream);
        var noise = new CounterRandom(options.Seed, NoiseStream);
        var target = Target(options);
        return (Samples(0, options.TrainSamples, options.LabelNoise), Samples(options.TrainSamples, options.TestSamples, 0));

        ReluSamples Samples(int first, int count, double deviation)
        {
            var x = new double[count * dimension];
            var y = new double[count];
            for (int i = 0; i < x.Length; i++)
            {
                ulong index = (ulong)((first * dimension) + i);
                x[i] = options.Task == ReluTask.Regression ? (2 * inputs.Uniform(index)) - 1 : inputs.Normal(index);
            }

            for (int i = 0; i < count; i++)
                y[i] = target(x.AsSpan(i * dimension, dimension)) + (deviation > 0 ? deviation * noise.Normal((ulong)i) : 0);
            return new ReluSamples(dimension, x, y);
        }
    }

    private delegate double Function(ReadOnlySpan<double> x);

    private static Function Target(TwoLayerReluOptions options)
    {
        if (options.Task == ReluTask.Regression)
            return x => Math.Sin(3 * x[0]);
        var teacher = new TwoLayerRelu(TeacherInputs, TeacherWidth);
        double[] parameters = teacher.Initialize(new CounterRandom(options.Seed, TeacherStream));
        return x => teacher.Output(parameters, x);
    }
}
