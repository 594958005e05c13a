using System.Reflection;
using Trainer.Model;
using Trainer.Optimization;
using Trainer.Training;

namespace Trainer.Tests.Training;

public sealed class TrainingSettingsTests
{
    private string _directory = null!;

    [SetUp]
    public void SetUp() => _directory = Directory.CreateTempSubdirectory("trainer-settings-").FullName;

    [TearDown]
    public void TearDown() => Directory.Delete(_directory, recursive: true);

    [Test]
    public void Every_public_property_is_an_option_with_one_name_and_one_key()
    {
        Assert.That(TrainingSettings.Definitions, Has.Count.EqualTo(typeof(TrainingSettings).GetProperties(BindingFlags.Public | BindingFlags.Instance).Length));
        Assert.That(TrainingSettings.Definitions.Select(option => option.Name), Is.Unique);
        Assert.That(TrainingSettings.Definitions.Select(option => option.Key), Is.Unique);
        SettingDefinition seqLen = Option("--seq-len");
        Assert.That(seqLen.Key, Is.EqualTo("seqLen"));
        Assert.That(Option("--lr-schedule").Default, Is.EqualTo("cosine"));
        Assert.That(Option("--adam-eps").Default, Is.EqualTo("1e-08"));
    }

    [Test]
    public void The_defaults_are_valid() => Assert.That(() => new TrainingSettings().Validate(), Throws.Nothing);

    [Test]
    public void The_command_line_wins_over_the_file()
    {
        string file = Write("""{ "seqLen": 64, "steps": 7, "lr": 1e-2, "decayGroup": ["h.0.*=0.5"], "preset": null, /* why */ "decayBias": true, }""");
        TrainingSettings settings = TrainingSettings.Load(file, Given(("--steps", ["9"]), ("--decay-embeddings", ["false"])));
        Assert.Multiple(() =>
        {
            Assert.That(settings.SeqLen, Is.EqualTo(64));
            Assert.That(settings.Steps, Is.EqualTo(9));
            Assert.That(settings.Lr, Is.EqualTo(0.01));
            Assert.That(settings.DecayBias, Is.True);
            Assert.That(settings.DecayEmbeddings, Is.False);
            Assert.That(settings.DecayGroups(), Is.EqualTo(new[] { new StrengthOverride("h.0.*", 0.5) }));
        });
    }

    [Test]
    public void Recorded_settings_read_back_the_same()
    {
        TrainingSettings settings = TrainingSettings.Load(null, Given(
            ("--steps", ["123"]), ("--lr", ["0.00030000000000000003"]), ("--seed", ["18446744073709551615"]), ("--norm-target", ["2.415"]),
            ("--regularizer", ["norm-control"]), ("--sample-prompt", ["\"Zwölf\n"]), ("--input", ["a.txt", "b/*.txt"]), ("--run", ["runs/x"]))).WithDefaults();
        TrainingSettings read = TrainingSettings.FromFile(Write(settings.ToJson()));
        Assert.That(read.ToJson(), Is.EqualTo(settings.ToJson()));
        Assert.That(read.Seed, Is.EqualTo(ulong.MaxValue));
        Assert.That(read.Input, Is.EqualTo(new[] { "a.txt", "b/*.txt" }));
        Assert.That(read.Run, Is.Null, "a recorded configuration must not send the next run into the same directory");
    }

    [Test]
    public void A_preset_on_the_command_line_replaces_the_sizes_of_a_recorded_configuration()
    {
        string file = Write(new TrainingSettings { Preset = "tiny", Steps = 77 }.WithDefaults().ToJson());
        TrainingSettings settings = TrainingSettings.Load(file, Given(("--preset", ["gpt2"]), ("--seq-len", ["32"]))).WithDefaults();
        Assert.That(settings.ModelConfig(1000), Is.EqualTo(new ModelConfig(12, 12, 768, 32, 1000)));
        Assert.That((settings.Steps, settings.Lr), Is.EqualTo((77, 6e-4)));
    }

    [Test]
    public void Resuming_begins_with_the_recorded_settings()
    {
        File.WriteAllText(Path.Combine(_directory, TrainingSettings.RecordedFile), """{ "layers": 3, "steps": 50, "versions": { "trainer": "0.1.0" } }""");
        TrainingSettings settings = TrainingSettings.Load(null, Given(("--run", [_directory]), ("--resume", []), ("--steps", ["80"])));
        Assert.That(settings, Has.Property("Layers").EqualTo(3).And.Property("Steps").EqualTo(80).And.Property("Resume").True);
    }

    [TestCase("""{ "warmupStep": 3 }""", "warmupStep", "did you mean warmupSteps?")]
    [TestCase("""{ "steps": "3" }""", "\"3\" of 'steps'", "whole number")]
    [TestCase("""{ "steps": 2.5 }""", "2.5 of 'steps'", "whole number")]
    [TestCase("""{ "steps": null }""", "null of 'steps'", "whole number")]
    [TestCase("""{ "seed": -1 }""", "-1 of 'seed'", "whole number")]
    [TestCase("""{ "decayBias": 1 }""", "1 of 'decayBias'", "true or false")]
    [TestCase("""{ "device": 0 }""", "0 of 'device'", "a text")]
    [TestCase("""{ "input": ["a", 1] }""", "of 'input'", "a list of texts")]
    [TestCase("""[]""", "JSON object", "Array")]
    [TestCase("""{ "steps": 3 """, "not valid JSON", "line 1")]
    public void A_wrong_file_is_named_with_the_key_and_the_reason(string json, string key, string reason)
    {
        string file = Write(json);
        Assert.That(() => TrainingSettings.FromFile(file),
            Throws.TypeOf<RequestException>().With.Message.Contains(file).And.Message.Contains(key).And.Message.Contains(reason));
    }

