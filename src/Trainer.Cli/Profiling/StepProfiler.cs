using System.Globalization;
using Trainer.Compute;
using Trainer.Cuda;
using Trainer.Cuda.Profiling;
using Trainer.Model;
using Trainer.Optimization;
using Trainer.Profiling;
using Trainer.Training;

namespace Trainer.Cli.Profiling;

/// <summary>
/// Takes steps of a training run on random tokens and times their operations. Nothing is read or written, and the device is left as it was found.
/// </summary>
internal sealed class StepProfiler : IDisposable
{
    private readonly IBackend _backend;
    private readonly Gpt2 _model;
    private readonly WeightOptimizer _optimizer;
    private readonly ProfileClock _clock = new();
    private readonly ProfilerMarks _marks;
    private readonly HostTimeline _host;
    private readonly CudaTimeline? _device;
    private readonly int[] _tokens, _targets;
    private readonly int _batchSize, _sequenceLength, _microBatches;

    private StepProfiler(IBackend backend, TrainingSettings settings, Gpt2 model, WeightOptimizer optimizer)
    {
        (_backend, _model, _optimizer) = (backend, model, optimizer);
        (_batchSize, _sequenceLength) = (settings.BatchSize!.Value, settings.SeqLen!.Value);
        _microBatches = settings.TotalBatchTokens!.Value / (_batchSize * _sequenceLength);
        _tokens = Tokens(settings.Seed, stream: 1);
        _targets = Tokens(settings.Seed, stream: 2);

        var cuda = backend as CudaBackend;
        _marks = new ProfilerMarks(usesDriver: cuda is not null);
        _host = new HostTimeline(backend, _clock, _marks);
        _device = cuda is null ? null : new CudaTimeline(cuda, _clock, _host);
    }

    /// <summary>Profiles steps.</summary>
    /// <param name="backend">The device.</param>
    /// <param name="settings">What the run would be made with.</param>
    /// <param name="vocabulary">V.</param>
    /// <param name="steps">How many steps are timed, after one that is not.</param>
    /// <param name="stop">Ends the profile between steps.</param>
    public static StepProfile Run(IBackend backend, TrainingSettings settings, int vocabulary, int steps, CancellationToken stop) =>
        Run(backend, settings, vocabulary, steps, () => Roofline.Measure(backend, stop), stop);

    /// <summary>Profiles steps.</summary>
    /// <param name="backend">The device.</param>
    /// <param name="settings">What the run would be made with.</param>
    /// <param name="vocabulary">V.</param>
    /// <param name="steps">How many steps are timed, after one that is not.</param>
    /// <param name="measure">Measures what the device can do.</param>
    /// <param name="stop">Ends the profile between steps.</param>
    internal static StepProfile Run(IBackend backend, TrainingSettings settings, int vocabulary, int steps, Func<Roofline> measure, CancellationToken stop)
    {
        settings = settings.WithDefaults();
        ModelConfig config = settings.ModelConfig(vocabulary);

        // Before the model takes the memory, and after it has given it back.
        Roofline before = measure();
        IReadOnlyList<ProfiledStep> profiled;
        (double Step, double Host)[] plain;
        using (var model = new Gpt2(backend, config, settings.BatchSize!.Value, settings.SeqLen!.Value, ModelUse.Train, settings.RecomputeLevel()))
        using (var optimizer = new WeightOptimizer(backend, model.Layout, model.Tensors, settings.OptimizerOptions()))
        using (var profiler = new StepProfiler(backend, settings, model, optimizer))
        {
            ParameterInitializer.Initialize(backend, model.Layout, model.Parameters, settings.Seed);
            model.RefreshWeights();
            optimizer.Start();
            profiler.Step(_ => { });
            plain = backend.RunsAhead ? profiler.PlainSteps(steps, stop) : [];
            profiled = profiler.ObservedSteps(steps, stop);
        }

        var roofline = Roofline.Higher(before, measure());
        string sizes = string.Create(CultureInfo.InvariantCulture, $"L{config.Layers} H{config.Heads} C{config.Channels} T{settings.SeqLen} V{config.Vocabulary}")
            + string.Create(CultureInfo.InvariantCulture, $" B{settings.BatchSize}, {settings.TotalBatchTokens:N0} tokens a step");
        double step = Median(plain.Length > 0 ? plain.Select(times => times.Step) : profiled.Select(one => one.Whole.Seconds));
        return new StepProfile(backend.Description, sizes, settings.TotalBatchTokens!.Value, roofline, profiled, step,
            plain.Length > 0 ? Median(plain.Select(times => times.Host)) : null);
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        // Still there when a step failed.
        _backend.Observer = null;
        _device?.Dispose();
    }

    private static double Median(IEnumerable<double> values)
    {
        double[] sorted = [.. values.Order()];
        return sorted[sorted.Length / 2];
    }

    // A step as it is without anybody observing it: the whole, and until everything is asked for.
    private (double Step, double Host)[] PlainSteps(int steps, CancellationToken stop)
    {
        var times = new (double, double)[steps];
        for (int i = 0; i < steps; i++)
        {
            stop.ThrowIfCancellationRequested();
            _backend.Synchronize();
            var phases = new List<HostSpan>();
            HostSpan whole = Step(phases.Add);
            times[i] = (whole.Seconds, whole.Seconds - phases[^1].Seconds);
        }

        return times;
    }

    private List<ProfiledStep> ObservedSteps(int steps, CancellationToken stop)
    {
        var profiled = new List<ProfiledStep>();

        // Once before it counts: events are made, and kernels launched one by one that were in a graph.
        _ = Observed(0);
        _marks.StartRecording();
        for (int i = 1; i <= steps; i++)
        {
            stop.ThrowIfCancellationRequested();
            profiled.Add(Observed(i));
        }

        _marks.StopRecording();
        return profiled;
    }

    private ProfiledStep Observed(int number)
    {
        _host.Begin();
        _device?.Begin();
        var phases = new List<HostSpan>();
        _marks.Push("step");
        HostSpan whole = Step(phases.Add);
        _marks.Pop();
        IReadOnlyList<TimedOperation>? device = _device?.End();
        IReadOnlyList<TimedOperation> host = _host.End();
        return new ProfiledStep(number, whole, phases, device ?? host, device is null ? [] : host);
    }

    // The last phase is the waiting.
    private HostSpan Step(Action<HostSpan> done)
    {
        double begun = _clock.Now;
        for (int i = 0; i < _microBatches; i++)
        {
            bool accumulate = i > 0;
            Phase("forward and backward", () => _model.LossAndGradients(_tokens, _targets, _batchSize, _sequenceLength, _microBatches, accumulate));
        }

        Phase("optimizer", () => _optimizer.BeginStep(_model.TotalLoss));
        Phase("wait", () => _optimizer.FinishStep());
        return new HostSpan("step", begun, _clock.Now - begun);

        void Phase(string name, Action work)
        {
            double start = _clock.Now;
            _marks.Push(name);
            work();
            _marks.Pop();
            done(new HostSpan(name, start, _clock.Now - start));
        }
    }

    private int[] Tokens(ulong seed, ulong stream)
    {
        var random = new CounterRandom(seed, stream);
        return [.. Enumerable.Range(0, _batchSize * _sequenceLength).Select(index => (int)random.Below((ulong)index, (ulong)_model.Config.Vocabulary))];
    }
}
