using Trainer.Cuda.Kernels;
using Trainer.Cuda.Optimizer;
using Trainer.Model;
using Trainer.Optimization;

namespace Trainer.KernelTests;

/// <summary>From the same sums of squares the kernels make the scalars of the CPU trainer's regularisers, to the bit.</summary>
[Category("Device")]
internal sealed class RegularizerBitsTests
{
    private const int Steps = 5;

    // torch.nn.utils.clip_grad_norm_'s.
    private const double ClipEpsilon = 1e-6;

    [TestCaseSource(typeof(RegularizerRules), nameof(RegularizerRules.All))]
    public void From_the_same_sums_come_the_scalars_of_the_cpu_trainer(RegularizerOptions rule)
    {
        var options = new OptimizerOptions
        {
            LearningRate = 0.0123, GradientClip = 20, Beta1 = 0.87, Beta2 = 0.93, Epsilon = 3e-8, Regularizer = rule,
            Schedule = new Schedule { Shape = ScheduleShape.Cosine, WarmupSteps = 2, Steps = Steps, FinalFraction = 0.1 },
        };
        var layout = new ParameterLayout(RegularizerRules.Model);
        int n = layout.Tensors.Count;
        double[] initialSums = Sums(layout, 1);
        var units = RegularizedUnits.From(options, layout, initialSums, initialSums, []);
        var table = new TensorTable(layout.Segments, units.UnitOfSegment);
        var inputs = new StepInputs(options, seed: 3);

        KernelRun.InAllOrders(run =>
        {
            Regularizer cpu = rule.Create(layout);
            cpu.Start(initialSums, []);
            var weightSums = (double[])initialSums.Clone();
            var scalarBuffer = run.Structs<StepScalars>("scalars", [units.Begin(initialSums)], changing: true);
            var (unitBuffer, spans) = (run.Structs("units", units.Units, changing: true), run.Structs("tensors", table.Spans));
            var (factorBuffer, scaleBuffer) = (run.Output("factors", BufferType.Float, 4 * n), run.Output("scales", BufferType.Float, n));
            var sumBuffer = run.Output("weight sums", BufferType.Double, n);
            Assert.That(scalarBuffer.As<StepScalars>()[0].WeightNorm, Is.EqualTo(cpu.Norm(initialSums)), "before the first step");
            for (int t = 1; t <= Steps; t++)
            {
                double[] gradientSums = Sums(layout, 10 + (ulong)t), passSums = Sums(layout, 20 + (ulong)t);
                var step = new RegularizerStep(t, options.LearningRate, options.Schedule.Multiplier(t - 1));
                var input = run.Structs<StepInput>("input", [inputs.At(t)]);
                run.Launch(OptimizerKernels.BeforeStep(table), scalarBuffer, factorBuffer, unitBuffer, units.Units.Length, input, spans, n,
                    run.Double("gradient sums", gradientSums), run.Double("loss", [1.0 / t]));

                var updates = new SegmentUpdate[n];
                for (int i = 0; i < n; i++)
                    updates[i] = new SegmentUpdate(layout.Segments[i], (float)(options.LearningRate * step.Multiplier), 0, 1, 1);
                cpu.BeforeStep(step, weightSums, updates);
                var expected = updates.Select(update =>
                    new TensorFactors { Rate = update.LearningRate, L2 = update.L2, Before = update.ShrinkBefore, After = update.ShrinkAfter });
                Assert.That(factorBuffer.As<TensorFactors>().ToArray(), Is.EqualTo(expected), $"factors of step {t}");

                run.Launch(OptimizerKernels.AfterStep(table), scalarBuffer, scaleBuffer, sumBuffer, unitBuffer, units.Units.Length, input, spans, n,
                    run.Double("pass sums", [.. passSums.SelectMany(sum => new[] { sum, double.NaN })]));
                float[] scales = [.. Enumerable.Repeat(1f, n)];
                bool scaled = cpu.AfterStep(step, passSums, scales);
                Assert.That(scaled, Is.EqualTo(units.ScalesAfterPass && scales.Any(scale => scale != 1)));
                for (int i = 0; i < n; i++)
                    weightSums[i] = passSums[i] * ((double)scales[i] * scales[i]);
                Assert.That(scaleBuffer.As<float>().ToArray(), Is.EqualTo(scales), $"scales of step {t}");
                Assert.That(sumBuffer.Values(), Is.EqualTo(weightSums), $"sums of step {t}");
                Assert.That(scalarBuffer.As<StepScalars>()[0], Is.EqualTo(Scalars(options, t, gradientSums, 1.0 / t, cpu.Norm(weightSums))));
                double[] norms = [.. cpu.Units.Select(unit => unit.Norm(weightSums))];
                Assert.That(unitBuffer.As<RegularizedUnit>().ToArray().Select(unit => unit.Norm), Is.EqualTo(norms), $"norms of step {t}");
                Assert.That(RegularizedUnits.State(unitBuffer.As<RegularizedUnit>(), t), Is.EqualTo(cpu.State), $"state of the rule after step {t}");
            }
        });
    }

    private static StepScalars Scalars(OptimizerOptions options, int t, double[] gradientSums, double loss, double weightNorm)
    {
        double gradientSquares = 0;
        foreach (double sum in gradientSums)
            gradientSquares += sum;
        double gradientNorm = Math.Sqrt(gradientSquares);
        Assert.That(gradientNorm, Is.GreaterThan(options.GradientClip), "clipping is to be seen");
        float beta1 = (float)options.Beta1, beta2 = (float)options.Beta2;
        return new StepScalars
        {
            Taken = 1, Step = (uint)t, Seed = 3, GradientScale = (float)(options.GradientClip / (gradientNorm + ClipEpsilon)),
            Beta1 = beta1, Beta2 = beta2, Epsilon = (float)options.Epsilon,
            FirstCorrection = (float)(1 / (1 - Math.Pow(beta1, t))), SecondCorrection = (float)(1 / (1 - Math.Pow(beta2, t))),
            Momentum = t == 1 ? 0 : 0.9f, Gain = 1, GradientNorm = gradientNorm, WeightNorm = weightNorm, Loss = loss,
        };
    }

    // A sum of squares for each tensor, of about as many normal numbers as it has elements.
    private static double[] Sums(ParameterLayout layout, ulong seed)
    {
        double[] values = TestValues.Normal(layout.Tensors.Count, seed).Doubles();
        return [.. layout.Tensors.Select((tensor, i) => tensor.Segment.Count * Math.Pow(1 + (0.1 * values[i]), 2))];
    }
}
