using Trainer.Compute;
using Trainer.Cpu;
using Trainer.Cuda.Kernels;
using Trainer.Model;
using Trainer.Optimization;

namespace Trainer.KernelTests;

/// <summary>The scalars of a step: against the CPU trainer's own optimizer over several steps, and against values computed by hand.</summary>
internal sealed class RegularizerTests
{
    private const double U = TestValues.UnitRoundoff;
    private const int Steps = 6;

    private static readonly StepInput PlainInput = new()
    {
        PeakRate = 0.1, Multiplier = 1, DecayMultiplier = 1, TargetMultiplier = 1, RateMultiplier = 1, Beta1 = 0.9, Beta2 = 0.95, Epsilon = 1e-8,
    };

    private static readonly (string Name, RegularizerOptions Rule)[] Rules =
    [
        ("none", new() { Kind = RegularizerKind.None }),
        ("decay first", new() { Kind = RegularizerKind.Decay, WeightDecay = 2 }),
        ("decay last, ramped", new() { Kind = RegularizerKind.Decay, WeightDecay = 2, Order = RegularizerOrder.Post, WeightDecaySchedule = Schedule.Ramp(4) }),
        ("decoupled decay", new() { Kind = RegularizerKind.DecayDecoupled, WeightDecay = 0.05 }),
        ("norm control", new() { Kind = RegularizerKind.NormControl, NormTarget = 1.5, NormRate = 0.3 }),
        ("norm control of tensors, ramped", new() { Kind = RegularizerKind.NormControl, NormTarget = 0.5, NormRate = 1,
            NormScope = NormScope.Tensor, NormTargetSchedule = Schedule.Ramp(4) }),
        ("norm control before the step, ramped rate", new() { Kind = RegularizerKind.NormControl, NormTarget = 2, NormRate = 0.2,
            Order = RegularizerOrder.Pre, NormRateSchedule = Schedule.Ramp(3) }),
        ("norm control of tensors before the step", new() { Kind = RegularizerKind.NormControl, NormTarget = 2, NormRate = 0.2,
            Order = RegularizerOrder.Pre, NormScope = NormScope.Tensor }),
    ];

    [TestCaseSource(nameof(NamedRules))]
    public void A_step_is_the_step_of_the_cpu_trainer(RegularizerOptions rule)
    {
        var layout = new ParameterLayout(new ModelConfig(Layers: 2, Heads: 1, Channels: 16, SequenceLength: 8, Vocabulary: 20));
        int count = (int)layout.Count;
        var options = new OptimizerOptions
        {
            LearningRate = 0.02, GradientClip = 10, Regularizer = rule,
            Schedule = new Schedule { Shape = ScheduleShape.Cosine, WarmupSteps = 2, Steps = Steps, FinalFraction = 0.1 },
        };
        float[] weights = TestValues.Normal(count, 1, deviation: 0.2);
        float[][] gradients = [.. Enumerable.Range(0, Steps).Select(step => TestValues.Normal(count, 10 + (ulong)step, deviation: step % 2 == 0 ? 1 : 0.01))];

        using var cpu = new CpuBackend(1);
        Tensor Floats() => cpu.Allocate(ElementType.Float32, new Shape(count));
        var tensors = new TrainingTensors(Weights: Floats(), Master: default, Gradients: Floats(), FirstMoment: Floats(), SecondMoment: Floats());
        using var optimizer = new AdamOptimizer(cpu, layout, tensors, options);
        cpu.Upload<float>(weights, tensors.Weights);
        optimizer.Start();
        var (unitOfTensor, units) = Units(rule, layout, optimizer);
        var expected = new List<(OptimizerStep Step, float[] Weights)>();
        foreach (float[] gradient in gradients)
        {
            cpu.Upload<float>(gradient, tensors.Gradients);
            var step = optimizer.Step();
            var after = new float[count];
            cpu.Download<float>(tensors.Weights, after);
            expected.Add((step, after));
        }

        KernelRun.InAllOrders(run =>
        {
            var pipeline = new StepPipeline(run, layout.Segments, unitOfTensor, weights, units);
            for (int t = 1; t <= Steps; t++)
            {
                pipeline.Step(Input(options, t), gradients[t - 1]);

                // Half of the steps leave their factor pending, the others bring the weights up to date: it must not matter.
                if (t % 2 == 0 || t == Steps)
                    pipeline.Flush();
                var (step, _) = expected[t - 1];
                Assert.That(pipeline.Scalars.GradientNorm, Is.EqualTo(step.GradientNorm).Within(1e-6 * step.GradientNorm), $"gradient norm of step {t}");
                Assert.That(pipeline.Scalars.WeightNorm, Is.EqualTo(step.WeightNorm).Within(1e-6 * step.WeightNorm), $"weight norm of step {t}");
            }

            // Each step rounds a weight a few times; Adam's update is at most a few learning rates.
            double[] final = expected[^1].Weights.Doubles();
            run.Expect(pipeline.Master, final, [.. final.Select(w => Steps * ((16 * U * Math.Abs(w)) + (64 * U * options.LearningRate)))]);
            double worst = pipeline.Units.ToArray().Max(unit => Math.Abs(unit.Pending - 1));
            Assert.That(worst, Is.Zero, "nothing is pending after the last flush");
        });
    }

