using System.Text;
using System.Text.Json;
using Trainer.Cli.Profiling;
using Trainer.Compute;
using Trainer.Model;
using Trainer.Training;

namespace Trainer.Cli.Commands;

/// <summary>What <c>trainer profile</c> is asked besides the settings of the run.</summary>
internal sealed record ProfileRequest
{
    private const string Profile = "Profile";

    /// <summary>How many steps are timed.</summary>
    [Setting(Profile, "steps that are timed, after one that is not", "N", Range = "[1, 1000]")]
    public int Steps { get; init; } = 3;

    /// <summary>Where the files go.</summary>
    [Setting(Profile, "directory for trace.json and operations.csv", "DIR")]
    public string Output { get; init; } = "profile";

    /// <summary>Whether the answer is for a program.</summary>
    [Setting(Profile, "answer with one JSON object")]
    public bool Json { get; init; }

    /// <summary>A configuration file.</summary>
    [Setting(Profile, "JSON file whose keys are options of 'trainer train' in camelCase, as the config.json of a run", "FILE", Default = "none")]
    public string? Config { get; init; }

    /// <summary>V.</summary>
    [Setting("Model", "tokens of the vocabulary", "N", Range = "[1, 10000000]", Default = "50257 for gpt2 sizes, else 4096")]
    public int? VocabSize { get; init; }
}

/// <summary><c>trainer profile</c>: what the steps of a training run spend their time on.</summary>
internal static class ProfileCommand
{
    private const string TraceFile = "trace.json", CsvFile = "operations.csv";

    private static readonly IReadOnlyList<SettingDefinition> RequestDefinitions = SettingDefinition.Of<ProfileRequest>();

    // Those that make a step what it is; its tokens are random, and nothing is left behind but the profile.
    private static readonly IReadOnlyList<SettingDefinition> StepDefinitions =
    [
        .. TrainingSettings.Definitions.Where(definition =>
            definition.Group is not (TrainingSettings.RunGroup or TrainingSettings.DataGroup or TrainingSettings.ReportGroup)
            && definition.Name != "--init-from" && RequestDefinitions.All(own => own.Name != definition.Name)),
    ];

    public static Verb Create(Terminal terminal) => new(
        "profile",
        "Times every operation of a few training steps on random tokens, and compares each with the floor that memory and arithmetic set.",
        [
            "trainer profile",
            "trainer profile --preset small --batch-size 4 --steps 5",
            "trainer profile --config runs/first/config.json --vocab-size 2048 --output profiles/first",
        ],
        [.. RequestDefinitions, .. StepDefinitions],
        given =>
        {
            ProfileRequest request = SettingDefinition.Read<ProfileRequest>(RequestDefinitions, given.Of(RequestDefinitions));
            TrainingSettings settings = TrainingSettings.Load(request.Config, given.Of(StepDefinitions)).WithDefaults();
            terminal.StopOnInterruption();
            using IBackend backend = Devices.Open(settings.Device, settings.Precision, settings.Threads, settings.Isa, settings.Seed);
            terminal.Note($"Profiling {request.Steps} {(request.Steps == 1 ? "step" : "steps")} on {backend.Description}.");
            int vocabulary = request.VocabSize ?? ModelPresets.Find(settings.Preset!).Vocabulary;
            StepProfile profile = StepProfiler.Run(backend, settings, vocabulary, request.Steps, terminal.Stop);
            foreach (string warning in backend.Warnings)
                terminal.Note(warning);
            (string trace, string csv) = WriteFiles(request.Output, profile);
            terminal.Out.WriteLine(request.Json ? Json(profile, trace, csv) : Text(profile, trace, csv));
            return ExitCode.Done;
        });

    private static (string Trace, string Csv) WriteFiles(string folder, StepProfile profile)
    {
        Directory.CreateDirectory(folder);
        string trace = Path.Combine(folder, TraceFile), csv = Path.Combine(folder, CsvFile);
        using (var stream = File.Create(trace))
            ProfileFiles.WriteTrace(stream, profile);
        using (var writer = new StreamWriter(csv) { NewLine = "\n" })
            ProfileFiles.WriteCsv(writer, profile);
        return (trace, csv);
    }

    private static string Text(StepProfile profile, string trace, string csv) =>
        $"{ProfileText.Operations(profile)}\n\nTrace, for ui.perfetto.dev: {trace}\nBy size:                    {csv}";

    private static string Json(StepProfile profile, string trace, string csv)
    {
        using var stream = new MemoryStream();
        using (var writer = new Utf8JsonWriter(stream, new JsonWriterOptions { Indented = true }))
        {
            writer.WriteStartObject();
            ProfileFiles.WriteTo(writer, profile, profile.ByName());
            writer.WriteString("trace", trace);
            writer.WriteString("csv", csv);
            writer.WriteEndObject();
        }

        return Encoding.UTF8.GetString(stream.ToArray());
    }
}
