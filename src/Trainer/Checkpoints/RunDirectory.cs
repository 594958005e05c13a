namespace Trainer.Checkpoints;

/// <summary>Where the files of a run are.</summary>
/// <param name="Root">The run's directory.</param>
public readonly record struct RunPaths(string Root)
{
    /// <summary>Everything that is needed to repeat the run.</summary>
    public string Config => Path.Combine(Root, "config.json");

    /// <summary>One line for each step and evaluation.</summary>
    public string Metrics => Path.Combine(Root, "metrics.jsonl");

    /// <summary>The checkpoints.</summary>
    public string Checkpoints => Path.Combine(Root, "checkpoints");

    /// <summary>The samples drawn while training.</summary>
    public string Samples => Path.Combine(Root, "samples.txt");

    /// <summary>The page that shows the run.</summary>
    public string Report => Path.Combine(Root, "report.html");

    internal string Lock => Path.Combine(Root, "run.lock");
}

/// <summary>
/// The directory of a run that is being trained, held by one process at a time. To look into a run, only its <see cref="RunPaths"/> are
/// needed.
/// </summary>
public sealed class RunDirectory : IDisposable
{
    private readonly FileStream _lock;
    private readonly bool _made;

    private RunDirectory(RunPaths paths, FileStream @lock, bool made) => (Paths, _lock, _made) = (paths, @lock, made);

    /// <summary>Where the files are.</summary>
    public RunPaths Paths { get; }

    /// <summary>Makes the directory of a new run.</summary>
    /// <exception cref="RequestException">It holds a run already, is in use, or cannot be written.</exception>
    public static RunDirectory Create(string path)
    {
        var paths = new RunPaths(path);
        bool made = !Directory.Exists(path);
        try
        {
            Directory.CreateDirectory(path);
        }
        catch (Exception exception) when (exception is IOException or UnauthorizedAccessException)
        {
            throw new RequestException($"the run directory {path} cannot be made: {exception.Message}", exception);
        }

        RunDirectory run = Acquire(paths, made);
        if (!Holds(paths))
            return run;
        run.Dispose();
        throw new RequestException($"{path} holds a run already; continue it with --resume or choose another --run.");
    }

    /// <summary>Takes up the directory of a run that was interrupted.</summary>
    /// <exception cref="RequestException">There is no run in it, or it is in use.</exception>
    public static RunDirectory Resume(string path)
    {
        var paths = new RunPaths(path);
        if (!File.Exists(paths.Config))
            throw HoldsNoRun(path);
        return Acquire(paths, made: false);
    }

    /// <summary>Writes <c>config.json</c> at once: a reader finds the old one or the new one.</summary>
    /// <exception cref="RunFailedException">The disk is full or not writable.</exception>
    public void WriteConfig(ReadOnlySpan<byte> utf8Json)
    {
        try
        {
            DurableFile.Replace(Paths.Config, utf8Json);
        }
        catch (Exception exception) when (exception is IOException or UnauthorizedAccessException)
        {
            throw new RunFailedException($"{Paths.Config} could not be written: {exception.Message}", exception);
        }
    }

    /// <summary>Lets another process take up the run.</summary>
    public void Dispose() => _lock.Dispose();

    /// <summary>Lets go of a directory after a failure. One that holds no run yet is left as it was found.</summary>
    internal void Abandon()
    {
        Dispose();
        if (Holds(Paths))
            return;
        File.Delete(Paths.Lock);
        if (_made && !Directory.EnumerateFileSystemEntries(Paths.Root).Any())
            Directory.Delete(Paths.Root);
    }

    internal static RequestException HoldsNoRun(string path) =>
        new($"{path} holds no run to resume ({Path.GetFileName(new RunPaths(path).Config)} is missing); leave --resume out to begin one.");

    private static bool Holds(RunPaths paths) => File.Exists(paths.Config) || File.Exists(paths.Metrics) || Directory.Exists(paths.Checkpoints);

    // The system gives the lock back when a process ends in whatever way; the file itself stays, for deleting it could race.
    private static RunDirectory Acquire(RunPaths paths, bool made)
    {
        try
        {
            return new RunDirectory(paths, new FileStream(paths.Lock, FileMode.OpenOrCreate, FileAccess.ReadWrite, FileShare.None), made);
        }
        catch (IOException exception) when (SharingViolation.Is(exception))
        {
            throw new RequestException($"the run directory {paths.Root} is in use by another process; wait for it or choose another --run.", exception);
        }
        catch (Exception exception) when (exception is IOException or UnauthorizedAccessException)
        {
            throw new RequestException($"the run directory {paths.Root} cannot be written: {exception.Message}", exception);
        }
    }
}