    [Test]
    public void Weight_norm_control_moves_the_norm_towards_its_target()
    {
        // θ₀ = (3, 4), norm 5; the gradient step gives (3, 4.5), norm 5.40833; with r = 1 and k = 0.5 the factor is 0.962250 and the norm 5.204163.
        var unit = new RegularizedUnit { Rule = UnitRule.NormControl, After = 1, Strength = 1, Rate = 0.5, InitialNorm = 5, Pending = 1, Norm = 5 };
        var after = StepOnce(unit, [3, 4], [0, -1], PlainInput with { Step = 1, PeakRate = 0.5 });
        Assert.That(after.Pending, Is.EqualTo(0.962250).Within(1e-6));
        Assert.That(after.Norm, Is.EqualTo(5.204163).Within(1e-6));
    }

    [Test]
    public void Decays_and_l2_of_one_step()
    {
        // θ = 1, g = 0.1 at t = 1: u = 1 whatever g is. 13.a with λ = 0.1, α = 1e-3 and 13.b with λ = 1e-4 give 0.9989; L2 is invisible: 0.999.
        var input = PlainInput with { Step = 1, PeakRate = 1e-3 };
        var unit = new RegularizedUnit { Pending = 1, Norm = 1, InitialNorm = 1 };
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
        // Four elements with a sum of squares of 8, bound 4, λ = 0, μ = 1: λ = (8 - 4) / 4 = 1, and the factor 1 - 2 λ = -1.
        var unit = new RegularizedUnit { Rule = UnitRule.ParameterBound, After = 1, Rate = 1, Count = 4, Bound = 4, Pending = 1 };
        float root = MathF.Sqrt(2);
        var after = StepOnce(unit, [root, root, root, root], new float[4], PlainInput with { Step = 3 });
        Assert.That((after.Multiplier, after.Pending), Is.EqualTo((1.0, -1.0)).Using<(double A, double B)>((x,
            y) => Math.Abs(x.A - y.A) + Math.Abs(x.B - y.B) < 1e-6));

        // Below the bound the multiplier falls, not below 0; with the paper's order the factor joins the pass itself.
        after = StepOnce(unit with { Bound = 9, Multiplier = 0.1 }, [root, root, root, root], new float[4], PlainInput with { Step = 3 });
        Assert.That((after.Multiplier, after.Pending), Is.EqualTo((0.0, 1.0)));
        after = StepOnce(unit with { After = 0, Norm = Math.Sqrt(8), Rate = 0.1 }, [root, root, root, root], new float[4], PlainInput with { Step = 3 });
        Assert.That(after.Multiplier, Is.EqualTo(0.1).Within(1e-12));
        Assert.That(after.Norm, Is.EqualTo(0.8 * Math.Sqrt(8)).Within(1e-6));
    }

    [TestCase(4, 0, 1)]      // not yet
    [TestCase(5, 8, 1)]      // the end of this step gives the bound
    [TestCase(6, 0, -3)]     // 1 - 2 (8 - 0) / 4 from now on
    public void A_warm_started_bound_is_the_norm_at_its_step(int step, double bound, double factor)
    {
        var unit = new RegularizedUnit { Rule = UnitRule.ParameterBound, After = 1, Rate = 1, Count = 4, BoundStep = 5, Pending = 1 };
        float root = MathF.Sqrt(2);
        var after = StepOnce(unit, [root, root, root, root], new float[4], PlainInput with { Step = step });
        Assert.That(after.Bound, Is.EqualTo(bound).Within(1e-6));
        Assert.That(after.Pending, Is.EqualTo(factor).Within(1e-5));
    }

