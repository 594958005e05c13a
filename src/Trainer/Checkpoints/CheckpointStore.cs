using System.Globalization;
using Trainer.Compute;
using Trainer.Model;
using Trainer.Optimization;

namespace Trainer.Checkpoints;

/// <summary>
/// The checkpoints of a run, one folder for each: <c>step-00000100</c>. A folder gets its name only when all of its files are on the
/// disk, so that a folder of that name is complete whenever the run is killed.
/// </summary>
public sealed class CheckpointStore
{
    private const string Prefix = "step-";
    private const string TemporarySuffix = ".tmp";
    private const string ReplacedSuffix = ".replaced";

    private readonly string _directory;
    private readonly int _keep;
    private readonly Func<string, Stream> _create;

    /// <summary>Refers to a directory of checkpoints, which need not exist yet.</summary>
    /// <param name="directory">The directory.</param>
    /// <param name="keep">How many of the newest checkpoints to keep; 0 keeps all.</param>
    /// <exception cref="RequestException"><paramref name="keep"/> is negative.</exception>
    public CheckpointStore(string directory, int keep = 0)
        : this(directory, keep, path => new FileStream(path, FileMode.CreateNew, FileAccess.Write, FileShare.None, bufferSize: 0))
    {
    }

    /// <param name="directory">The directory.</param>
    /// <param name="keep">How many of the newest checkpoints to keep; 0 keeps all.</param>
    /// <param name="create">Creates the file that it is given the path of.</param>
    internal CheckpointStore(string directory, int keep, Func<string, Stream> create)
    {
        ArgumentNullException.ThrowIfNull(directory);
        if (keep < 0)
            throw new RequestException($"--keep must be 0 (all) or the number of checkpoints to keep, but is {keep}.");
        (_directory, _keep, _create) = (directory, keep, create);
    }

    /// <summary>Writes a checkpoint, then deletes those that are no longer kept.</summary>
    /// <param name="backend">The device.</param>
    /// <param name="model">The sizes.</param>
    /// <param name="weights">All parameters.</param>
    /// <param name="optimizer">Their optimizer; its step names the checkpoint.</param>
    /// <param name="progress">How far the training loop is.</param>
    /// <param name="averages">Averages of the weights; none, or without any in it, makes no file of them.</param>
    /// <returns>The folder.</returns>
    /// <exception cref="RunFailedException">The disk is full or not writable; checkpoints written before are as they were.</exception>
    public string Write(IBackend backend, ModelConfig model, Tensor weights, WeightOptimizer optimizer, TrainingProgress progress, WeightAverages? averages = null)
    {
        ArgumentNullException.ThrowIfNull(optimizer);
        var state = new CheckpointState(progress, optimizer.State());
        string path = Path.Combine(_directory, Prefix + state.Step.ToString("D8", CultureInfo.InvariantCulture));
        string temporary = path + TemporarySuffix;
        try
        {
            CleanUp();
            if (!Directory.Exists(_directory))
            {
                Directory.CreateDirectory(_directory);
                DurableFile.FlushDirectory(Path.GetDirectoryName(Path.GetFullPath(_directory))!);
            }

            Directory.CreateDirectory(temporary);
            List<FileDigest> digests =
            [
                WriteFile(temporary, Checkpoint.ModelFileName, stream => LlmcModelFile.Write(stream, backend, model, weights)),
                WriteFile(temporary, Checkpoint.OptimizerFileName, stream => MomentFile.Write(stream, backend, optimizer.Moments)),
                WriteFile(temporary, Checkpoint.StateFileName, stream => CheckpointStateFile.Write(stream, state)),
            ];
            if (averages is { Coefficients.Count: > 0 })
                digests.Add(WriteFile(temporary, Checkpoint.AveragesFileName, stream => AverageFile.Write(stream, backend, averages)));
            WriteFile(temporary, FileDigest.FileName, stream => FileDigest.Write(stream, digests));
            DurableFile.FlushDirectory(temporary);
            Publish(temporary, path);
        }
        catch (Exception exception)
        {
            DeleteQuietly(temporary);
            if (exception is not (IOException or UnauthorizedAccessException))
                throw;
            throw new RunFailedException($"the checkpoint {path} could not be written: {exception.Message}\n{WhatIsLeft()}", exception);
        }

        DeleteOld(state.Step);
        return path;
    }

