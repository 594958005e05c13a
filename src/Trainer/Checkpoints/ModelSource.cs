using Trainer.Compute;
using Trainer.Model;

namespace Trainer.Checkpoints;

/// <summary>Where weights come from: a checkpoint folder, the newest checkpoint of a run, or an llm.c model file.</summary>
public sealed class ModelSource
{
    private readonly string _file;

    private ModelSource(string file, ModelConfig config, string? run, string? checkpoint) =>
        (_file, Config, Run, Checkpoint) = (file, config, run, checkpoint);

    /// <summary>The sizes of the model.</summary>
    public ModelConfig Config { get; }

    /// <summary>The run directory that the weights are part of, if they are.</summary>
    public string? Run { get; }

    /// <summary>The checkpoint folder that the weights are part of, if they are.</summary>
    public string? Checkpoint { get; }

    /// <summary>Finds the weights at a path. The files of a checkpoint are checked against their digests.</summary>
    /// <exception cref="RequestException">There is nothing of the kind, or it is corrupt.</exception>
    public static ModelSource Open(string path)
    {
        ArgumentNullException.ThrowIfNull(path);
        if (File.Exists(path))
        {
            using var file = LlmcModelFile.Open(path);
            return new ModelSource(path, file.Config, null, null);
        }

        if (!Directory.Exists(path))
            throw new RequestException($"{path} does not exist; give a run directory, a checkpoint folder or an llm.c model file.");
        string? folder = File.Exists(Path.Combine(path, FileDigest.FileName)) ? path : new CheckpointStore(new RunPaths(path).Checkpoints).FindNewest();
        if (folder is null)
            throw new RequestException($"{path} holds no checkpoint; give a run directory, a checkpoint folder or an llm.c model file.");
        try
        {
            var checkpoint = Checkpoints.Checkpoint.Open(folder);
            return new ModelSource(checkpoint.ModelPath, checkpoint.Model, RunOf(folder), folder);
        }
        catch (RequestException) when (folder != path && !Directory.Exists(folder))
        {
            // The run is being trained and has replaced this checkpoint by a newer one meanwhile.
            return Open(path);
        }
    }

    /// <summary>Loads the weights.</summary>
    /// <param name="backend">The device.</param>
    /// <param name="weights">All parameters of a model of this <see cref="Config"/>, overwritten.</param>
    public void Load(IBackend backend, Tensor weights)
    {
        using var file = LlmcModelFile.Open(_file);
        file.ReadInto(backend, weights);
    }

    /// <summary>A checkpoint lies at <c>run/checkpoints/step-N</c>.</summary>
    private static string? RunOf(string checkpoint) => Path.GetDirectoryName(Path.GetDirectoryName(Path.GetFullPath(checkpoint)));
}
