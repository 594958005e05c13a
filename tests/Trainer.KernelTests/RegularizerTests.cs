using Trainer.Compute;
using Trainer.Cpu;
using Trainer.Cuda.Kernels;
using Trainer.Cuda.Optimizer;
using Trainer.Model;
using Trainer.Optimization;

namespace Trainer.KernelTests;

/// <summary>The scalars of a step: against the CPU trainer's own optimizer over several steps, and against values computed by hand.</summary>
[Category("Device")]
internal sealed class RegularizerTests
{
    private const double U = TestValues.UnitRoundoff;
    private const int Steps = 6;

    private static readonly StepInput PlainInput = new()
    {
        PeakRate = 0.1, Multiplier = 1, DecayMultiplier = 1, TargetMultiplier = 1, RateMultiplier = 1, Beta1 = 0.9, Beta2 = 0.95, Epsilon = 1e-8,
    };

    [TestCaseSource(typeof(RegularizerRules), nameof(RegularizerRules.All))]
    public void A_step_is_the_step_of_the_cpu_trainer(RegularizerOptions rule)
    {
        var trial = new Trial(rule);
        var (initialSums, expected) = trial.OnCpu();
        var units = RegularizedUnits.From(trial.Options, trial.Layout, initialSums, initialSums, []);
        KernelRun.InAllOrders(run =>
        {
            var pipeline = new StepPipeline(run, trial.Layout.Segments, units.UnitOfSegment, trial.Weights, units.Units);
            for (int t = 1; t <= Steps; t++)
            {
                pipeline.Step(trial.Inputs.At(t), trial.Gradients[t - 1], loss: t);
                var (step, weights) = expected[t - 1];
                var scalars = pipeline.Scalars;
                Assert.That((scalars.Taken, scalars.Step, scalars.Loss), Is.EqualTo((1, (uint)t, (double)t)));
                Assert.That(scalars.GradientNorm, Is.EqualTo(step.GradientNorm).Within(1e-6 * step.GradientNorm), $"gradient norm of step {t}");
                Assert.That(scalars.WeightNorm, Is.EqualTo(step.WeightNorm).Within(1e-6 * step.WeightNorm), $"weight norm of step {t}");

                // Each step rounds a weight a few times; Adam's update is at most a few learning rates.
                double[] exact = weights.Doubles();
                run.Expect(pipeline.Master, exact, [.. exact.Select(w => t * ((16 * U * Math.Abs(w)) + (64 * U * trial.Options.LearningRate)))]);
                double[] rounded = Array.ConvertAll(pipeline.Master.Values(), value => (double)Bf16.Value(Bf16.Round((float)value)));
                run.Expect(pipeline.Copy, rounded, new double[rounded.Length]);

                // A factor after the pass multiplies 32 squares at a time that were added in fp32 before, and a weight once more.
                double[] sums = [.. trial.Layout.Tensors.Select(tensor => ReferenceOperations.SumOfSquares(pipeline.Master.Values(), tensor.Segment))];
                run.Expect(pipeline.WeightSums, sums, sums.Scaled(((4 * Math.Sqrt(32)) + 4) * U));
            }
        });
    }

    [TestCaseSource(typeof(RegularizerRules), nameof(RegularizerRules.All))]
    public void A_run_that_is_resumed_goes_on_with_the_same_bits(RegularizerOptions rule) => KernelRun.Once(run =>
    {
        var trial = new Trial(rule);
        double[] initialSums = [.. trial.Layout.Tensors.Select(tensor => ReferenceOperations.SumOfSquares(trial.Weights.Doubles(), tensor.Segment))];
        var units = RegularizedUnits.From(trial.Options, trial.Layout, initialSums, initialSums, []);
        var whole = new StepPipeline(run, trial.Layout.Segments, units.UnitOfSegment, trial.Weights, units.Units);
        StepPipeline? resumed = null;
        for (int t = 1; t <= Steps; t++)
        {
            whole.Step(trial.Inputs.At(t), trial.Gradients[t - 1]);
            resumed?.Step(trial.Inputs.At(t), trial.Gradients[t - 1]);
            if (t == Steps / 2)
            {
                units = RegularizedUnits.From(trial.Options, trial.Layout, initialSums, whole.WeightSums.Values(), RegularizedUnits.State(whole.Units, t));
                resumed = new StepPipeline(run, trial.Layout.Segments, units.UnitOfSegment, Floats(whole.Master), units.Units, Floats(whole.First),
                    Floats(whole.Second));
            }
        }

        Assert.That(resumed!.State().AsSpan().SequenceEqual(whole.State()));
        Assert.That(resumed.Scalars, Is.EqualTo(whole.Scalars));

        static float[] Floats(DeviceBuffer buffer) => Array.ConvertAll(buffer.Values(), value => (float)value);
    });

