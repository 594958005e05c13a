using System.IO.Enumeration;
using Trainer.Model;

namespace Trainer.Optimization;

/// <summary>Which parameter tensors are regularised. The defaults are nanoGPT's rule: every tensor of two dimensions.</summary>
public sealed record ParameterGroupOptions
{
    /// <summary>Whether the token embedding, which is also the classifier, is regularised.</summary>
    public bool DecayEmbeddings { get; init; } = true;

    /// <summary>Whether the learned positions are regularised.</summary>
    public bool DecayPositions { get; init; } = true;

    /// <summary>Whether the gains and biases of layer normalisations are regularised.</summary>
    public bool DecayLayerNorm { get; init; }

    /// <summary>Whether the biases of linear layers are regularised.</summary>
    public bool DecayBias { get; init; }

    /// <summary>Strengths by name; they win over the flags above, and the last that matches a tensor wins over the others.</summary>
    public IReadOnlyList<StrengthOverride> Overrides { get; init; } = [];
}

/// <summary>Regularised tensors that share a strength.</summary>
/// <param name="Name">The pattern that made the group, or <c>default</c>.</param>
/// <param name="Strength">The group's own λ or r; null for the regulariser's.</param>
/// <param name="Tensors">Indices into <see cref="ParameterLayout.Tensors"/>, ascending.</param>
public sealed record ParameterGroup(string Name, double? Strength, IReadOnlyList<int> Tensors);

/// <summary>
/// The regularised set P of a model, in groups. The classifier is tied with the token embedding and has no tensor of its own in a
/// <see cref="ParameterLayout"/>, so it is counted and shrunk once.
/// </summary>
public sealed class ParameterGroups
{
    private readonly int[] _members;

    /// <summary>Sorts the tensors of a model into groups.</summary>
    /// <exception cref="RequestException">A pattern matches no tensor.</exception>
    public ParameterGroups(ParameterLayout layout, ParameterGroupOptions options)
    {
        ArgumentNullException.ThrowIfNull(layout);
        ArgumentNullException.ThrowIfNull(options);

        var byRule = new List<int>();
        var byOverride = options.Overrides.Select(_ => new List<int>()).ToArray();
        for (int tensor = 0; tensor < layout.Tensors.Count; tensor++)
        {
            ParameterTensor parameter = layout.Tensors[tensor];
            int match = options.Overrides.Count - 1;
            while (match >= 0 && !Matches(options.Overrides[match].Pattern, parameter.Name))
                match--;
            if (match >= 0)
                byOverride[match].Add(tensor);
            else if (IsRegularized(parameter.Kind, options))
                byRule.Add(tensor);
        }

        var groups = new List<ParameterGroup>();
        if (byRule.Count > 0)
            groups.Add(new ParameterGroup("default", null, byRule));
        for (int i = 0; i < byOverride.Length; i++)
        {
            (string pattern, double? strength) = options.Overrides[i];
            if (!layout.Tensors.Any(parameter => Matches(pattern, parameter.Name)))
                throw NoSuchTensor(pattern, layout);
            if (strength is not null && byOverride[i].Count > 0)
                groups.Add(new ParameterGroup(pattern, strength, byOverride[i]));
        }

        Groups = groups;
        _members = [.. groups.SelectMany(group => group.Tensors).Order()];
        ParameterCount = _members.Sum(tensor => layout.Tensors[tensor].Segment.Count);
    }

    /// <summary>The groups: first the one that the flags made, then one for each pattern that sets a strength.</summary>
    public IReadOnlyList<ParameterGroup> Groups { get; }

    /// <summary>The indices of all regularised tensors, ascending.</summary>
    public ReadOnlySpan<int> Members => _members;

    /// <summary>C = |P|, the number of regularised parameters.</summary>
    public long ParameterCount { get; }

    private static bool IsRegularized(ParameterKind kind, ParameterGroupOptions options) => kind switch
    {
        ParameterKind.TokenEmbedding => options.DecayEmbeddings,
        ParameterKind.PositionEmbedding => options.DecayPositions,
        ParameterKind.Matrix => true,
        ParameterKind.LayerNorm => options.DecayLayerNorm,
        ParameterKind.Bias => options.DecayBias,
        _ => throw new ArgumentOutOfRangeException(nameof(kind)),
    };

    private static bool Matches(string pattern, string name) => FileSystemName.MatchesSimpleExpression(pattern, name, ignoreCase: false);

    private static RequestException NoSuchTensor(string pattern, ParameterLayout layout)
    {
        if (pattern.Contains("lm_head", StringComparison.Ordinal))
            return new RequestException($"no parameter is named '{pattern}': the classifier is tied with the token embedding; name wte.weight.");

        // Layers differ only in their number, so that the nearest names are sought among the kinds of tensors.
        IEnumerable<string> near = layout.Tensors
            .Select(parameter => parameter.Layer < 0 ? parameter.Name : string.Concat("h.*", parameter.Name.AsSpan(parameter.Name.IndexOf('.', 2))))
            .Distinct()
            .OrderBy(name => EditDistance(pattern, name))
            .Take(3);
        return new RequestException($"no parameter is named '{pattern}'; near names are {string.Join(", ", near)}.");
    }

    /// <summary>The Levenshtein distance.</summary>
    private static int EditDistance(string left, string right)
    {
        var previous = new int[right.Length + 1];
        var current = new int[right.Length + 1];
        for (int j = 0; j <= right.Length; j++)
            previous[j] = j;
        for (int i = 1; i <= left.Length; i++)
        {
            current[0] = i;
            for (int j = 1; j <= right.Length; j++)
            {
                int substitution = previous[j - 1] + (left[i - 1] == right[j - 1] ? 0 : 1);
                current[j] = Math.Min(substitution, Math.Min(previous[j], current[j - 1]) + 1);
            }

            (previous, current) = (current, previous);
        }

        return previous[right.Length];
    }
}
