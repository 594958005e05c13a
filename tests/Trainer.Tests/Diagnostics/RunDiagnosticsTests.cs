using Trainer.Compute;
using Trainer.Cpu;
using Trainer.Diagnostics;
using Trainer.Metrics;
using Trainer.Model;
using Trainer.Optimization;

namespace Trainer.Tests.Diagnostics;

/// <summary>Every diagnostic of a small model beside its definition, in double precision over copies of all values.</summary>
public sealed class RunDiagnosticsTests
{
    private const int B = 2, T = 6, Steps = 6;

    // Weights are rounded to fp32 after every step, by at most 2^-24 of each: so much, relative to the norm, a change is uncertain.
    private const double Rounding = 1.0 / (1 << 23);

    private static readonly ModelConfig Tiny = new(Layers: 2, Heads: 2, Channels: 8, SequenceLength: T, Vocabulary: 11) { PaddedVocabulary = 16 };

    private static IEnumerable<TestCaseData> Rules()
    {
        var adam = new OptimizerOptions { LearningRate = 0.01, GradientClip = 0.5 };
        yield return Case("decay", adam, new() { WeightDecay = 0.5 });
        yield return Case("decay last", adam, new() { WeightDecay = 0.5, Order = RegularizerOrder.Post });
        yield return Case("decay decoupled of everything", adam,
            new() { Kind = RegularizerKind.DecayDecoupled, WeightDecay = 0.01, Groups = new() { DecayBias = true, DecayLayerNorm = true } });
        yield return Case("norm control", adam, new() { Kind = RegularizerKind.NormControl, NormTarget = 2, NormRate = 0.1 });
        yield return Case("norm control before", adam, new() { Kind = RegularizerKind.NormControl, NormTarget = 2, NormRate = 0.1, Order = RegularizerOrder.Pre });
        yield return Case("norm control of tensors", adam,
            new() { Kind = RegularizerKind.NormControl, NormTarget = 2, NormRate = 0.1, NormScope = NormScope.Tensor });
        yield return Case("norm control of rows", adam, new() { Kind = RegularizerKind.NormControl, NormTarget = 2, NormRate = 0.1, NormScope = NormScope.Row });
        yield return Case("cpr", adam, new() { Kind = RegularizerKind.ParameterBound, BoundRule = BoundRule.Initial, Bound = 0.9 });
        yield return Case("cpr before", adam, new() { Kind = RegularizerKind.ParameterBound, BoundRule = BoundRule.Initial, Bound = 0.9, Order = RegularizerOrder.Pre });
        yield return Case("none", adam, new() { Kind = RegularizerKind.None });
        yield return Case("sgd with l2", adam with { Kind = OptimizerKind.Sgd, LearningRate = 0.1 }, new() { Kind = RegularizerKind.L2, WeightDecay = 0.01 });
        yield return Case("sgd, rate in momentum", adam with { Kind = OptimizerKind.Sgd, LearningRate = 0.1, RateInMomentum = true }, new() { WeightDecay = 0.1 });

        static TestCaseData Case(string name, OptimizerOptions options, RegularizerOptions rule) => new TestCaseData(options with { Regularizer = rule }).SetArgDisplayNames(name);
    }

