using Trainer.Cuda.Kernels;

namespace Trainer.KernelTests;

/// <summary>Causal attention (cuda/include/attention.cuh) against <see cref="AttentionReference"/>.</summary>
[Category("Device")]
internal sealed class AttentionTests
{
    private static readonly AttentionVersion[] TensorCores = [AttentionVersion.Mma, AttentionVersion.Wgmma];

    private static readonly AttentionVersion[] Generic = [AttentionVersion.Generic, AttentionVersion.GenericFloat];

    private static readonly AttentionVersion[] Versions = [.. TensorCores, .. Generic];

    // Below, at and above the tiles of 16, 32, 64 and 128 rows.
    private static readonly object[][] Shapes =
    [
        .. Pairs(TensorCores, new(1, 1, 1, 64), new(3, 7, 2, 64), new(1, 63, 1, 64), new(2, 64, 1, 64), new(1, 65, 3, 64), new(1, 127, 1, 64),
            new(1, 128, 1, 64), new(2, 129, 2, 64), new(1, 200, 1, 64), new(2, 1, 3, 128), new(1, 7, 1, 128), new(2, 65, 1, 128), new(1, 128, 2, 128),
            new(1, 200, 1, 128)),
        .. Pairs(Generic, new(2, 1, 3, 32), new(3, 7, 2, 8), new(1, 31, 1, 24), new(2, 32, 1, 32), new(1, 33, 3, 32), new(1, 64, 1, 32), new(2, 129, 2, 32),
            new(1, 1, 1, 64), new(1, 65, 2, 40), new(1, 127, 1, 64), new(1, 200, 1, 64), new(1, 7, 1, 128), new(2, 65, 1, 96), new(1, 128, 1, 128),
            new(1, 129, 1, 104)),
    ];

    private static readonly object[][] SpecialShapes =
    [
        .. Pairs(TensorCores, new(1, 100, 2, 64), new(1, 80, 1, 128)), .. Pairs(Generic, new(1, 70, 2, 32), new(1, 80, 1, 56), new(1, 50, 1, 128)),
    ];

    private static readonly object[][] LongSequences =
    [
        .. Pairs(TensorCores, new(1, 200, 2, 64), new(1, 200, 2, 128)), .. Pairs(Generic, new(1, 150, 2, 32), new(1, 150, 2, 64), new(1, 100, 2, 128)),
    ];

    [TestCaseSource(nameof(Shapes))]
    public void Forward(AttentionVersion version, AttentionShape shape) =>
        ExpectForward(version, shape, Qkv(shape), Gradient(shape));

    [TestCaseSource(nameof(Shapes))]
    public void Backward(AttentionVersion version, AttentionShape shape) =>
        ExpectBackward(version, shape, Qkv(shape), Gradient(shape));

    [TestCaseSource(nameof(SpecialShapes))]
    public void Zeros(AttentionVersion version, AttentionShape shape) =>
        ExpectBoth(version, shape, new float[3 * shape.OutputCount], new float[shape.OutputCount]);

    /// <summary>All keys are the same, so every query weighs what it sees equally, and dQ, a difference of equal numbers, is 0.</summary>
    [TestCaseSource(nameof(SpecialShapes))]
    public void Equal_scores(AttentionVersion version, AttentionShape shape)
    {
        float[] qkv = Qkv(shape);
        for (int i = 0; i < qkv.Length; i++)
        {
            if (Part(shape, i) == 1)
                qkv[i] = 0.25f * ((i % shape.HeadSize % 5) - 2);
        }

        ExpectBoth(version, shape, qkv, Gradient(shape));
    }