    [TestCase(UnitRule.MaxNorm, 1.0, 1.0)]     // norm 5 of initially 5: allowed 5
    [TestCase(UnitRule.MaxNorm, 0.5, 0.5)]
    [TestCase(UnitRule.MaxNorm, 2.0, 1.0)]
    [TestCase(UnitRule.Sphere, 2.0, 2.0)]
    [TestCase(UnitRule.Sphere, 0.5, 0.5)]
    public void Projections_scale_to_the_initial_norm(UnitRule rule, double strength, double factor)
    {
        var unit = new RegularizedUnit { Rule = rule, After = 1, Strength = strength, InitialNorm = 5, Pending = 1, Norm = 5 };
        Assert.That(StepOnce(unit, [3, 4], [0, 0], PlainInput with { Step = 2 }).Pending, Is.EqualTo(factor).Within(1e-6));
        var before = StepOnce(unit with { After = 0 }, [3, 4], [0, 0], PlainInput with { Step = 2 });
        Assert.That((before.Pending, before.Norm), Is.EqualTo((1.0, 5 * factor)).Using<(double A, double B)>((x,
            y) => Math.Abs(x.A - y.A) + Math.Abs(x.B - y.B) < 1e-5));
    }

    [TestCase(UnitRule.NormControl)]
    [TestCase(UnitRule.Sphere)]
    [TestCase(UnitRule.MaxNorm)]
    public void Weights_without_a_norm_are_left_alone(UnitRule rule)
    {
        var unit = new RegularizedUnit { Rule = rule, After = 1, Strength = 2, Rate = 0.5, Pending = 1 };
        Assert.That(StepOnce(unit, [0, 0], [0, 0], PlainInput with { Step = 2 }).Pending, Is.EqualTo(1), "zero now");
        Assert.That(StepOnce(unit, [3, 4], [0, 0], PlainInput with { Step = 2 }).Pending, Is.EqualTo(1), "zero initially");
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

    [TestCase(float.NaN, 0)]
    [TestCase(float.PositiveInfinity, 0)]
    [TestCase(1, float.NaN)]
    [TestCase(1, float.PositiveInfinity)]
    public void A_step_is_not_taken_when_a_number_is_not_finite(float gradient, float loss) => KernelRun.InAllOrders(run =>
    {
        var unit = new RegularizedUnit { Rule = UnitRule.NormControl, After = 1, Strength = 2, Rate = 0.5, InitialNorm = 3, Pending = 0.9, Norm = 4 };
        var pipeline = Pipeline(run, unit, [1, 2, 3]);
        pipeline.Step(PlainInput with { Step = 1 }, Padded([0.5f, gradient, 1]), loss);
        Assert.That(pipeline.Scalars.Taken, Is.Zero);
        Assert.That(pipeline.Master.Unchanged && pipeline.Copy.Unchanged);
        Assert.That((pipeline.Units[0].Pending, pipeline.Units[0].Norm), Is.EqualTo((0.9, 4.0)));
    });

    [Test]
    public void A_step_that_is_not_taken_keeps_the_norm() => KernelRun.InAllOrders(run =>
    {
        var pipeline = Pipeline(run, new RegularizedUnit { Rule = UnitRule.None, Pending = 1 }, [3, 4]);
        pipeline.Step(PlainInput with { Step = 1, Multiplier = 0 }, Padded([1, 1]));
        Assert.That(pipeline.Scalars.WeightNorm, Is.EqualTo(5).Within(1e-6));
        pipeline.Step(PlainInput with { Step = 2 }, Padded([1, float.NaN]));
        Assert.That((pipeline.Scalars.Taken, pipeline.Scalars.WeightNorm), Is.EqualTo((0, pipeline.Units[0].Norm)));
    });

    [TestCase(1, 0f, 1f)]       // torch's first step fills the buffer with the gradient
    [TestCase(2, 0.8f, 0.75f)]
    public void The_scalars_of_sgd(int step, float momentum, float gain) => KernelRun.Once(run =>
    {
        var pipeline = Pipeline(run, new RegularizedUnit { Pending = 1 }, [1, 1]);
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
        var unit = new RegularizedUnit { Strength = 0.4, Pending = 0.8 };
        Assert.That(FactorsOf(UnitRule.L2), Is.EqualTo(new TensorFactors { Rate = 0.05f, L2 = (float)(0.4 * 0.25 * 0.8), Before = 0.8f, After = 1 }));
        Assert.That(FactorsOf(UnitRule.Decay).Before, Is.EqualTo((float)(0.8 * (1 - (0.1 * 0.5 * 0.25 * 0.4)))));
        Assert.That(FactorsOf(UnitRule.DecayDecoupled).Before, Is.EqualTo((float)(0.8 * (1 - (0.5 * 0.25 * 0.4)))));

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
            new RegularizedUnit { Rule = UnitRule.Sphere, After = 1, Strength = 1 + (i / 100.0), InitialNorm = norm, Norm = norm, Pending = 1 });
        double[] expected = [.. weights.Select((w, i) => w * (1 + (i / 8 / 100.0)))];
        KernelRun.InAllOrders(run =>
        {
            var segments = Enumerable.Range(0, tensors).Select(i => new Segment(8 * i, 8));
            var pipeline = new StepPipeline(run, [.. segments], [.. Enumerable.Range(0, tensors)], weights, [.. units]);
            pipeline.Step(PlainInput with { Step = 1, Multiplier = 0 }, gradients);
            pipeline.Flush();
            Assert.That(pipeline.Scalars.GradientNorm, Is.EqualTo(Math.Sqrt(8 * tensors)).Within(1e-9));
            double norm = Math.Sqrt(expected.Sum(w => w * w));
            Assert.That(pipeline.Scalars.WeightNorm, Is.EqualTo(norm).Within(4 * U * norm));

            // A sum of eight squares in fp32, its root, the factor rounded, the product rounded.
            run.Expect(pipeline.Master, expected, [.. expected.Select(w => 8 * U * Math.Abs(w))]);
        });
    }

    private static IEnumerable<TestCaseData> NamedRules() => Rules.Select(entry => new TestCaseData(entry.Rule).SetArgDisplayNames(entry.Name));

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

    private static StepInput Input(OptimizerOptions options, int step) => new()
    {
        Step = step,
        PeakRate = options.LearningRate,
        Multiplier = options.Schedule.Multiplier(step - 1),
        DecayMultiplier = options.Regularizer.WeightDecaySchedule.Multiplier(step - 1),
        TargetMultiplier = options.Regularizer.NormTargetSchedule.Multiplier(step - 1),
        RateMultiplier = options.Regularizer.NormRateSchedule.Multiplier(step - 1),
        Clip = options.GradientClip,
        Beta1 = options.Beta1,
        Beta2 = options.Beta2,
        Epsilon = options.Epsilon,
    };

    private static (int[] UnitOfTensor, RegularizedUnit[] Units) Units(RegularizerOptions rule, ParameterLayout layout, AdamOptimizer optimizer)
    {
        var (unitOfTensor, units) = (new int[layout.Tensors.Count], new List<RegularizedUnit>());
        Array.Fill(unitOfTensor, -1);
        int[] members = [.. optimizer.Regularizer.Groups.Groups.SelectMany(group => group.Tensors)];
        bool ofTensors = rule.Kind == RegularizerKind.NormControl && rule.NormScope == NormScope.Tensor;
        double[] sums = [.. optimizer.WeightSumsOfSquares()];
        int[][] scopes = ofTensors ? [.. members.Select(tensor => new[] { tensor })] : [members];
        foreach (int[] scope in scopes)
        {
            double norm = Math.Sqrt(scope.Sum(tensor => sums[tensor]));
            foreach (int tensor in scope)
                unitOfTensor[tensor] = units.Count;
            units.Add(new RegularizedUnit
            {
                Rule = rule.Kind switch
                {
                    RegularizerKind.Decay => UnitRule.Decay,
                    RegularizerKind.DecayDecoupled => UnitRule.DecayDecoupled,
                    RegularizerKind.NormControl => UnitRule.NormControl,
                    _ => UnitRule.None,
                },
                After = rule.EffectiveOrder == RegularizerOrder.Post ? 1 : 0,
                Strength = rule.Kind == RegularizerKind.NormControl ? rule.NormTarget!.Value : rule.WeightDecay,
                Rate = rule.NormRate,
                InitialNorm = norm,
                Norm = norm,
                Pending = 1,
            });
        }

        return (unitOfTensor, [.. units]);
    }
}
