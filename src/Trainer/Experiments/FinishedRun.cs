using System.Globalization;
using System.Text.Json;
using Trainer.Checkpoints;
using Trainer.Metrics;
using Trainer.Model;
using Trainer.Training;

namespace Trainer.Experiments;

/// <summary>A run that has ended, as an experiment reads it.</summary>
public sealed class FinishedRun
{
    private readonly Dictionary<string, double> _result = [];

    private FinishedRun(string arm, ulong seed, string directory, MetricsHistory history) =>
        (Arm, Seed, Directory, History) = (arm, seed, directory, history);

    /// <summary>The arm.</summary>
    public string Arm { get; }

    /// <summary>The seed.</summary>
    public ulong Seed { get; }

    /// <summary>The run directory.</summary>
    public string Directory { get; }

    /// <summary>All of its metrics.</summary>
    public MetricsHistory History { get; }

    /// <summary>The settings of a training run.</summary>
    public TrainingSettings Settings => TrainingSettings.FromFile(new RunPaths(Directory).Config);

    /// <summary>C, the number of regularised weights of a training run.</summary>
    public long RegularisedParameters
    {
        get
        {
            string newest = new CheckpointStore(new RunPaths(Directory).Checkpoints).FindNewest() ?? throw new RequestException($"{Directory} holds no checkpoint.");
            return Settings.OptimizerOptions().Regularizer.Create(new ParameterLayout(Checkpoints.Checkpoint.Open(newest).Model)).Groups.ParameterCount;
        }
    }

    /// <summary>Reads a run.</summary>
    /// <exception cref="RequestException">It has no metrics.</exception>
    public static FinishedRun Load(string arm, ulong seed, string directory)
    {
        var run = new FinishedRun(arm, seed, directory, MetricsHistory.Load(new RunPaths(directory).Metrics));
        string result = Path.Combine(directory, ToyRun.ResultFile);
        if (File.Exists(result))
        {
            using var document = JsonDocument.Parse(File.ReadAllBytes(result));
            foreach (JsonProperty member in document.RootElement.EnumerateObject())
            {
                if (member.Value.ValueKind == JsonValueKind.Number)
                    run._result[member.Name] = member.Value.GetDouble();
            }
        }

        return run;
    }

    /// <summary>The last value of a metric; not a number when there is none.</summary>
    public double Last(string metric) => History.Series(metric) is { Count: > 0 } series ? series.Values[^1] : double.NaN;

    /// <summary>The value of a metric at the last of its steps that is not after one; not a number when there is none.</summary>
    public double At(string metric, long step)
    {
        MetricsSeries series = History.Series(metric);
        int last = series.Count - 1;
        while (last >= 0 && series.Steps[last] > step)
            last--;
        return last >= 0 ? series.Values[last] : double.NaN;
    }

    /// <summary>The mean of a metric over its steps in (from, to].</summary>
    public double Mean(string metric, long from, long to)
    {
        MetricsSeries series = History.Series(metric);
        double[] values = [.. Enumerable.Range(0, series.Count).Where(i => series.Steps[i] > from && series.Steps[i] <= to).Select(i => series.Values[i])];
        return values.Length > 0 ? values.Average() : double.NaN;
    }

    /// <summary>A number of a toy's result; not a number when there is none.</summary>
    public double Result(string name) => _result.GetValueOrDefault(name, double.NaN);

    /// <summary>The folder of a checkpoint, for a branch.</summary>
    public string Checkpoint(long step) => Path.Combine(new RunPaths(Directory).Checkpoints, "step-" + step.ToString("D8", CultureInfo.InvariantCulture));
}
