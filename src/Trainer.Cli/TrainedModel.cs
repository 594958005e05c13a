using Trainer.Checkpoints;
using Trainer.Compute;
using Trainer.Model;

namespace Trainer.Cli;

/// <summary>A trained model on a device, from a run or a checkpoint that the command line names.</summary>
internal sealed class TrainedModel : IDisposable
{
    private readonly IBackend _backend;

    private TrainedModel(ModelSource source, IBackend backend, Gpt2 model) => (Source, _backend, Model) = (source, backend, model);

    /// <summary>Where it comes from.</summary>
    public ModelSource Source { get; }

    /// <summary>The model with its weights loaded.</summary>
    public Gpt2 Model { get; }

    /// <summary>Finds the weights.</summary>
    /// <exception cref="RequestException">Neither or both are named, or there is no model.</exception>
    public static ModelSource Find(string? run, string? checkpoint)
    {
        if (run is null == checkpoint is null)
            throw new RequestException("name the model with either --run DIR, for the last checkpoint of a run, or --checkpoint PATH.");
        return ModelSource.Open((run ?? checkpoint)!);
    }

    /// <summary>Loads the weights onto a device.</summary>
    /// <param name="source">What <see cref="Find"/> found.</param>
    /// <param name="device">The device's name; see <see cref="Devices.Open"/>.</param>
    /// <param name="threads">CPU threads; 0 for one per processor.</param>
    /// <param name="batchSize">The most sequences of one pass.</param>
    /// <param name="use">What the model is for.</param>
    public static TrainedModel Load(ModelSource source, string device, int threads, int batchSize, ModelUse use)
    {
        IBackend backend = Devices.Open(device, "auto", threads);
        Gpt2? model = null;
        try
        {
            model = new Gpt2(backend, source.Config, batchSize, source.Config.SequenceLength, use);
            source.Load(backend, model.Parameters);
            model.RefreshWeights();
            return new TrainedModel(source, backend, model);
        }
        catch
        {
            model?.Dispose();
            backend.Dispose();
            throw;
        }
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        Model.Dispose();
        _backend.Dispose();
    }
}