    /// <summary>Scores with a deviation of 3600, beyond ±10000: one key takes all the weight, and every exponent but its own underflows.</summary>
    [TestCaseSource(nameof(SpecialShapes))]
    public void Large_scores(AttentionVersion version, AttentionShape shape)
    {
        float[] qkv = Qkv(shape);
        for (int i = 0; i < qkv.Length; i++)
        {
            if (Part(shape, i) < 2)
                qkv[i] = Bf16.Value(Bf16.Round(60 * qkv[i]));
        }

        Assert.That(version.Reference(shape, qkv, Gradient(shape)).LogSumExp.Max(), Is.GreaterThan(10000));
        ExpectBoth(version, shape, qkv, Gradient(shape));
    }

    /// <summary>
    /// Scores grow from key to key, by a factor of 1.05 in one head and of 2.7 in the other, so that over tiles of keys the running maximum has to follow: in
    /// each tile, or, in a version that lets probabilities exceed 1, now and then.
    /// </summary>
    [TestCaseSource(nameof(LongSequences))]
    public void Growing_scores(AttentionVersion version, AttentionShape shape)
    {
        int headSize = shape.HeadSize;
        float[] qkv = Qkv(shape);
        for (int i = 0; i < qkv.Length; i++)
        {
            bool first = i % headSize == 0, slow = i / headSize % 2 == 0;
            int t = i / (3 * shape.Heads * headSize);
            qkv[i] = Bf16.Value(Bf16.Round((Part(shape, i), first) switch
            {
                (0, true) => MathF.Sqrt(headSize),
                (1, true) => t * (slow ? 0.05f : 1),
                (2, _) => qkv[i],
                _ => 0.3f * qkv[i],
            }));
        }

        ExpectBoth(version, shape, qkv, Gradient(shape));
    }

    private static void ExpectBoth(AttentionVersion version, AttentionShape shape, float[] qkv, float[] dOutput)
    {
        ExpectForward(version, shape, qkv, dOutput);
        ExpectBackward(version, shape, qkv, dOutput);
    }

    /// <summary>So many tiles that every slot of the rings of the sm_90a kernels is filled three times, and both parities of its barriers are waited
    /// for twice.</summary>
    [TestCase(64)]
    [TestCase(128)]
    public void Rings_go_round(int headSize)
    {
        var shape = new AttentionShape(1, 580, 1, headSize);
        ExpectBoth(AttentionVersion.Wgmma, shape, Qkv(shape), Gradient(shape));
    }

    /// <summary>The rows behind the last one of a sequence are the next sequence's. Whatever other sequences hold must not matter: 0 · NaN is not 0.</summary>
    [TestCaseSource(nameof(Versions))]
    public void Sequences_do_not_see_each_other(AttentionVersion version)
    {
        foreach (int headSize in Generic.Contains(version) ? new[] { 32, 80 } : [64, 128])
        {
            AttentionShape one = new(1, 40, 1, headSize), shape = one with { B = 3 };
            float[] qkv = Qkv(one), dOutput = Gradient(one);
            var reference = version.Reference(one, qkv, dOutput);
            KernelRun.InAllOrders(run =>
            {
                double[] output = Forward(run, version, shape, Between(qkv)).Output.Values();
                new Expectation("out", reference.Output, reference.OutputTolerances).Check(output.AsSpan(dOutput.Length, dOutput.Length));
                double[] dQkv = Backward(run, version, shape, Between(qkv), Between(dOutput), Between(reference.RoundedOutput),
                    Between(reference.LogSumExp.Floats())).Values();
                new Expectation("dqkv", reference.DQkv, reference.DQkvTolerances).Check(dQkv.AsSpan(qkv.Length, qkv.Length));
            });
        }

        static float[] Between(float[] sequence)
        {
            float[] nans = [.. Enumerable.Repeat(float.NaN, sequence.Length)];
            return [.. nans, .. sequence, .. nans];
        }
    }