    [Test]
    public void Weight_norm_control_moves_the_norm_towards_its_target()
    {
        // θ₀ = (3, 4), norm 5; the gradient step gives (3, 4.5), norm 5.40833; with r = 1 and k = 0.5 the factor is 0.962250 and the norm 5.204163.
        var unit = new RegularizedUnit { Rule = UnitRule.NormControl, After = 1, Strength = 1, Rate = 0.5, InitialNorm = 5, Norm = 5 };
        KernelRun.Once(run =>
        {
            var pipeline = Pipeline(run, unit, [3, 4]);
            pipeline.Step(PlainInput with { Step = 1, PeakRate = 0.5 }, Padded([0, -1]));
            Assert.That(pipeline.Units[0].Factor, Is.EqualTo(0.962250).Within(1e-6));
            Assert.That(pipeline.Units[0].Norm, Is.EqualTo(5.204163).Within(1e-6));
            Assert.That(pipeline.Scales.Values(), Is.EqualTo(new double[] { pipeline.Units[0].Factor }));
            Assert.That(pipeline.Master.Values()[..2], Is.EqualTo(new[] { 3 * 0.962250, 4.5 * 0.962250 }).Within(3e-6));
        });
    }

    [Test]
    public void Decays_and_l2_of_one_step()
    {
        // θ = 1, g = 0.1 at t = 1: u = 1 whatever g is. 13.a with λ = 0.1, α = 1e-3 and 13.b with λ = 1e-4 give 0.9989; L2 is invisible: 0.999.
        var input = PlainInput with { Step = 1, PeakRate = 1e-3 };
        var unit = new RegularizedUnit { Norm = 1, InitialNorm = 1 };
        Assert.That(StepOnce(unit with { Rule = UnitRule.Decay, Strength = 0.1 }, [1], [0.1f], input).Norm, Is.EqualTo(0.9989).Within(2e-7));
        Assert.That(StepOnce(unit with { Rule = UnitRule.DecayDecoupled, Strength = 1e-4 }, [1], [0.1f], input).Norm, Is.EqualTo(0.9989).Within(2e-7));
        Assert.That(StepOnce(unit with { Rule = UnitRule.L2, Strength = 0.1 }, [1], [0.1f], input).Norm, Is.EqualTo(0.999).Within(2e-7));
        Assert.That(StepOnce(unit with { Rule = UnitRule.None }, [1], [0.1f], input).Norm, Is.EqualTo(0.999).Within(2e-7));

        // Without a gradient L2 is all there is: u = sign(λ w).
        Assert.That(StepOnce(unit with { Rule = UnitRule.L2, Strength = 0.1 }, [1], [0f], input).Norm, Is.EqualTo(0.999).Within(2e-7));
        Assert.That(StepOnce(unit with { Rule = UnitRule.None }, [1], [0f], input).Norm, Is.EqualTo(1));
    }

    [Test]
    public void A_parameter_bound_accumulates_its_multiplier()
    {
        // Four elements with a sum of squares of 8, bound 4, λ = 0, μ = 0.3: λ = 0.3 (8 - 4) / 4 = 0.3, and the factor 1 - 2 λ = 0.4.
        var unit = new RegularizedUnit { Rule = UnitRule.ParameterBound, After = 1, Rate = 0.3, Count = 4, Bound = 4 };
        float root = MathF.Sqrt(2);
        var after = StepOnce(unit, [root, root, root, root], new float[4], PlainInput with { Step = 3 });
        Assert.That(after.Multiplier, Is.EqualTo(0.3).Within(1e-6));
        Assert.That(after.Factor, Is.EqualTo(0.4).Within(1e-6));

        // With μ = 1 it would be 1, and the factor would turn the sign: it stays at a half.
        after = StepOnce(unit with { Rate = 1 }, [root, root, root, root], new float[4], PlainInput with { Step = 3 });
        Assert.That((after.Multiplier, after.Factor), Is.EqualTo((0.5, 0f)));

        // Below the bound the multiplier falls, not below 0; with the paper's order the factor joins the pass itself.
        after = StepOnce(unit with { Rate = 1, Bound = 9, Multiplier = 0.1 }, [root, root, root, root], new float[4], PlainInput with { Step = 3 });
        Assert.That((after.Multiplier, after.Factor), Is.EqualTo((0.0, 1f)));
        after = StepOnce(unit with { After = 0, Norm = Math.Sqrt(8), Rate = 0.1 }, [root, root, root, root], new float[4], PlainInput with { Step = 3 });
        Assert.That(after.Multiplier, Is.EqualTo(0.1).Within(1e-12));
        Assert.That(after.Norm, Is.EqualTo(0.8 * Math.Sqrt(8)).Within(1e-6));
    }

