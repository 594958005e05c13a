using Trainer.Model;
using Trainer.Optimization;

namespace Trainer.Diagnostics;

/// <summary>Parameter tensors that a diagnostic is told of together.</summary>
/// <param name="Name">A tensor (<c>h.0.attn.c_attn.weight</c>), a kind (<c>qkv</c>), a layer (<c>h.0</c>), <c>decayed</c> or <c>all</c>.</param>
/// <param name="Tensors">Indices into <see cref="ParameterLayout.Tensors"/>, ascending.</param>
public sealed record DiagnosticGroup(string Name, IReadOnlyList<int> Tensors)
{
    /// <summary>The regularised set.</summary>
    public const string Decayed = "decayed";

    /// <summary>All parameters.</summary>
    public const string All = "all";

    /// <summary>Each tensor, each of the kinds wte, wpe, qkv, attnProj, mlpFc, mlpProj, ln, bias, each layer, the regularised set and all parameters.</summary>
    /// <param name="layout">Where each tensor is.</param>
    /// <param name="regularized">The regularised set; without members it makes no group.</param>
    public static IReadOnlyList<DiagnosticGroup> Of(ParameterLayout layout, ParameterGroups regularized)
    {
        ArgumentNullException.ThrowIfNull(layout);
        ArgumentNullException.ThrowIfNull(regularized);
        var tensors = layout.Tensors.Index().ToList();
        var groups = new List<DiagnosticGroup>(tensors.Select(entry => new DiagnosticGroup(entry.Item.Name, [entry.Index])));
        groups.AddRange(tensors.GroupBy(entry => KindOf(entry.Item)).Select(kind => new DiagnosticGroup(kind.Key, [.. kind.Select(entry => entry.Index)])));
        groups.AddRange(tensors.Where(entry => entry.Item.Layer >= 0).GroupBy(entry => entry.Item.Layer).OrderBy(layer => layer.Key)
            .Select(layer => new DiagnosticGroup($"h.{layer.Key}", [.. layer.Select(entry => entry.Index)])));
        if (regularized.Members.Length > 0)
            groups.Add(new DiagnosticGroup(Decayed, regularized.Members.ToArray()));
        groups.Add(new DiagnosticGroup(All, [.. tensors.Select(entry => entry.Index)]));
        return groups;
    }

    private static string KindOf(ParameterTensor tensor) => tensor.Kind switch
    {
        ParameterKind.TokenEmbedding => "wte",
        ParameterKind.PositionEmbedding => "wpe",
        ParameterKind.LayerNorm => "ln",
        ParameterKind.Bias => "bias",
        _ when tensor.Name.EndsWith("attn.c_attn.weight", StringComparison.Ordinal) => "qkv",
        _ when tensor.Name.EndsWith("attn.c_proj.weight", StringComparison.Ordinal) => "attnProj",
        _ when tensor.Name.EndsWith("mlp.c_fc.weight", StringComparison.Ordinal) => "mlpFc",
        _ => "mlpProj",
    };
}