    /// <summary>
    /// Tensor cores do what the launch says and no more, shared memory has no bank conflicts, every byte of the inputs is needed and every output is
    /// written once
    /// in whole sectors. The other side's rows are read again by each block, from L2: less often than there are blocks in a head.
    /// </summary>
    [TestCaseSource(nameof(Versions))]
    public void Traffic(AttentionVersion version)
    {
        foreach (AttentionShape shape in new AttentionShape[] { new(1, 200, 2, 64), new(2, 264, 1, 128) })
        {
            KernelRun.Once(run =>
            {
                var output = run.Output("out", version.Type.Buffer(), shape.OutputCount);
                var lse = run.Output("lse", BufferType.Float, shape.AllHeads * shape.T);
                var (dQkv, stats) = (run.Output("dqkv", version.Type.Buffer(), 3 * shape.OutputCount), run.Output("stats", BufferType.Float, shape.StatsCount));
                var (qkv, dOutput) = (run.Values(version.Type, "qkv", Qkv(shape)), run.Values(version.Type, "dout", Gradient(shape)));
                double tiles = Math.Ceiling((double)shape.T / version.BlockRows);
                Check(version.Forward(shape, output, lse, qkv), tiles);
                Check(version.BackwardStats(shape, stats, lse, output, dOutput), 1.1);
                Check(version.BackwardKv(shape, dQkv, qkv, dOutput, stats), tiles);
                Check(version.BackwardQ(shape, dQkv, qkv, dOutput, stats), tiles);

                void Check(AttentionCall call, double sectors) => TrafficCheck.Check(run, call.Launch, 0, sectors, call.Arguments);
            });
        }
    }

    /// <summary>Twice the queries with half the scale are the same scores, to the bit, and half the gradient of the queries.</summary>
    [TestCaseSource(nameof(SpecialShapes))]
    public void The_scale_is_what_is_given(AttentionVersion version, AttentionShape shape)
    {
        float[] qkv = Qkv(shape), doubled = [.. qkv.Select((value, i) => Part(shape, i) == 0 ? 2 * value : value)], gradient = Gradient(shape);
        float scale = 0.5f / MathF.Sqrt(shape.HeadSize);
        KernelRun.InAllOrders(run =>
        {
            var (output, lse) = Forward(run, version, shape, qkv);
            var (sameOutput, sameLse) = Forward(run, version, shape, doubled, scale);
            Assert.That(sameOutput.Values(), Is.EqualTo(output.Values()));
            Assert.That(sameLse.Values(), Is.EqualTo(lse.Values()));
            float[] o = output.Values().Floats(), l = lse.Values().Floats();
            double[] dQkv = Backward(run, version, shape, qkv, gradient, o, l).Values();
            double[] ofDoubled = Backward(run, version, shape, doubled, gradient, o, l, scale).Values();
            Assert.That(ofDoubled, Is.EqualTo(dQkv.Select((value, i) => Part(shape, i) == 0 ? value / 2 : value)));
        });
    }

    [Test]
    public void Shapes_that_no_kernel_takes_are_refused()
    {
        Assert.That(() => AttentionKernels.Forward(new(1, 64, 1, 80)), Throws.ArgumentException.With.Message.Contains("80"));
        Assert.That(() => AttentionGenericKernels.Forward(new(1, 64, 1, 136), KernelType.Bf16), Throws.ArgumentException.With.Message.Contains("136"));
        Assert.That(() => AttentionGenericKernels.BackwardStats(new(1, 64, 1, 12), KernelType.Float), Throws.ArgumentException.With.Message.Contains("12"));
        AttentionShape large = new(1, 1 << 20, 24, 32);
        Assert.That(() => AttentionGenericKernels.BackwardQ(large, KernelType.Float), Throws.ArgumentException.With.Message.Contains("out of range"));
        Assert.That(() => AttentionKernels.BackwardKv(new(1, 1 << 20, 12, 64)), Throws.ArgumentException.With.Message.Contains("out of range"));
        Assert.That(() => AttentionKernels.BackwardStats(new(0, 64, 1, 64)), Throws.ArgumentException.With.Message.Contains("out of range"));
    }

