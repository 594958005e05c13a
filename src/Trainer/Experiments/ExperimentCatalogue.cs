using Trainer.Experiments.Definitions;

namespace Trainer.Experiments;

/// <summary>All experiments, as they are put down before they are run.</summary>
public static class ExperimentCatalogue
{
    /// <summary>The experiments, in the order of their numbers.</summary>
    public static IReadOnlyList<Experiment> All { get; } =
    [
        .. NormControlExperiments.All.Concat(DecayExperiments.All).Concat(OtherExperiments.All)
            .OrderBy(experiment => int.Parse(experiment.Id.TrimStart('C').TrimEnd('b'), System.Globalization.CultureInfo.InvariantCulture)).ThenBy(experiment => experiment.Id, StringComparer.Ordinal),
        .. GpuExperiments.All,
    ];

    /// <summary>The experiment of that short name.</summary>
    /// <exception cref="RequestException">There is none; the message names the nearest.</exception>
    public static Experiment Find(string id) => All.FirstOrDefault(experiment => string.Equals(experiment.Id, id, StringComparison.OrdinalIgnoreCase))
        ?? throw new RequestException($"there is no experiment '{id}'{NearestName.Suggestion(id, All.Select(experiment => experiment.Id))}\n'trainer lab list' lists them.");
}
