using Trainer.Model;
using Trainer.Optimization;

namespace Trainer.Tests.Optimization;

public sealed class ParameterGroupsTests
{
    private static readonly ParameterLayout Layout = new(OptimizerTrial.Model);

    [Test]
    public void The_default_is_every_tensor_of_two_dimensions()
    {
        Assert.That(Names(new ParameterGroupOptions()), Is.EqualTo(new[]
        {
            "wte.weight", "wpe.weight", "h.0.attn.c_attn.weight", "h.1.attn.c_attn.weight", "h.0.attn.c_proj.weight", "h.1.attn.c_proj.weight",
            "h.0.mlp.c_fc.weight", "h.1.mlp.c_fc.weight", "h.0.mlp.c_proj.weight", "h.1.mlp.c_proj.weight",
        }));
    }

    [Test]
    public void Each_flag_moves_its_kind_and_no_other()
    {
        Assert.That(Kinds(new ParameterGroupOptions { DecayEmbeddings = false }),
            Is.EquivalentTo(new[] { ParameterKind.PositionEmbedding, ParameterKind.Matrix }));
        Assert.That(Kinds(new ParameterGroupOptions { DecayPositions = false }),
            Is.EquivalentTo(new[] { ParameterKind.TokenEmbedding, ParameterKind.Matrix }));
        Assert.That(Kinds(new ParameterGroupOptions { DecayLayerNorm = true }), Does.Contain(ParameterKind.LayerNorm).And.Not.Contain(ParameterKind.Bias));
        Assert.That(Kinds(new ParameterGroupOptions { DecayBias = true }), Does.Contain(ParameterKind.Bias).And.Not.Contain(ParameterKind.LayerNorm));
        Assert.That(Names(new ParameterGroupOptions { DecayLayerNorm = true, DecayBias = true }), Has.Length.EqualTo(Layout.Tensors.Count));
    }

    [Test]
    public void The_last_pattern_that_matches_wins_over_the_others_and_over_the_flags()
    {
        var groups = new ParameterGroups(Layout, new ParameterGroupOptions
        {
            Overrides = [new("h.*.mlp.*", 0.3), new("h.1.mlp.c_proj.*", 0.5), new("*.c_fc.bias", null), new("wpe.weight", null)],
        });
        Assert.That(groups.Groups.Select(group => (group.Name, group.Strength, group.Tensors.Count)), Is.EqualTo(new[]
        {
            ("default", (double?)null, 5),
            ("h.*.mlp.*", 0.3, 4),
            ("h.1.mlp.c_proj.*", 0.5, 2),
        }));
        Assert.That(groups.Groups[1].Tensors.Select(i => Layout.Tensors[i].Name),
            Is.EqualTo(new[] { "h.0.mlp.c_fc.weight", "h.1.mlp.c_fc.weight", "h.0.mlp.c_proj.weight", "h.0.mlp.c_proj.bias" }));
    }

    [Test]
    public void A_decay_of_zero_takes_a_tensor_out_of_the_set()
    {
        var options = new RegularizerOptions { Groups = new() { Overrides = [new("wte.weight", 0)] } };
        Assert.That(options.Create(Layout).Groups.Members.ToArray(), Does.Not.Contain(0));
    }

    [Test]
    public void A_target_of_zero_leaves_a_tensor_in_the_set()
    {
        var options = new RegularizerOptions { Kind = RegularizerKind.NormControl, NormTarget = 1, Groups = new() { Overrides = [new("wte.weight", 0)] } };
        Assert.That(options.Create(Layout).Groups.Members.ToArray(), Does.Contain(0));
    }

    [Test]
    public void The_squared_norms_of_the_tensors_add_up_and_the_tied_embedding_counts_once()
    {
        Regularizer regularizer = new RegularizerOptions().Create(Layout);
        double[] sums = [.. Layout.Tensors.Select(tensor => (double)tensor.Segment.Count)];
        Assert.That(regularizer.Norm(sums), Is.EqualTo(Math.Sqrt(regularizer.Groups.ParameterCount)).Within(1e-12));
        Assert.That(regularizer.Groups.ParameterCount, Is.EqualTo((16 * 8) + (4 * 8) + (2 * 12 * 64)));
    }

    [Test]
    public void The_regularised_set_of_gpt2_has_the_size_that_the_literature_gives()
    {
        var layout = new ParameterLayout(new ModelConfig(12, 12, 768, 1024, 50257) { PaddedVocabulary = 50304 });
        Assert.That(new ParameterGroups(layout, new()).ParameterCount, Is.EqualTo(124_354_560));
    }

    [Test]
    public void A_pattern_that_matches_nothing_is_refused_with_near_names()
    {
        var options = new ParameterGroupOptions { Overrides = [new("h.*.mlp.c_prj.weight", 0.1)] };
        Assert.That(() => new ParameterGroups(Layout, options),
            Throws.TypeOf<RequestException>().With.Message.Contains("'h.*.mlp.c_prj.weight'").And.Message.Contains("near names are h.*.mlp.c_proj.weight,"));
    }

    [Test]
    public void The_head_is_named_by_the_embedding_it_is_tied_with()
    {
        var options = new ParameterGroupOptions { Overrides = [new("lm_head.weight", 0.1)] };
        Assert.That(() => new ParameterGroups(Layout, options), Throws.TypeOf<RequestException>().With.Message.Contains("name wte.weight"));
    }

    [Test]
    public void An_override_is_a_pattern_and_a_strength()
    {
        Assert.That(StrengthOverride.Parse("h.*.attn.*=1e-2"), Is.EqualTo(new StrengthOverride("h.*.attn.*", 0.01)));
        Assert.That(StrengthOverride.Parse("wpe.weight = none"), Is.EqualTo(new StrengthOverride("wpe.weight", null)));
        Assert.That(() => StrengthOverride.Parse("wpe.weight"), Throws.TypeOf<RequestException>());
        Assert.That(() => StrengthOverride.Parse("=3"), Throws.TypeOf<RequestException>());
        Assert.That(() => StrengthOverride.Parse("wpe.weight=much"), Throws.TypeOf<RequestException>());
    }

    private static string[] Names(ParameterGroupOptions options) =>
        [.. new ParameterGroups(Layout, options).Members.ToArray().Select(i => Layout.Tensors[i].Name)];

    private static IEnumerable<ParameterKind> Kinds(ParameterGroupOptions options) =>
        new ParameterGroups(Layout, options).Members.ToArray().Select(i => Layout.Tensors[i].Kind).Distinct();
}
