namespace Trainer.Cli.Commands;

/// <summary>The rule of the verbs that use a trained model.</summary>
internal static class ModelChoice
{
    /// <summary>Checks that either a run or a checkpoint is named.</summary>
    /// <exception cref="RequestException">Neither or both are.</exception>
    public static void Check(string? run, string? checkpoint)
    {
        if (run is null == checkpoint is null)
            throw new RequestException("name the model with either --run DIR, for the last checkpoint of a run, or --checkpoint PATH.");
    }
}
