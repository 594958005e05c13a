using Trainer.Checkpoints;

namespace Trainer.Training;

/// <summary>Where a run branches off another: one of its checkpoints.</summary>
internal static class BranchPoint
{
    /// <summary>Opens the checkpoint.</summary>
    /// <param name="path">A checkpoint folder, or a run for its newest one.</param>
    /// <param name="data">What the branch trains on: the same as the run.</param>
    /// <exception cref="RequestException">There is none, it is corrupt, or the data are others.</exception>
    public static Checkpoint Open(string path, TrainingData data)
    {
        RunRecord.CheckSameData(RecordOf(path), data);
        string folder = IsCheckpoint(path) ? path : new CheckpointStore(new RunPaths(path).Checkpoints).FindNewest()
            ?? throw new RequestException($"{path} holds no checkpoint to branch from; let it run to its first one (--checkpoint-every).");
        return Checkpoint.Open(folder);
    }

    /// <summary>The recorded configuration of the run that a path belongs to.</summary>
    /// <exception cref="RequestException">There is none.</exception>
    public static string RecordOf(string path)
    {
        string run = IsCheckpoint(path) ? Path.GetDirectoryName(Path.GetDirectoryName(Path.GetFullPath(path)))! : path;
        string record = new RunPaths(run).Config;
        return File.Exists(record) ? record
            : throw new RequestException($"{path} is neither a run nor one of its checkpoints: there is no {record}.\nName the directory of a run, or a folder in its checkpoints/.");
    }

    private static bool IsCheckpoint(string path) => File.Exists(Path.Combine(path, FileDigest.FileName));
}
