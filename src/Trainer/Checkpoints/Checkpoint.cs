using Trainer.Compute;
using Trainer.Model;
using Trainer.Optimization;

namespace Trainer.Checkpoints;

/// <summary>
/// A checkpoint folder: <c>model.bin</c> (an llm.c model file), <c>optimizer.bin</c> (the moments), <c>state.json</c> (the scalars),
/// <c>averages.bin</c> (averages of the weights, where the run has any) and <c>digests.json</c> (length and SHA-256 of the others).
/// </summary>
public sealed class Checkpoint
{
    internal const string ModelFileName = "model.bin";
    internal const string OptimizerFileName = "optimizer.bin";
    internal const string AveragesFileName = "averages.bin";
    internal const string StateFileName = "state.json";

    private Checkpoint(string path, ModelConfig model, CheckpointState state) => (Path, Model, State) = (path, model, state);

    /// <summary>The folder.</summary>
    public string Path { get; }

    /// <summary>The sizes of the model.</summary>
    public ModelConfig Model { get; }

    /// <summary>The scalars.</summary>
    public CheckpointState State { get; }

    /// <summary>The steps taken.</summary>
    public long Step => State.Step;

    /// <summary>The model as a file that llm.c reads, too.</summary>
    public string ModelPath => System.IO.Path.Combine(Path, ModelFileName);

    /// <summary>Opens a checkpoint and checks all of its files against their digests.</summary>
    /// <exception cref="RequestException">A file is missing, cut, changed or not of a checkpoint.</exception>
    public static Checkpoint Open(string path)
    {
        ArgumentNullException.ThrowIfNull(path);
        FileDigest.Verify(path, [ModelFileName, OptimizerFileName, StateFileName]);
        CheckpointState state = CheckpointStateFile.Read(System.IO.Path.Combine(path, StateFileName));
        using LlmcModelFile model = LlmcModelFile.Open(System.IO.Path.Combine(path, ModelFileName));
        return new Checkpoint(path, model.Config, state);
    }

    /// <summary>Loads the parameters only: to evaluate, to sample, or to begin another run from them.</summary>
    /// <param name="backend">The device.</param>
    /// <param name="weights">All parameters of <see cref="Model"/>, overwritten.</param>
    public void LoadWeights(IBackend backend, Tensor weights)
    {
        using LlmcModelFile model = LlmcModelFile.Open(ModelPath);
        model.ReadInto(backend, weights);
    }

    /// <summary>Whether there are averages of the weights.</summary>
    public bool HasAverages => File.Exists(AveragesPath);

    private string AveragesPath => System.IO.Path.Combine(Path, AveragesFileName);

    /// <summary>Loads the averages of the weights.</summary>
    /// <param name="backend">The device.</param>
    /// <param name="averages">Those of the run, overwritten.</param>
    /// <exception cref="RequestException">The checkpoint has none, or others.</exception>
    public void LoadAverages(IBackend backend, WeightAverages averages)
    {
        ArgumentNullException.ThrowIfNull(averages);
        if (!HasAverages)
        {
            throw new RequestException($"{Path} has no {AveragesFileName}: the run kept no averages of its weights, and what is past cannot be averaged.\n"
                + "Leave --average out to go on as before; or begin a branch with --branch-from, whose averages begin with the weights of the checkpoint.");
        }

        AverageFile.Read(AveragesPath, backend, averages);
    }

    /// <summary>Loads everything to continue training with the same bits.</summary>
    /// <param name="backend">The device.</param>
    /// <param name="weights">All parameters of <see cref="Model"/>, overwritten.</param>
    /// <param name="optimizer">The optimizer of these parameters; takes moments, step and norms from the checkpoint.</param>
    /// <exception cref="RequestException">The checkpoint is of another model.</exception>
    public void Load(IBackend backend, Tensor weights, WeightOptimizer optimizer)
    {
        ArgumentNullException.ThrowIfNull(optimizer);
        LoadWeights(backend, weights);
        MomentFile.Read(System.IO.Path.Combine(Path, OptimizerFileName), backend, optimizer.Moments);
        optimizer.Restore(State.Optimizer);
    }
}
