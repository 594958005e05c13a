using Trainer.Compute;
using Trainer.Optimization;

namespace Trainer.Tests.Optimization;

/// <summary>Twenty steps of each rule against its definition in double precision, written here once more.</summary>
[TestFixtureSource(typeof(OptimizerBackends), nameof(OptimizerBackends.All))]
public sealed class OtherRulesTests(Func<IBackend> create, double normError)
{
    private const int Steps = 20;
    private const double Alpha = 0.01;

    private static readonly Schedule Cosine = new() { Shape = ScheduleShape.Cosine, WarmupSteps = 3, Steps = Steps, FinalFraction = 0.1 };

    [Test]
    public void L2_joins_the_gradient_after_or_before_clipping([Values] bool before, [Values] OptimizerKind kind)
    {
        RequireHost(before);
        const double lambda = 0.3;
        AgreesWith(new() { Kind = RegularizerKind.L2, WeightDecay = lambda, L2BeforeClipping = before }, kind, (x, t, step) =>
        {
            int[] members = x.Units(NormScope.Global)[0];
            double[] penalty = new double[x.Weights.Length];
            foreach (int i in members)
                penalty[i] = lambda * x.Weights[i];
            double[] gradients = before ? [.. step.Gradients.Zip(penalty, (g, p) => g + p)] : step.Gradients;
            double clip = Math.Min(1, 1 / (Math.Sqrt(gradients.Sum(g => g * g)) + 1e-6));
            x.Update(kind, t, step.Rate, [.. gradients.Select((g, i) => (clip * g) + (before ? 0 : penalty[i]))]);
        });
    }

    [Test]
    public void Sgd_takes_every_decay([Values(RegularizerKind.None, RegularizerKind.Decay, RegularizerKind.DecayDecoupled, RegularizerKind.DecayConstant)] RegularizerKind rule,
        [Values] bool rateInMomentum)
    {
        const double lambda = 0.02;
        var options = Options(new() { Kind = rule, WeightDecay = lambda }, OptimizerKind.Sgd) with { RateInMomentum = rateInMomentum, Dampening = 0.25 };
        AgreesWith(options, (x, t, step) =>
        {
            double factor = 1 - (lambda * rule switch { RegularizerKind.None => 0, RegularizerKind.Decay => step.Rate, RegularizerKind.DecayDecoupled => step.Rate / Alpha, _ => 1 });
            double[] old = [.. x.Weights];
            x.Update(options.Kind, t, step.Rate, step.Clipped, rateInMomentum, 0.25);
            foreach (int i in x.Units(NormScope.Global)[0])
                x.Weights[i] += (factor - 1) * old[i];
        });
    }

    [Test]
    public void Max_norm_brings_back_what_exceeds_its_bound([Values] NormScope scope, [Values] RegularizerOrder order)
    {
        const double bound = 0.3;
        AgreesWith(new() { Kind = RegularizerKind.MaxNorm, NormTarget = bound, NormTargetKind = NormTargetKind.Absolute, NormScope = scope, Order = order },
            OptimizerKind.Adam, (x, t, step) => Around(order, x, t, step, weights =>
            {
                foreach (int[] unit in x.Units(scope))
                    Scale(weights, unit, Math.Min(1, bound / Norm(weights, unit)));
            }));
    }

    [Test]
    public void A_sphere_is_reached_at_every_projection([Values] NormTargetKind kind, [Values(1, 3)] int every)
    {
        RequireHost(every > 1);
        AgreesWith(new() { Kind = RegularizerKind.Sphere, NormTarget = 0.7, NormTargetKind = kind, NormEvery = every, NormScope = NormScope.Tensor },
            OptimizerKind.Adam, (x, t, step) => Around(RegularizerOrder.Post, x, t, step, weights =>
            {
                foreach (int[] unit in x.Units(NormScope.Tensor))
                {
                    double radius = kind switch
                    {
                        NormTargetKind.Ratio => 0.7 * Norm(x.Initial, unit),
                        NormTargetKind.Absolute => 0.7,
                        _ => 0.7 * Math.Sqrt(unit.Length),
                    };
                    if (t % every == 0)
                        Scale(weights, unit, radius / Norm(weights, unit));
                }
            }));
    }