    [Test]
    public void Places_in_a_file_are_counted_from_1_and_once() =>
        Assert.That(() => TrainingSettings.FromFile(Write("{ \"steps\": 3x }")),
            Throws.TypeOf<RequestException>().With.Message.Contains("line 1, byte 13").And.Message.Not.Contains("LineNumber"));

    [Test]
    public void Resuming_where_there_is_no_run_says_so() =>
        Assert.That(() => TrainingSettings.Load(null, Given(("--run", [Path.Combine(_directory, "none")]), ("--resume", []))),
            Throws.TypeOf<RequestException>().With.Message.Contains("holds no run to resume"));

    [Test]
    public void A_missing_file_is_named() =>
        Assert.That(() => TrainingSettings.FromFile(Path.Combine(_directory, "none.json")), Throws.TypeOf<RequestException>().With.Message.Contains("none.json"));

    [TestCase("--steps", "0", "--steps must be at least 1, but is 0.")]
    [TestCase("--lr", "-1", "--lr must be positive, but is -1.")]
    [TestCase("--lr", "NaN", "--lr 'NaN' is not a number.")]
    [TestCase("--lr", "fast", "--lr 'fast' is not a number.")]
    [TestCase("--adam-beta1", "1", "--adam-beta1 must lie in [0, 1), but is 1.")]
    [TestCase("--norm-rate", "1.5", "--norm-rate must lie in [0, 1], but is 1.5.")]
    [TestCase("--regularizer", "norm-contrl", "did you mean norm-control?")]
    [TestCase("--preset", "gpt2-mdium", "did you mean gpt2-medium?")]
    [TestCase("--device", "cuda:x", "It is one of auto, cpu, cuda, cuda:N, cuda-sim.")]
    [TestCase("--decay-group", "h.0=", "--decay-group 'h.0='")]
    [TestCase("--resume", "true", "--resume needs --run")]
    [TestCase("--run", "", "--run needs a value: DIR.")]
    [TestCase("--input", "", "--input needs a value: PATH.")]
    [TestCase("--resume", "perhaps", "is not true or false")]
    [TestCase("--train-data", "x.bin", "--val-data")]
    [TestCase("--regularizer", "norm-control", "--norm-target")]
    [TestCase("--steps", "99999999999", "below 2^31")]
    public void A_wrong_value_is_refused_with_its_option(string option, string value, string message) =>
        Assert.That(() => TrainingSettings.Load(null, Given((option, [value]))), Throws.TypeOf<RequestException>().With.Message.Contains(message));

    [TestCase("cpu")]
    [TestCase("cuda:1")]
    public void Devices_may_have_a_number(string device) =>
        Assert.That(TrainingSettings.Load(null, Given(("--device", [device]))).Device, Is.EqualTo(device));

    [Test]
    public void Defaults_come_from_the_preset_and_the_length()
    {
        TrainingSettings settings = new TrainingSettings { Preset = "gpt2", Heads = 6, Steps = 400, Regularizer = "decay-decoupled" }.WithDefaults();
        Assert.Multiple(() =>
        {
            Assert.That(settings.ModelConfig(50257), Is.EqualTo(new ModelConfig(12, 6, 768, 1024, 50257)));
            Assert.That(settings.TotalBatchTokens, Is.EqualTo(settings.BatchSize * 1024));
            Assert.That(settings.WarmupSteps, Is.EqualTo(20));
            Assert.That(settings.WeightDecay, Is.EqualTo(0.1 * 6e-4).Within(1e-18), "13.b at strength lr x 0.1 is 13.a at 0.1");
        });
    }

    [Test]
    public void Steps_of_no_whole_number_of_passes_are_refused()
    {
        var settings = new TrainingSettings { BatchSize = 4, SeqLen = 64, TotalBatchTokens = 1000 };
        Assert.That(settings.WithDefaults, Throws.TypeOf<RequestException>().With.Message.Contains("--total-batch-tokens 1000"));
        Assert.That(new TrainingSettings { WarmupSteps = 5, Steps = 4 }.WithDefaults, Throws.TypeOf<RequestException>().With.Message.Contains("--warmup-steps 5"));
    }

    private string Write(string json)
    {
        string path = Path.Combine(_directory, "given.json");
        File.WriteAllText(path, json);
        return path;
    }

    private static SettingDefinition Option(string name) => TrainingSettings.Definitions.Single(option => option.Name == name);

    private static Dictionary<SettingDefinition, IReadOnlyList<string>> Given(params (string Name, string[] Values)[] options) =>
        options.ToDictionary(option => Option(option.Name), option => (IReadOnlyList<string>)option.Values);
}