    [TestCaseSource(nameof(Rules))]
    public void Every_value_is_its_definition(OptimizerOptions options)
    {
        using var trial = new Trial(options);
        for (int step = 1; step <= Steps; step++)
            trial.Step();
        Dictionary<string, double> found = trial.Last();
        var layout = trial.Model.Layout;
        var groups = DiagnosticGroup.Of(layout, trial.Optimizer.Regularizer.Groups);
        Assert.Multiple(() =>
        {
            foreach (DiagnosticGroup group in groups)
            {
                double[] initial = Of(trial.Initial), before = Of(trial.Before), after = Of(trial.After), g = Of(trial.Gradients), u = Of(trial.Direction());
                double[] change = [.. after.Zip(before, (a, b) => a - b)];
                double norm = Norm(after), start = Norm(before);
                Same("norm", norm, 1e-6 * norm);
                Same("rms", norm / Math.Sqrt(after.Length), 1e-6 * norm);
                if (Norm(initial) > 0)
                    Same("ratio", norm / Norm(initial), 1e-6 * norm / Norm(initial));
                Same("gradNorm", Norm(g), 1e-12 * Norm(g));
                Same("updateRatio", Norm(change) / start, Rounding);
                Same("angle", Angle(before, after), 4 * Rounding);
                Same("maxAbs", after.Max(Math.Abs), 0);
                Same("siCos", Dot(g, before) / Norm(g) / start, 1e-12);

                // Moments are known to fp32.
                Same("radial", Dot(u, before) / Norm(u) / start, 1e-6);
                Same("bf16Err", Norm([.. after.Select(x => Half(x) - x)]) / norm, 1e-12);
                var moved = change.Zip(before).Where(pair => pair.First != 0).ToList();
                Same("bf16Lost", moved.Count(pair => Half(Half(pair.Second) + pair.First) == Half(pair.Second)) / (double)moved.Count, 1e-12);

                double descent = found.GetValueOrDefault($"updateRatioDescent/{group.Name}"), decay = found.GetValueOrDefault($"updateRatioDecay/{group.Name}");
                if (options.Regularizer.EffectiveScope == NormScope.Global && !options.Regularizer.EffectiveOrder.Equals(RegularizerOrder.Post))
                    Same("updateRatioDescent", trial.Rate * Norm(u) / start, (1e-6 * trial.Rate * Norm(u) / start) + (Rounding * (1 + (decay / descent))));

                // What is left of Δθ has a length between the difference and the sum of the parts' lengths.
                double whole = Norm(change) / start;
                Assert.That(whole, Is.InRange(Math.Abs(descent - decay) - (8 * Rounding), descent + decay + (8 * Rounding)), $"parts of {group.Name}");

                double[] Of(float[] values) => [.. group.Tensors.SelectMany(tensor => Values(layout, tensor, values)).Select(value => (double)value)];
                void Same(string name, double expected, double tolerance) =>
                    Assert.That(found[$"{name}/{group.Name}"], Is.EqualTo(expected).Within(tolerance), $"{name}/{group.Name}");
            }

            Assert.That(found["clipRate"], Is.EqualTo(trial.GradientNorms.Count(norm => norm > options.GradientClip) / (double)Steps));
            Assert.That(found["logitMax"], Is.EqualTo(trial.LargestLogit()));
            Assert.That(found["gnoise"], Is.EqualTo(trial.Noise()).Within(1e-9 * trial.Noise()));
            Assert.That(found["gnoiseLoss"] * trial.Loss, Is.EqualTo(found["gnoise"]).Within(1e-12 * found["gnoise"]));
        });
    }

    [Test]
    public void Squared_norms_of_tensors_kinds_and_layers_add_up()
    {
        using var trial = new Trial(new OptimizerOptions());
        for (int step = 1; step <= Steps; step++)
            trial.Step();
        Dictionary<string, double> found = trial.Last();
        string[] kinds = ["wte", "wpe", "qkv", "attnProj", "mlpFc", "mlpProj", "ln", "bias"];
        double all = Math.Pow(found["norm/all"], 2);
        Assert.That(kinds.Sum(kind => Math.Pow(found[$"norm/{kind}"], 2)), Is.EqualTo(all).Within(1e-12 * all));
        Assert.That(trial.Model.Layout.Tensors.Sum(tensor => Math.Pow(found[$"norm/{tensor.Name}"], 2)), Is.EqualTo(all).Within(1e-12 * all));
        double outside = trial.Model.Layout.Tensors.Where(tensor => tensor.Layer < 0).Sum(tensor => Math.Pow(found[$"norm/{tensor.Name}"], 2));
        Assert.That(outside + Math.Pow(found["norm/h.0"], 2) + Math.Pow(found["norm/h.1"], 2), Is.EqualTo(all).Within(1e-12 * all));
    }

    [Test]
    public void Factors_and_constraints_of_units_are_told()
    {
        using var trial = new Trial(new OptimizerOptions { Regularizer = new() { Kind = RegularizerKind.ParameterBound, BoundRule = BoundRule.Initial, Bound = 0.9 } });
        for (int step = 1; step <= Steps; step++)
            trial.Step();
        Dictionary<string, double> found = trial.Last();
        foreach (WeightUnit unit in trial.Optimizer.Regularizer.Units)
        {
            Assert.That(found[$"cprKappa/{unit.Name}"], Is.EqualTo(0.9 * unit.InitialNorm * unit.InitialNorm).Within(1e-12));
            Assert.That(found[$"scale/{unit.Name}"], Is.EqualTo(1 - (2 * found[$"cprLambda/{unit.Name}"])).Within(Rounding));
            Assert.That(found[$"cprActive/{unit.Name}"], Is.EqualTo(found[$"cprLambda/{unit.Name}"] > 0 ? 1 : 0));
            Assert.That(found[$"cprR/{unit.Name}"], Is.EqualTo(Math.Pow(found[$"norm/{unit.Name}"], 2)).Within(1e-9));
        }

        Assert.That(trial.Optimizer.Regularizer.Units.Any(unit => found[$"cprActive/{unit.Name}"] == 1), "a bound that is exceeded is active");
    }

    private static double Dot(double[] a, double[] b) => a.Zip(b, (x, y) => x * y).Sum();

    private static double Norm(double[] a) => Math.Sqrt(Dot(a, a));

    private static double Angle(double[] a, double[] b) => 2 * Math.Asin(0.5 * Norm([.. a.Zip(b, (x, y) => (x / Norm(a)) - (y / Norm(b)))]));

    private static double Half(double value) => BFloat16.Value(BFloat16.Round((float)value));