    [TestCase(4, 0, 1)]      // not yet
    [TestCase(5, 8, 1)]      // the end of this step gives the bound
    [TestCase(6, 0, 0.6)]    // 1 - 2 · 0.1 (8 - 0) / 4 from now on
    public void A_warm_started_bound_is_the_norm_at_its_step(int step, double bound, double factor)
    {
        var unit = new RegularizedUnit { Rule = UnitRule.ParameterBound, After = 1, Rate = 0.1, Count = 4, BoundStep = 5 };
        float root = MathF.Sqrt(2);
        var after = StepOnce(unit, [root, root, root, root], new float[4], PlainInput with { Step = step });
        Assert.That(after.Bound, Is.EqualTo(bound).Within(1e-6));
        Assert.That(after.Factor, Is.EqualTo(factor).Within(1e-5));
    }

    [TestCase(UnitRule.MaxNorm, 1.0, 1.0)]     // norm 5 of initially 5: allowed 5
    [TestCase(UnitRule.MaxNorm, 0.5, 0.5)]
    [TestCase(UnitRule.MaxNorm, 2.0, 1.0)]
    [TestCase(UnitRule.Sphere, 2.0, 2.0)]
    [TestCase(UnitRule.Sphere, 0.5, 0.5)]
    public void Projections_scale_to_the_initial_norm(UnitRule rule, double strength, double factor)
    {
        var unit = new RegularizedUnit { Rule = rule, Strength = strength, InitialNorm = 5, Norm = 5 };
        foreach (int order in new[] { 0, 1 })
        {
            var after = StepOnce(unit with { After = order }, [3, 4], [0, 0], PlainInput with { Step = 2 });
            Assert.That(after.Factor, Is.EqualTo(factor).Within(1e-6));
            Assert.That(after.Norm, Is.EqualTo(5 * factor).Within(5e-6));
        }
    }

    [TestCase(UnitRule.NormControl)]
    [TestCase(UnitRule.Sphere)]
    [TestCase(UnitRule.MaxNorm)]
    public void Weights_without_a_norm_are_left_alone(UnitRule rule)
    {
        var unit = new RegularizedUnit { Rule = rule, After = 1, Strength = 2, Rate = 0.5 };
        Assert.That(StepOnce(unit, [0, 0], [0, 0], PlainInput with { Step = 2 }).Factor, Is.EqualTo(1), "zero now");
        Assert.That(StepOnce(unit, [3, 4], [0, 0], PlainInput with { Step = 2 }).Factor, Is.EqualTo(1), "zero initially");
    }

    [TestCase(0.5, 0.5 / 5.000001)]
    [TestCase(5.1, 1)]
    [TestCase(0, 1)]
    public void Gradients_are_clipped_by_their_norm(double clip, double scale) => KernelRun.Once(run =>
    {
        var pipeline = Pipeline(run, default, [1, 1]);
        pipeline.Step(PlainInput with { Step = 1, Clip = clip }, Padded([3, 4]));
        Assert.That(pipeline.Scalars.GradientNorm, Is.EqualTo(5));
        Assert.That(pipeline.Scalars.GradientScale, Is.EqualTo((float)scale));
    });

