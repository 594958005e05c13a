using System.Diagnostics;
using Trainer.Checkpoints;
using Trainer.Compute;
using Trainer.Metrics;
using Trainer.Training;

namespace Trainer.Experiments;

/// <summary>Is told how an experiment goes, from several threads at once.</summary>
public interface ILabObserver
{
    /// <summary>A run is finished, now or by an earlier call.</summary>
    /// <param name="run">The run.</param>
    /// <param name="elapsed">Zero for one that was finished before.</param>
    /// <param name="done">The runs finished.</param>
    /// <param name="total">All runs of the experiment.</param>
    void Finished(FinishedRun run, TimeSpan elapsed, int done, int total);
}

/// <summary>
/// Runs the arms of experiments, several at once, in directories <c>output/ID/arm-sSEED</c>. What is finished is not run again, and what was
/// interrupted goes on from its last checkpoint.
/// </summary>
/// <param name="output">Where all experiments are.</param>
/// <param name="common">Data and device of all runs.</param>
/// <param name="jobs">Runs at once.</param>
/// <param name="open">Opens the device of a run.</param>
/// <param name="observer">Is told how it goes.</param>
public sealed class LabRunner(string output, TrainingSettings common, int jobs, Func<TrainingSettings, IBackend> open, ILabObserver observer)
{
    /// <summary>Where an experiment is.</summary>
    public string DirectoryOf(Experiment experiment)
    {
        ArgumentNullException.ThrowIfNull(experiment);
        return Path.Combine(output, experiment.Id);
    }

    /// <summary>Runs an experiment to its end.</summary>
    /// <param name="experiment">What to run.</param>
    /// <param name="seeds">The seeds 1 to this many.</param>
    /// <param name="stop">Asks for an end: every run writes a checkpoint.</param>
    /// <exception cref="OperationCanceledException">It was stopped; the same call goes on from there.</exception>
    /// <exception cref="RequestException">A directory holds a run with other settings.</exception>
    /// <exception cref="RunFailedException">A run failed.</exception>
    public ExperimentResults Run(Experiment experiment, int seeds, CancellationToken stop)
    {
        ArgumentNullException.ThrowIfNull(experiment);
        List<ulong> all = [.. Enumerable.Range(1, seeds).Select(seed => (ulong)seed)];
        var queue = new RunQueue(all.SelectMany(seed => experiment.Arms.Select(arm => (arm, seed))));
        using var failed = CancellationTokenSource.CreateLinkedTokenSource(stop);
        var workers = Enumerable.Range(0, jobs).Select(_ => Task.Factory.StartNew(() => Work(experiment, queue, failed), CancellationToken.None,
            TaskCreationOptions.LongRunning, TaskScheduler.Default)).ToArray();
        try
        {
            Task.WaitAll(workers, CancellationToken.None);
        }
        catch (AggregateException exception)
        {
            // The first failure has stopped the others, whose interruption is of no interest.
            Exception first = exception.Flatten().InnerExceptions.OrderBy(inner => inner is OperationCanceledException).First();
            System.Runtime.ExceptionServices.ExceptionDispatchInfo.Throw(first);
        }

        return Results(experiment, all);
    }

    /// <summary>Reads what an experiment has finished; null unless that is every arm of at least one seed.</summary>
    public ExperimentResults? Load(Experiment experiment)
    {
        ArgumentNullException.ThrowIfNull(experiment);
        List<ulong> whole = [];
        for (ulong seed = 1; experiment.Arms.All(arm => IsFinished(PathOf(experiment, arm, seed))); seed++)
            whole.Add(seed);
        return whole.Count > 0 ? Results(experiment, whole) : null;
    }

    private const string FinishedFile = "finished";

    private static bool IsFinished(string directory) => File.Exists(Path.Combine(directory, FinishedFile));

    private string PathOf(Experiment experiment, Arm arm, ulong seed) =>
        Path.Combine(DirectoryOf(experiment), string.Create(System.Globalization.CultureInfo.InvariantCulture, $"{arm.Name}-s{seed}"));

    private ExperimentResults Results(Experiment experiment, List<ulong> seeds) => new(experiment, seeds,
        [.. experiment.Arms.SelectMany(arm => seeds.Select(seed => FinishedRun.Load(arm.Name, seed, PathOf(experiment, arm, seed))))]);

    private void Work(Experiment experiment, RunQueue queue, CancellationTokenSource failed)
    {
        while (queue.Next(failed.Token) is var (arm, seed))
        {
            try
            {
                long started = Stopwatch.GetTimestamp();
                string directory = PathOf(experiment, arm, seed);
                bool ran = Run(experiment, arm, seed, directory, failed.Token);
                queue.Done(arm, seed);
                observer.Finished(FinishedRun.Load(arm.Name, seed, directory), ran ? Stopwatch.GetElapsedTime(started) : TimeSpan.Zero, queue.Finished, queue.Total);
            }
            catch
            {
                failed.Cancel();
                throw;
            }
        }
    }

    // Whether there was anything left to run.
    private bool Run(Experiment experiment, Arm arm, ulong seed, string directory, CancellationToken stop)
    {
        string marker = Path.Combine(directory, FinishedFile);
        if (arm is ToyArm toy)
        {
            if (IsFinished(directory))
                return false;
            if (Directory.Exists(directory))
                Directory.Delete(directory, recursive: true);
            toy.Run(directory, seed);
            File.WriteAllText(marker, string.Empty);
            return true;
        }

        var context = new ArmContext(common with { Seed = seed }, name => FinishedRun.Load(name, seed, PathOf(experiment, experiment.Arms.First(other => other.Name == name), seed)));
        TrainingSettings settings = ((TrainingArm)arm).Settings(context);
        settings.Validate();
        settings = settings.WithDefaults();
        string record = new RunPaths(directory).Config;
        if (File.Exists(record) && TrainingSettings.FromFile(record).ToJson() != settings.ToJson())
            throw new RequestException($"{directory} holds a run with other settings than {experiment.Id} has now; delete it, or give another --output.");
        if (IsFinished(directory))
            return false;
        using IBackend backend = open(settings);
        using TrainingData data = TrainingData.Open(settings, cancellation: stop);
        using var run = TrainingRun.Open(settings with { Run = directory, Resume = File.Exists(record) }, data, backend);
        if (run.Train(new Silent(), stop).Interrupted)
            throw new OperationCanceledException(stop);
        File.WriteAllText(marker, string.Empty);
        return true;
    }

    /// <summary>Metrics are in the run's directory; nobody looks on.</summary>
    private sealed class Silent : ITrainingObserver
    {
        public void Started(TrainingPlan plan)
        {
        }

        public void Stepped(in StepMetrics metrics)
        {
        }

        public void Evaluated(in EvaluationMetrics metrics)
        {
        }

        public void Sampled(long step, string text)
        {
        }

        public void Noticed(long step, string text)
        {
        }

        public void Saved(long step, string path)
        {
        }

        public void Finished(TrainingSummary summary)
        {
        }
    }
}