    /// <summary>GPT-2 124M with B = 64: what a published rate counts is 94 % of what the forward kernel does, and 5 of the backward kernels' 7
    /// products.</summary>
    [Test]
    public void The_causal_half_is_less_than_what_is_computed()
    {
        var shape = new AttentionShape(64, 1024, 12, 64);
        Assert.That(shape.CausalFlops(2), Is.EqualTo(4L * 64 * 768 * 1024 * 1025 / 2));
        Assert.That(shape.CausalFlops(2) / (double)AttentionKernels.Forward(shape).Flops, Is.EqualTo(1025.0 / (1024 + 64)).Within(1e-12));
        long backward = AttentionKernels.BackwardKv(shape).Flops + AttentionKernels.BackwardQ(shape).Flops;
        Assert.That(shape.CausalFlops(5) / (double)backward, Is.EqualTo(5.0 / 7 * 1025 / (1024 + 32)).Within(1e-12));
    }

    private static (DeviceBuffer Output, DeviceBuffer Lse) Forward(
        KernelRun run, AttentionVersion version, AttentionShape shape, float[] qkv, float? scale = null)
    {
        var (output, lse) = (run.Output("out", version.Type.Buffer(), shape.OutputCount), run.Output("lse", BufferType.Float, shape.AllHeads * shape.T));
        Launch(run, version.Forward(shape, output, lse, run.Values(version.Type, "qkv", qkv)), scale);
        return (output, lse);
    }

    private static DeviceBuffer Backward(
        KernelRun run, AttentionVersion version, AttentionShape shape, float[] qkv, float[] dOutput, float[] output, float[] lse, float? scale = null)
    {
        var (dQkv, stats) = (run.Output("dqkv", version.Type.Buffer(), 3 * shape.OutputCount), run.Output("stats", BufferType.Float, shape.StatsCount));
        var (input, gradient) = (run.Values(version.Type, "qkv", qkv), run.Values(version.Type, "dout", dOutput));
        Launch(run, version.BackwardStats(shape, stats, run.Float("lse", lse), run.Values(version.Type, "out", output), gradient));
        Launch(run, version.BackwardKv(shape, dQkv, input, gradient, stats), scale);
        Launch(run, version.BackwardQ(shape, dQkv, input, gradient, stats), scale);
        return dQkv;
    }

    // The scale is the last argument of the kernels that have one; 1 / sqrt(HS) unless given.
    private static void Launch(KernelRun run, AttentionCall call, float? scale = null) =>
        run.Launch(call.Launch, scale is { } given ? [.. call.Arguments[..^1], given] : call.Arguments);

    private static void ExpectForward(AttentionVersion version, AttentionShape shape, float[] qkv, float[] dOutput)
    {
        var reference = version.Reference(shape, qkv, dOutput);
        KernelRun.InAllOrders(run =>
        {
            var (output, lse) = Forward(run, version, shape, qkv);
            run.Expect(output, reference.Output, reference.OutputTolerances);
            run.Expect(lse, reference.LogSumExp, reference.LogSumExpTolerances);
        });
    }

    private static void ExpectBackward(AttentionVersion version, AttentionShape shape, float[] qkv, float[] dOutput)
    {
        var reference = version.Reference(shape, qkv, dOutput);
        KernelRun.InAllOrders(run =>
        {
            var dQkv = Backward(run, version, shape, qkv, dOutput, reference.RoundedOutput, reference.LogSumExp.Floats());
            run.Expect(dQkv, reference.DQkv, reference.DQkvTolerances);
        });
    }

    private static float[] Qkv(AttentionShape shape) => TestValues.Normal(3 * shape.OutputCount, 1).Rounded();

    private static float[] Gradient(AttentionShape shape) => TestValues.Normal(shape.OutputCount, 2).Rounded();

    private static IEnumerable<object[]> Pairs(AttentionVersion[] versions, params AttentionShape[] shapes) =>
        versions.SelectMany(version => shapes.Select(shape => new object[] { version, shape }));

    // 0 query, 1 key, 2 value.
    private static int Part(AttentionShape shape, int i) => i / (shape.Heads * shape.HeadSize) % 3;
}