    [TestCase(float.NaN, 2.0, 1)]
    [TestCase(float.PositiveInfinity, 2.0, 2)]
    [TestCase(1, double.NaN, 1)]
    [TestCase(1, double.PositiveInfinity, 2)]
    public void When_a_step_is_not_taken_neither_are_those_after_it(float gradient, double loss, int refused) => KernelRun.InAllOrders(run =>
    {
        // Two tensors, of which one is scaled after each step.
        var unit = new RegularizedUnit { Rule = UnitRule.NormControl, After = 1, Strength = 2, Rate = 0.5, InitialNorm = 3, Norm = 3 };
        var pipeline = new StepPipeline(run, [new(0, 8), new(8, 8)], [0, -1], [.. Padded([1, 2, 3]), .. Padded([4])], [unit]);
        float[] good = [.. Padded([0.5f, 1, 1]), .. Padded([2])], bad = [.. Padded([0.5f, gradient, 1]), .. Padded([2])];
        for (int t = 1; t < refused; t++)
        {
            pipeline.Step(PlainInput with { Step = t }, good, loss: 1);
            Assert.That(pipeline.Scales.Values(), Has.ItemAt(0).Not.EqualTo(1).And.ItemAt(1).EqualTo(1));
        }

        byte[] state = pipeline.State();
        var before = pipeline.Scalars;
        Assert.That(before.Taken, Is.EqualTo(1));
        pipeline.Step(PlainInput with { Step = refused }, bad, loss);
        var norm = Math.Sqrt((0.5 * 0.5) + ((double)gradient * gradient) + 1 + 4);
        var expected = before with { Taken = 0, Step = (uint)refused, GradientNorm = norm, Loss = loss };
        ExpectRefusal();
        pipeline.Step(PlainInput with { Step = refused + 1, Seed = 5 }, good, loss: 3);
        ExpectRefusal();
        pipeline.Step(PlainInput with { Step = refused + 2 }, bad, loss: 3);
        ExpectRefusal();

        void ExpectRefusal()
        {
            Assert.That(pipeline.Scalars, Is.EqualTo(expected));
            Assert.That(pipeline.Scales.Values(), Is.EqualTo(new[] { 1.0, 1.0 }));
            Assert.That(pipeline.State().AsSpan().SequenceEqual(state), "weights, moments, units or sums have changed");
        }
    });

    [TestCase(1, 0f, 1f)]       // torch's first step fills the buffer with the gradient
    [TestCase(2, 0.8f, 0.75f)]
    public void The_scalars_of_sgd(int step, float momentum, float gain) => KernelRun.Once(run =>
    {
        var pipeline = Pipeline(run, new RegularizedUnit(), [1, 1]);
        pipeline.Step(PlainInput with { Step = step, Seed = 77, Momentum = 0.8, Dampening = 0.25, RateInMomentum = 1, Multiplier = 0.5 }, Padded([3, 4]));
        var scalars = pipeline.Scalars;
        Assert.That((scalars.Momentum, scalars.Gain, scalars.RateInMomentum), Is.EqualTo((momentum, gain, 1)));
        Assert.That((scalars.Step, scalars.Seed), Is.EqualTo(((uint)step, 77u)));

        // Adam's rate is outside its moments whatever is asked of SGD: two weights of 1 move by the rate.
        Assert.That(pipeline.Factors[0].Rate, Is.EqualTo(0.05f));
        if (step == 1)
            Assert.That(pipeline.Master.Values()[0], Is.EqualTo(0.95).Within(1e-5));
    });

    [Test]
    public void Schedules_reach_the_factors() => KernelRun.Once(run =>
    {
        var input = PlainInput with { Step = 3, Multiplier = 0.5, DecayMultiplier = 0.25 };
        var unit = new RegularizedUnit { Strength = 0.4 };
        Assert.That(FactorsOf(UnitRule.L2), Is.EqualTo(new TensorFactors { Rate = 0.05f, L2 = (float)(0.4 * 0.25), Before = 1, After = 1 }));
        Assert.That(FactorsOf(UnitRule.Decay).Before, Is.EqualTo((float)(1 - (0.1 * 0.5 * 0.25 * 0.4))));
        Assert.That(FactorsOf(UnitRule.DecayDecoupled).Before, Is.EqualTo((float)(1 - (0.5 * 0.25 * 0.4))));

        TensorFactors FactorsOf(UnitRule rule)
        {
            var pipeline = Pipeline(run, unit with { Rule = rule }, [1, 2]);
            pipeline.Step(input, Padded([1, 1]));
            return pipeline.Factors[0];
        }
    });