    [Test]
    public void Cpr_bounds_each_tensor([Values] BoundRule rule, [Values] RegularizerOrder order)
    {
        RequireHost(rule == BoundRule.InflectionPoint);
        const double mu = 20;
        double bound = rule switch { BoundRule.Given => 0.2, _ => 0.99 };
        int steps = rule == BoundRule.InflectionPoint ? 2 : 4;
        var options = new RegularizerOptions { Kind = RegularizerKind.ParameterBound, BoundRule = rule, Bound = bound, BoundSteps = steps, BoundRate = mu, Order = order };
        var state = new Dictionary<int, (double Kappa, double Lambda, List<double> Samples)>();
        bool active = false;
        AgreesWith(options, OptimizerKind.Adam, (x, t, step) => Around(order, x, t, step, weights =>
        {
            foreach (int[] unit in x.Units(NormScope.Tensor))
            {
                double squares = Math.Pow(Norm(weights, unit), 2);
                if (!state.TryGetValue(unit[0], out var s))
                    s = (rule == BoundRule.Given ? bound : rule == BoundRule.Initial ? bound * Math.Pow(Norm(x.Initial, unit), 2) : double.PositiveInfinity, 0, []);
                if (double.IsPositiveInfinity(s.Kappa))
                {
                    if (rule == BoundRule.WarmStart && t == steps)
                        s.Kappa = squares;
                    if (rule == BoundRule.InflectionPoint && t % steps == 0)
                    {
                        s.Samples.Add(s.Samples.Count == 0 ? squares : (0.9 * s.Samples[^1]) + (0.1 * squares));
                        if (s.Samples.Count >= 3 && s.Samples[^1] - s.Samples[^2] < s.Samples[^2] - s.Samples[^3])
                            s.Kappa = squares;
                    }
                }
                else
                {
                    s.Lambda = Math.Max(0, s.Lambda + (mu * (squares - s.Kappa) / unit.Length));
                    active |= s.Lambda > 0;
                    Scale(weights, unit, 1 - (2 * s.Lambda));
                }

                state[unit[0]] = s;
            }
        }));
        Assert.That(active, "no bound was reached, so that nothing was tried");
        Assert.That(state.Values.Select(s => s.Kappa), Has.None.EqualTo(double.PositiveInfinity));
        Assert.That(state.Values.Max(s => s.Lambda), Is.LessThan(0.5));
    }

    [Test]
    public void A_bound_that_would_turn_the_sign_at_once_is_refused_with_the_nearest()
    {
        var rule = new RegularizerOptions { Kind = RegularizerKind.ParameterBound, BoundRule = BoundRule.Initial, Bound = 0.1, BoundPerWeight = false };
        Assert.That(() => new OptimizerTrial(create, Options(rule, OptimizerKind.Adam)).Dispose(),
            Throws.TypeOf<RequestException>().With.Message.Contains("2 lambda >= 1").And.Message.Contains("The nearest valid bound is above"));
    }

    [Test]
    public void Cpr_goes_on_from_its_state()
    {
        var rule = new RegularizerOptions { Kind = RegularizerKind.ParameterBound, BoundSteps = 4, BoundRate = 20 };
        using var whole = new OptimizerTrial(create, Options(rule, OptimizerKind.Adam));
        using var resumed = new OptimizerTrial(create, Options(rule, OptimizerKind.Adam));
        foreach (int at in new[] { 2, 9 })
        {
            whole.Run(at - (int)whole.Optimizer.StepsTaken);
            foreach ((Tensor to, Tensor from) in new[] { (resumed.Weights, whole.Weights), (resumed.Tensors.FirstMoment, whole.Tensors.FirstMoment), (resumed.Tensors.SecondMoment, whole.Tensors.SecondMoment) })
            {
                float[] values = whole.Read(from);
                resumed.Set(to, i => values[i]);
            }

            resumed.Optimizer.Restore(whole.Optimizer.State());
            whole.Run(5);
            resumed.Run(5);
            Assert.That(resumed.Bits(), Is.EqualTo(whole.Bits()), $"5 steps from {at} on");
            Assert.That(resumed.Optimizer.State().RuleState, Is.EqualTo(whole.Optimizer.State().RuleState));
        }
    }

    [Test]
    public void Replayed_effective_rates_turn_the_weights_as_the_recorded_run_did()
    {
        RequireHost(true);
        double[] rates = [.. Enumerable.Range(1, Steps).Select(t => 0.001 * (1 + (t % 3)))];
        AgreesWith(Options(new() { Kind = RegularizerKind.None }, OptimizerKind.Adam) with { EffectiveRates = rates }, (x, t, step) =>
        {
            double norm = Norm(x.Weights, x.Units(NormScope.Global)[0]);
            double[] others = [.. x.Weights];
            double[] moved = x.Direction(OptimizerKind.Adam, t, step.Clipped);
            int[] members = x.Units(NormScope.Global)[0];
            for (int i = 0; i < others.Length; i++)
                x.Weights[i] -= step.Rate * moved[i];
            foreach (int i in members)
                x.Weights[i] = others[i] - (rates[t - 1] * norm * moved[i]);
        });
    }

