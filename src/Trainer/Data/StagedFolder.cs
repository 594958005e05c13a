namespace Trainer.Data;

/// <summary>
/// A folder that is filled under a temporary name beside its final one, and given that by renaming: who finds it finds it whole.
/// </summary>
internal sealed class StagedFolder : IDisposable
{
    private const string LockName = ".lock";

    private readonly string _final;
    private readonly bool _overwrite;
    private readonly FileStream _lock;
    private readonly IReadOnlyList<string> _missing;

    /// <summary>Makes the temporary folder, replacing one that a killed program left.</summary>
    /// <param name="final">The final name.</param>
    /// <param name="overwrite">Whether a dataset of that name may be replaced.</param>
    /// <exception cref="RequestException">The final name is taken by something that may not be replaced, or another program is making it.</exception>
    public StagedFolder(string final, bool overwrite)
    {
        _final = System.IO.Path.GetFullPath(final).TrimEnd(System.IO.Path.DirectorySeparatorChar);
        _overwrite = overwrite;
        CheckFinal();
        Path = _final + ".partial";
        _missing = Missing(System.IO.Path.GetDirectoryName(_final));
        try
        {
            Directory.CreateDirectory(Path);
            string lockPath = System.IO.Path.Combine(Path, LockName);
            _lock = new FileStream(lockPath, FileMode.Create, FileAccess.Write, FileShare.None, bufferSize: 0, FileOptions.DeleteOnClose);
        }
        catch (IOException error) when (SharingViolation.Is(error))
        {
            throw new RequestException($"{Path}: another program is making {final}; wait for it or choose another --output.", error);
        }
        catch (Exception error) when (error is IOException or UnauthorizedAccessException)
        {
            throw new RequestException($"{Path}: cannot be written: {error.Message}", error);
        }

        foreach (string left in Directory.EnumerateFiles(Path).Where(file => System.IO.Path.GetFileName(file) != LockName))
            File.Delete(left);
    }

    /// <summary>The temporary folder, to be filled.</summary>
    public string Path { get; }

    /// <summary>Gives the folder its final name.</summary>
    /// <exception cref="RequestException">Meanwhile something that may not be replaced took the name.</exception>
    public void Publish()
    {
        _lock.Dispose();
        CheckFinal();
        string replaced = _final + ".replaced";
        if (Dataset.Exists(replaced))
            Directory.Delete(replaced, recursive: true);
        if (Directory.Exists(_final))
            Directory.Move(_final, replaced);
        Directory.Move(Path, _final);
        if (Directory.Exists(replaced))
            Directory.Delete(replaced, recursive: true);
    }

    /// <summary>Deletes the folder if it was not published, and the folders around it that were made for it.</summary>
    public void Dispose()
    {
        _lock.Dispose();
        if (!Directory.Exists(Path))
            return;
        Directory.Delete(Path, recursive: true);
        foreach (string folder in _missing.TakeWhile(folder => !Directory.EnumerateFileSystemEntries(folder).Any()))
            Directory.Delete(folder);
    }

    // The folders that do not exist, from the innermost.
    private static List<string> Missing(string? folder)
    {
        var missing = new List<string>();
        for (; folder is not null && !Directory.Exists(folder); folder = System.IO.Path.GetDirectoryName(folder))
            missing.Add(folder);
        return missing;
    }

    private void CheckFinal()
    {
        if (File.Exists(_final))
            throw new RequestException($"{_final}: is a file; choose another --output.");
        if (!Directory.Exists(_final) || !Directory.EnumerateFileSystemEntries(_final).Any())
            return;
        if (!Dataset.Exists(_final))
            throw new RequestException($"{_final}: holds something that is not a dataset, and is left alone; choose another --output.");
        if (!_overwrite)
            throw new RequestException($"{_final}: holds a dataset; choose another --output, or --overwrite to replace it.");
    }
}
