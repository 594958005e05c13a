using Trainer.Model;

namespace Trainer.Tests.Model;

public sealed class ModelPresetsTests
{
    [Test]
    public void The_names_are_those_of_the_presets() =>
        Assert.That(ModelPresets.Names.Split('|'), Is.EqualTo(ModelPresets.All.Select(preset => preset.Name)));

    [Test]
    public void Every_preset_makes_a_model_and_those_of_gpt2_have_its_head_size()
    {
        foreach (ModelPreset preset in ModelPresets.All)
        {
            ModelConfig config = new ModelConfig(preset.Layers, preset.Heads, preset.Channels, preset.SequenceLength, preset.Vocabulary).Validated();
            if (preset.Name.StartsWith("gpt2", StringComparison.Ordinal))
                Assert.That(config.HeadSize, Is.EqualTo(64), preset.Name);
        }
    }

    [Test]
    public void Gpt2_has_124_million_parameters()
    {
        ModelPreset preset = ModelPresets.Find("gpt2");
        var layout = new ParameterLayout(new ModelConfig(preset.Layers, preset.Heads, preset.Channels, preset.SequenceLength, 50257));
        Assert.That(layout.Count, Is.EqualTo(124_475_904));
    }

    [Test]
    public void An_unknown_preset_is_refused_with_the_nearest() =>
        Assert.That(() => ModelPresets.Find("tini"), Throws.TypeOf<RequestException>().With.Message.Contains("did you mean tiny?"));
}