    [Test]
    public void The_angle_and_the_length_of_a_step_are_those_of_its_weights([Values(RegularizerKind.Decay, RegularizerKind.NormControl)] RegularizerKind kind, [Values] RegularizerOrder order)
    {
        using var trial = new OptimizerTrial(create, Options(new() { Kind = kind, WeightDecay = 1, NormTarget = 2, NormRate = 0.3, Order = order }, OptimizerKind.Adam));
        int[] members = trial.Units(NormScope.Global)[0];
        for (int t = 1; t <= 3; t++)
        {
            float[] old = trial.Read();
            OptimizerStep step = trial.Step();
            float[] now = trial.Read();
            double[] a = [.. members.Select(i => (double)old[i])], b = [.. members.Select(i => (double)now[i])];
            double na = Math.Sqrt(a.Sum(x => x * x)), nb = Math.Sqrt(b.Sum(x => x * x));
            double chord = Math.Sqrt(a.Zip(b, (x, y) => Math.Pow((x / na) - (y / nb), 2)).Sum());

            // The squares of changes are of weights that were rounded to 2^-24 of about 0.1, against changes of about 0.01.
            Assert.That(step.UpdateRatio, Is.EqualTo(Math.Sqrt(a.Zip(b, (x, y) => Math.Pow(x - y, 2)).Sum()) / na).Within(1e-5).Percent.Or.EqualTo(0).Within(3 * normError));
            Assert.That(step.Angle, Is.EqualTo(2 * Math.Asin(chord / 2)).Within(1e-5 + (10 * normError)));
            Assert.That(step.TargetGap, kind == RegularizerKind.NormControl ? Is.EqualTo((step.NormRatio - 2) / 2).Within(1e-9) : Is.NaN);
        }
    }

    private static double Norm(double[] weights, int[] unit) => Math.Sqrt(unit.Sum(i => weights[i] * weights[i]));

    private static void Scale(double[] weights, int[] unit, double factor)
    {
        foreach (int i in unit)
            weights[i] *= factor;
    }

    private static OptimizerOptions Options(RegularizerOptions rule, OptimizerKind kind) =>
        new() { Kind = kind, LearningRate = Alpha, Schedule = Cosine, Regularizer = rule };

    private static void Around(RegularizerOrder order, Reference x, int t, Step step, Action<double[]> rule)
    {
        double[] moved = x.Direction(OptimizerKind.Adam, t, step.Clipped);
        if (order == RegularizerOrder.Pre)
            rule(x.Weights);
        for (int i = 0; i < moved.Length; i++)
            x.Weights[i] -= step.Rate * moved[i];
        if (order == RegularizerOrder.Post)
            rule(x.Weights);
    }

    // What the kernels do not know is refused there (RegularizedUnitsTests).
    private void RequireHost(bool hostOnly)
    {
        using IBackend backend = create();
        if (hostOnly && backend is Trainer.Cuda.CudaBackend)
            Assert.Ignore("not available on a GPU");
    }

    private void AgreesWith(RegularizerOptions rule, OptimizerKind kind, Action<Reference, int, Step> reference) => AgreesWith(Options(rule, kind), reference);

    private void AgreesWith(OptimizerOptions options, Action<Reference, int, Step> reference)
    {
        using var trial = new OptimizerTrial(create, options);
        var expected = new Reference(trial);
        for (int t = 1; t <= Steps; t++)
        {
            trial.Step();
            double[] gradients = [.. Enumerable.Range(0, (int)trial.Layout.Count).Select(i => (double)OptimizerTrial.Gradient(t, i))];
            double clip = Math.Min(1, 1 / (Math.Sqrt(gradients.Sum(g => g * g)) + 1e-6));
            reference(expected, t, new Step(gradients, [.. gradients.Select(g => clip * g)], Alpha * Cosine.Multiplier(t - 1)));
        }

        // Twenty steps of weights below 1, each rounded a few times to 2^-24.
        Assert.That(trial.Read(), Is.EqualTo(expected.Weights).Within(3e-6));
    }

    private sealed record Step(double[] Gradients, double[] Clipped, double Rate);

    private sealed class Reference(OptimizerTrial trial)
    {
        private readonly double[] _m = new double[trial.Layout.Count];
        private readonly double[] _v = new double[trial.Layout.Count];

        public double[] Weights { get; } = [.. trial.Read().Select(w => (double)w)];

        public double[] Initial { get; } = [.. trial.Read().Select(w => (double)w)];

        public int[][] Units(NormScope scope) => trial.Units(scope);

        public double[] Direction(OptimizerKind kind, int t, double[] gradients, double gain = 1)
        {
            var u = new double[gradients.Length];
            for (int i = 0; i < u.Length; i++)
            {
                double g = gradients[i];
                if (kind == OptimizerKind.Sgd)
                {
                    u[i] = _m[i] = t == 1 ? g : (0.9 * _m[i]) + (gain * g);
                    continue;
                }

                _m[i] = (0.9 * _m[i]) + (0.1 * g);
                _v[i] = (0.95 * _v[i]) + (0.05 * g * g);
                u[i] = _m[i] / (1 - Math.Pow(0.9, t)) / (Math.Sqrt(_v[i] / (1 - Math.Pow(0.95, t))) + 1e-8);
            }

            return u;
        }

        public void Update(OptimizerKind kind, int t, double rate, double[] gradients, bool rateInMomentum = false, double dampening = 0)
        {
            double[] u;
            if (rateInMomentum)
            {
                for (int i = 0; i < _m.Length; i++)
                    _m[i] = (0.9 * _m[i]) + (rate * gradients[i]);
                (u, rate) = (_m, 1);
            }
            else
            {
                u = Direction(kind, t, gradients, 1 - dampening);
            }

            for (int i = 0; i < u.Length; i++)
                Weights[i] -= rate * u[i];
        }
    }
}
