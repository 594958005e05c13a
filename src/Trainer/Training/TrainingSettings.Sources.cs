using System.Text;
using System.Text.Json;
using Trainer.Checkpoints;

namespace Trainer.Training;

/// <content>Where settings come from, and the JSON they are recorded in.</content>
public sealed partial record TrainingSettings
{
    /// <summary>
    /// The key of a recorded configuration under which versions stand. They are no settings, so a recorded configuration is also a
    /// configuration file for the next run.
    /// </summary>
    public const string VersionsKey = "versions";

    /// <summary>The file in a run directory that records its settings.</summary>
    public const string RecordedFile = "config.json";

    /// <summary>Every setting, in the order of the help text.</summary>
    public static IReadOnlyList<SettingDefinition> Definitions { get; } = SettingDefinition.Of<TrainingSettings>();

    private const string PresetKey = "preset";

    private static readonly JsonDocumentOptions Lenient = new() { AllowTrailingCommas = true, CommentHandling = JsonCommentHandling.Skip };

    /// <summary>
    /// The settings that a command line asks for. Later sources win: the defaults, the recorded configuration of a run that is resumed,
    /// or branched from, the configuration file, the command line; a preset there
    /// replaces the sizes, batch and learning rate of the file.
    /// </summary>
    /// <param name="configFile">The file of <c>--config</c>, if there is one.</param>
    /// <param name="commandLine">The values given for each option; none for a switch without a value.</param>
    /// <returns>Checked settings (<see cref="Validate"/>).</returns>
    /// <exception cref="RequestException">A file cannot be read, or a key, type or value is wrong.</exception>
    public static TrainingSettings Load(string? configFile, IReadOnlyDictionary<SettingDefinition, IReadOnlyList<string>> commandLine)
    {
        ArgumentNullException.ThrowIfNull(commandLine);

        TrainingSettings settings = Layered(recorded: null);
        if (settings is { Resume: true, Run: { } run })
        {
            string recorded = Path.Combine(run, RecordedFile);
            if (!File.Exists(recorded))
                throw RunDirectory.HoldsNoRun(run);
            var begun = new TrainingSettings();
            begun.ApplyFile(recorded);
            settings = Layered(recorded);
            Require(settings.InitFrom == begun.InitFrom, "--init-from begins a new run and --resume continues one; give only one of them.");
            Require(settings.Preset == begun.Preset, $"--preset {settings.Preset} is not that of the run, which began with {begun.Preset}; leave the option out.");
        }

        else if (settings is { Resume: false, BranchFrom: { } origin })
        {
            string recorded = BranchPoint.RecordOf(origin);
            var begun = new TrainingSettings();
            begun.ApplyFile(recorded);
            settings = Layered(recorded) with { InitFrom = null };
            Require(settings.Preset == begun.Preset, $"--preset {settings.Preset} is not that of the run to branch from, which has {begun.Preset}; leave the option out.");
            Require(settings.Seed == begun.Seed,
                $"--seed {settings.Seed} is not that of the run to branch from, which has {begun.Seed}: a branch goes on with its order of data; leave the option out.");
        }

        settings.Validate();
        return settings;

        TrainingSettings Layered(string? recorded)
        {
            var layered = new TrainingSettings();
            foreach (string file in new[] { recorded, configFile }.OfType<string>())
                layered.ApplyFile(file);
            // A recorded configuration holds the sizes of its preset, which must not win over a preset that is asked for now.
            if (recorded is null && commandLine.Keys.Any(definition => definition.Key == PresetKey))
                layered = layered.WithoutSizes();
            foreach ((SettingDefinition definition, IReadOnlyList<string> values) in commandLine)
                definition.SetFromText(layered, values);
            return layered;
        }
    }

    /// <summary>The settings of a configuration file; what it does not mention has its default.</summary>
    /// <exception cref="RequestException">The file cannot be read, is not JSON, or a key, type or value is wrong.</exception>
    public static TrainingSettings FromFile(string path)
    {
        var settings = new TrainingSettings();
        settings.ApplyFile(path);
        settings.Validate();
        return settings;
    }

    /// <summary>Writes the members of a JSON object: every recorded setting that has a value, under its key.</summary>
    /// <param name="writer">Stands inside an object.</param>
    public void WriteTo(Utf8JsonWriter writer)
    {
        ArgumentNullException.ThrowIfNull(writer);
        foreach (SettingDefinition definition in Definitions.Where(definition => definition.IsRecorded))
            definition.WriteTo(writer, this);
    }

    /// <summary>The settings as a configuration file.</summary>
    public string ToJson()
    {
        using var stream = new MemoryStream();
        using (var writer = new Utf8JsonWriter(stream, new JsonWriterOptions { Indented = true }))
        {
            writer.WriteStartObject();
            WriteTo(writer);
            writer.WriteEndObject();
        }

        return Encoding.UTF8.GetString(stream.ToArray());
    }

    private TrainingSettings WithoutSizes() => this with
    {
        Layers = null,
        Heads = null,
        Channels = null,
        SeqLen = null,
        BatchSize = null,
        TotalBatchTokens = null,
        Lr = null,
    };

    private void ApplyFile(string path)
    {
        byte[] json;
        try
        {
            json = File.ReadAllBytes(path);
        }
        catch (Exception exception) when (exception is IOException or UnauthorizedAccessException)
        {
            throw new RequestException($"cannot read the configuration {path}: {exception.Message}", exception);
        }

        try
        {
            // Saved by an editor of another system, the file may begin with a byte order mark, which JSON does not allow.
            ReadOnlyMemory<byte> content = json.AsSpan().StartsWith(Encoding.UTF8.Preamble) ? json.AsMemory(Encoding.UTF8.Preamble.Length) : json;
            using var document = JsonDocument.Parse(content, Lenient);
            Apply(document.RootElement, path);
        }
        catch (JsonException exception)
        {
            throw new RequestException($"{path} is not valid JSON: line {exception.LineNumber + 1}, byte {exception.BytePositionInLine + 1}: {JsonReason.Of(exception)}", exception);
        }
    }

    private void Apply(JsonElement root, string path)
    {
        if (root.ValueKind != JsonValueKind.Object)
            throw new RequestException($"{path} must hold one JSON object with the options of 'trainer train' in camelCase, but holds {root.ValueKind}.");
        foreach (JsonProperty member in root.EnumerateObject())
        {
            if (member.Name == VersionsKey)
                continue;
            SettingDefinition definition = Definitions.FirstOrDefault(known => known.Key == member.Name)
                ?? throw new RequestException(
                    $"{path}: there is no setting '{member.Name}'{NearestName.Suggestion(member.Name, Definitions.Select(known => known.Key))}\n"
                    + "The settings are the options of 'trainer train' in camelCase; 'trainer train --help' lists them.");
            definition.SetFromJson(this, member.Value, path);
        }
    }
}