    [Test]
    public void More_tensors_and_units_than_a_block_has_threads()
    {
        // Each tensor a unit of its own that is projected to a norm of its own; no learning rate.
        const int tensors = 600;
        float[] weights = TestValues.Normal(8 * tensors, 21), gradients = [.. Enumerable.Repeat(1f, weights.Length)];
        double[] norms = [.. weights.Chunk(8).Select(tensor => Math.Sqrt(tensor.Sum(w => (double)w * w)))];
        var units = norms.Select((norm, i) =>
            new RegularizedUnit { Rule = UnitRule.Sphere, After = 1, Strength = 1 + (i / 100.0), InitialNorm = norm, Norm = norm });
        double[] expected = [.. weights.Select((w, i) => w * (1 + (i / 8 / 100.0)))];
        KernelRun.InAllOrders(run =>
        {
            var segments = Enumerable.Range(0, tensors).Select(i => new Segment(8 * i, 8));
            var pipeline = new StepPipeline(run, [.. segments], [.. Enumerable.Range(0, tensors)], weights, [.. units]);
            pipeline.Step(PlainInput with { Step = 1, Multiplier = 0 }, gradients);
            Assert.That(pipeline.Scalars.GradientNorm, Is.EqualTo(Math.Sqrt(8 * tensors)).Within(1e-9));
            double norm = Math.Sqrt(expected.Sum(w => w * w));
            Assert.That(pipeline.Scalars.WeightNorm, Is.EqualTo(norm).Within(4 * U * norm));

            // A sum of eight squares in fp32, its root, the factor rounded, the product rounded.
            run.Expect(pipeline.Master, expected, [.. expected.Select(w => 8 * U * Math.Abs(w))]);
        });
    }

    private static StepPipeline Pipeline(KernelRun run, RegularizedUnit unit, float[] weights) => new(run, [new(0, 8)], [0], Padded(weights), [unit]);

    private static RegularizedUnit StepOnce(RegularizedUnit unit, float[] weights, float[] gradients, StepInput input)
    {
        RegularizedUnit after = default;
        KernelRun.Once(run =>
        {
            var pipeline = Pipeline(run, unit, weights);
            pipeline.Step(input, Padded(gradients));
            after = pipeline.Units[0];
        });
        return after;
    }

    // Zeros that no gradient moves, up to a multiple of 8.
    private static float[] Padded(float[] values) => [.. values, .. new float[8 - values.Length]];

    /// <summary>A small model with gradients for a few steps.</summary>
    private sealed class Trial
    {
        public Trial(RegularizerOptions rule)
        {
            Options = new OptimizerOptions
            {
                LearningRate = 0.02, GradientClip = 10, Regularizer = rule,
                Schedule = new Schedule { Shape = ScheduleShape.Cosine, WarmupSteps = 2, Steps = Steps, FinalFraction = 0.1 },
            };
            Inputs = new StepInputs(Options, seed: 1);
            int count = (int)Layout.Count;
            Weights = TestValues.Normal(count, 1, deviation: 0.2);
            Gradients = [.. Enumerable.Range(0, Steps).Select(step => TestValues.Normal(count, 10 + (ulong)step, deviation: step % 2 == 0 ? 1 : 0.01))];
        }

        public OptimizerOptions Options { get; }

        public ParameterLayout Layout { get; } = new(RegularizerRules.Model);

        public StepInputs Inputs { get; }

        public float[] Weights { get; }

        public float[][] Gradients { get; }

        public (double[] InitialSums, List<(OptimizerStep Step, float[] Weights)> Steps) OnCpu()
        {
            // The backend frees what is allocated.
            using var cpu = new CpuBackend(1);
            Tensor Floats() => cpu.Allocate(ElementType.Float32, new Shape(Weights.Length));
            var tensors = new TrainingTensors(Weights: Floats(), Master: default, Gradients: Floats(), FirstMoment: Floats(), SecondMoment: Floats());
            using var optimizer = new WeightOptimizer(cpu, Layout, tensors, Options);
            cpu.Upload<float>(Weights, tensors.Weights);
            optimizer.Start();
            double[] initialSums = optimizer.InitialSums.ToArray();
            var steps = new List<(OptimizerStep Step, float[] Weights)>();
            foreach (float[] gradient in Gradients)
            {
                cpu.Upload<float>(gradient, tensors.Gradients);
                var step = optimizer.Step();
                var after = new float[Weights.Length];
                cpu.Download<float>(tensors.Weights, after);
                steps.Add((step, after));
            }

            return (initialSums, steps);
        }
    }
}