    private static ReadOnlySpan<float> Span(ParameterLayout layout, int tensor, float[] values) =>
        values.AsSpan((int)layout.Segments[tensor].Offset, (int)layout.Segments[tensor].Count);

    private static float[] Values(ParameterLayout layout, int tensor, float[] values) => Span(layout, tensor, values).ToArray();

    /// <summary>A model that trains on fixed tokens, with copies of everything that its last step had and gave.</summary>
    private sealed class Trial : IDisposable
    {
        private readonly CpuBackend _backend = new(threads: 1);
        private readonly TemporaryFolder _folder = new();
        private readonly OptimizerOptions _options;
        private readonly RunDiagnostics _diagnostics;
        private readonly MetricsWriter _writer;
        private readonly ProbeBatch _probe;
        private readonly Random _random = new(3);
        private float[] _firstHalf = [];

        public Trial(OptimizerOptions options)
        {
            _options = options;
            Model = new Gpt2(_backend, Tiny, B, T, ModelUse.Train);
            ParameterInitializer.Initialize(_backend, Model.Layout, Model.Parameters, seed: 1);
            Optimizer = new WeightOptimizer(_backend, Model.Layout, Model.Tensors, options);
            Optimizer.Start();
            Initial = Download(Model.Parameters);
            _probe = new ProbeBatch(Tokens(), Tokens(), B, T);
            _diagnostics = new RunDiagnostics(_backend, Model, Optimizer, options, new RunDiagnosticsOptions(Every: Steps, MicroBatches: 2, TokensPerStep: 2 * B * T), _probe);
            _writer = MetricsWriter.Open(_folder.PathOf("metrics.jsonl"), 0);
        }

        public Gpt2 Model { get; }

        public WeightOptimizer Optimizer { get; }

        public float[] Initial { get; }

        public float[] Before { get; private set; } = [];

        public float[] After { get; private set; } = [];

        public float[] Gradients { get; private set; } = [];

        public List<double> GradientNorms { get; } = [];

        public double Loss { get; private set; }

        public double Rate => _options.Kind == OptimizerKind.Sgd && _options.RateInMomentum ? 1 : _options.LearningRate;

        public void Step()
        {
            long step = Optimizer.StepsTaken + 1;
            for (int i = 0; i < 2; i++)
            {
                Model.LossAndGradients(Tokens(), Tokens(), B, T, batches: 2, accumulate: i > 0);
                _diagnostics.MicroBatchDone(step, i + 1);
                if (i == 0)
                    _firstHalf = Download(Model.Gradients);
            }

            (Before, Gradients) = (Download(Model.Parameters), Download(Model.Gradients));
            _diagnostics.BeforeStep(step);
            OptimizerStep taken = Optimizer.Step(Model.TotalLoss);
            After = Download(Model.Parameters);
            Loss = taken.Loss;
            GradientNorms.Add(taken.GradientNorm);
            _diagnostics.Stepped(new StepMetrics(step, taken.Loss, taken.LearningRate, taken.GradientNorm, taken.WeightNorm, taken.NormRatio, 1, 1), _writer, (_, _) => { });
        }

        /// <summary>u of the last step, from the moments that it left.</summary>
        public float[] Direction()
        {
            float[] m = Download(Model.Tensors.FirstMoment);
            if (_options.Kind == OptimizerKind.Sgd)
                return m;
            float[] v = Download(Model.Tensors.SecondMoment);
            double first = 1 - Math.Pow(_options.Beta1, Steps), second = 1 - Math.Pow(_options.Beta2, Steps);
            return [.. m.Zip(v, (x, y) => (float)(x / first / (Math.Sqrt(y / second) + _options.Epsilon)))];
        }

        public double Noise() => 0.5 * Gradients.Zip(_firstHalf, (g, half) => Math.Pow((2.0 * half) - (2.0 * ((double)g - half)), 2)).Sum();

        public double LargestLogit()
        {
            double largest = 0;
            var logits = new float[Tiny.Vocabulary];
            for (int length = 1; length <= T; length++)
            {
                Model.NextTokenLogits(_probe.Tokens.AsSpan(0, length), logits);
                largest = Math.Max(largest, logits.Max(Math.Abs));
            }

            return largest;
        }

        public Dictionary<string, double> Last()
        {
            var history = MetricsHistory.Load(_folder.PathOf("metrics.jsonl"));
            return history.Names.ToDictionary(name => name, name => history.Series(name).Values[^1]);
        }

        public void Dispose()
        {
            _writer.Dispose();
            Optimizer.Dispose();
            Model.Dispose();
            _backend.Dispose();
            _folder.Dispose();
        }

        private int[] Tokens() => [.. Enumerable.Range(0, B * T).Select(_ => _random.Next(Tiny.Vocabulary))];

        private float[] Download(Tensor tensor)
        {
            var values = new float[tensor.Count];
            _backend.Download(tensor, values);
            return values;
        }
    }
}
