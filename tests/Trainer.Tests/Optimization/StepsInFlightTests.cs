using Trainer.Compute;
using Trainer.Model;
using Trainer.Optimization;

namespace Trainer.Tests.Optimization;

/// <summary>What <see cref="WeightOptimizer"/> makes of a device that holds several steps, played by a script.</summary>
public sealed class StepsInFlightTests
{
    [Test]
    public void Steps_are_begun_with_their_own_number_and_rate_and_finished_in_order()
    {
        var pass = new ScriptedPass(mostInFlight: 3, new(true, 4, 1, 10), new(true, 3, 2, 20), new(true, 2, 3, 30), new(true, 1, 4, 40));
        using var trial = Trial(pass);
        for (int i = 0; i < 3; i++)
            trial.Optimizer.BeginStep();
        Assert.That(() => trial.Optimizer.BeginStep(), Throws.InvalidOperationException.With.Message.Contains("3 steps are in flight"));
        Assert.That(Told(trial.Optimizer.FinishStep()), Is.EqualTo(new OptimizerStep(1, true, 4, 0.25, 1, 10, 10 / trial.Initial)));
        Assert.That(trial.Optimizer.StepsInFlight, Is.EqualTo(2));
        trial.Optimizer.BeginStep();
        for (int step = 2; step <= 4; step++)
        {
            var expected = new OptimizerStep(step, true, 5 - step, 0.25 * step, step, 10 * step, 10 * step / trial.Initial);
            Assert.That(Told(trial.Optimizer.FinishStep()), Is.EqualTo(expected));
            Assert.That(trial.Optimizer.WeightNorm, Is.EqualTo(10 * step));
        }

        Assert.That(pass.Begun, Is.EqualTo(new[] { (1L, 0.25), (2L, 0.5), (3L, 0.75), (4L, 1.0) }));
        Assert.That(trial.Optimizer.StepsTaken, Is.EqualTo(4));
    }

    [Test]
    public void Steps_behind_one_that_was_not_taken_are_not_counted()
    {
        // A device that says of a step behind it that it was taken is not believed: its weights are another step's.
        var pass = new ScriptedPass(mostInFlight: 3, new(true, 4, 1, 10), new(false, double.NaN, 7, 10), new(false, double.NaN, 7, 10), new(true, 1, 4, 40));
        using var trial = Trial(pass);
        for (int i = 0; i < 3; i++)
            trial.Optimizer.BeginStep();
        Assert.That(trial.Optimizer.FinishStep().Taken);
        trial.Optimizer.BeginStep();
        for (int i = 3; i > 0; i--)
        {
            Assert.That(trial.Optimizer.StepsInFlight, Is.EqualTo(i));
            OptimizerStep step = trial.Optimizer.FinishStep();
            Assert.That((step.Step, step.Taken, step.LearningRate, step.WeightNorm), Is.EqualTo((2L, false, 0.5, 10.0)));
        }

        Assert.That(trial.Optimizer.StepsInFlight, Is.Zero);
        Assert.That(trial.Optimizer.StepsTaken, Is.EqualTo(1));
        Assert.That(trial.Optimizer.WeightNorm, Is.EqualTo(10));
        Assert.That(() => trial.Optimizer.FinishStep(), Throws.InvalidOperationException);
    }

    // The script says nothing of sums, from which the rest follows.
    private static OptimizerStep Told(OptimizerStep step) => step with { UpdateRatio = double.NaN, Angle = double.NaN, TargetGap = double.NaN };

    private static ScriptedTrial Trial(ScriptedPass pass) => new(pass);

    /// <summary>A pass that answers what it was given, and remembers what it was asked.</summary>
    private sealed class ScriptedPass(int mostInFlight, params PassResult[] results) : IOptimizerPass
    {
        private readonly Queue<PassResult> _results = new(results);

        public List<(long Step, double Multiplier)> Begun { get; } = [];

        public int MostInFlight => mostInFlight;

        public void Start(ReadOnlySpan<double> initialSums, ReadOnlySpan<double> sums, IReadOnlyList<double> state)
        {
        }

        public void Begin(in RegularizerStep step, Tensor loss) => Begun.Add((step.Step, step.Multiplier));

        public PassResult Finish(StepSums sums) => _results.Dequeue();

        public IReadOnlyList<double> State() => throw new NotSupportedException();

        public void Dispose()
        {
        }
    }

    private sealed class ScriptedTrial : IDisposable
    {
        private readonly ReferenceBackend _backend;
        private readonly TrainingTensors _tensors;

        public ScriptedTrial(ScriptedPass pass)
        {
            _backend = new ReferenceBackend { Optimizer = pass };
            var layout = new ParameterLayout(OptimizerTrial.Model);
            _tensors = OptimizerTrial.Allocate(_backend, layout);
            _backend.Upload<float>(Enumerable.Repeat(0.5f, (int)layout.Count).ToArray(), _tensors.Weights);
            var options = new OptimizerOptions { LearningRate = 1, Schedule = new() { Shape = ScheduleShape.Constant, WarmupSteps = 3, Steps = 10 } };
            Optimizer = new WeightOptimizer(_backend, layout, _tensors, options);
            Optimizer.Start();
            Initial = Optimizer.WeightNorm;
        }

        public WeightOptimizer Optimizer { get; }

        public double Initial { get; }

        public void Dispose()
        {
            Optimizer.Dispose();
            OptimizerTrial.Free(_backend, _tensors);
            _backend.Dispose();
        }
    }
}