    /// <summary>The newest complete checkpoint, or null when there is none. Temporary folders of a killed run are not looked at.</summary>
    public string? FindNewest() => Complete().Select(entry => entry.Path).LastOrDefault();

    /// <summary>Clears away what a killed run left behind. Only for the process that trains the run: another may be writing.</summary>
    public void CleanUp()
    {
        if (!Directory.Exists(_directory))
            return;
        foreach (string leftover in Directory.GetDirectories(_directory, Prefix + "*" + TemporarySuffix))
            Directory.Delete(leftover, recursive: true);
        foreach (string replaced in Directory.GetDirectories(_directory, Prefix + "*" + ReplacedSuffix))
        {
            string path = replaced[..^ReplacedSuffix.Length];
            if (Directory.Exists(path))
                Directory.Delete(replaced, recursive: true);
            else
                Directory.Move(replaced, path);
        }
    }

    private FileDigest WriteFile(string directory, string name, Action<Stream> write)
    {
        using Stream file = _create(Path.Combine(directory, name));
        using var digest = new DigestStream(file);
        write(digest);
        DurableFile.Flush(file);
        return digest.Digest(name);
    }

    // A folder cannot replace another at once. The old one steps aside first, and while it is aside it still counts as the checkpoint
    // of its step.
    private void Publish(string temporary, string path)
    {
        string replaced = path + ReplacedSuffix;
        bool replaces = Directory.Exists(path);
        if (replaces)
            Directory.Move(path, replaced);
        Directory.Move(temporary, path);
        DurableFile.FlushDirectory(_directory);
        if (replaces)
            Directory.Delete(replaced, recursive: true);
    }

    // Renamed first: a run that is killed while deleting must not leave a folder that looks complete.
    private void DeleteOld(long newest)
    {
        if (_keep == 0)
            return;
        foreach ((long _, string path) in Complete().Where(entry => entry.Step < newest).SkipLast(_keep - 1).ToList())
        {
            try
            {
                string temporary = path + TemporarySuffix;
                Directory.Move(path, temporary);
                Directory.Delete(temporary, recursive: true);
            }
            catch (Exception exception) when (exception is IOException or UnauthorizedAccessException)
            {
                throw new RunFailedException($"the old checkpoint {path} could not be deleted: {exception.Message}\n{WhatIsLeft()}", exception);
            }
        }
    }

    private List<(long Step, string Path)> Complete()
    {
        var found = new List<(long Step, string Path)>();
        if (!Directory.Exists(_directory))
            return found;
        foreach (string path in Directory.EnumerateDirectories(_directory, Prefix + "*"))
        {
            string name = path.EndsWith(ReplacedSuffix, StringComparison.Ordinal) ? path[..^ReplacedSuffix.Length] : path;
            bool stands = name == path || !Directory.Exists(name);
            if (stands
                && long.TryParse(Path.GetFileName(name.AsSpan())[Prefix.Length..], NumberStyles.None, CultureInfo.InvariantCulture, out long step)
                && File.Exists(Path.Combine(path, FileDigest.FileName)))
            {
                found.Add((step, path));
            }
        }

        found.Sort();
        return found;
    }

    private string WhatIsLeft() => Complete().LastOrDefault() is { Path: { } newest }
        ? $"The checkpoint {newest} is complete; put the disk right and continue from it with --resume."
        : "There is no earlier checkpoint; put the disk right and begin again with --resume.";

    private static void DeleteQuietly(string directory)
    {
        try
        {
            if (Directory.Exists(directory))
                Directory.Delete(directory, recursive: true);
        }
        catch (Exception exception) when (exception is IOException or UnauthorizedAccessException)
        {
            // The next run's CleanUp deletes it; the failure that led here is the one to report.
        }
    }
}
