using System.Globalization;
using Trainer.Cli.Display;
using Trainer.Compute;
using Trainer.Data;
using Trainer.Experiments;
using Trainer.Reports;
using Trainer.Tokenization;
using Trainer.Training;

namespace Trainer.Cli.Commands;

/// <summary><c>trainer lab</c>: experiments on weight decay and weight norm control.</summary>
internal static class LabCommand
{
    private const string Group = "Laboratory", Folder = "lab", ReportFile = "report.html";

    public static Verb Create(Terminal terminal) => Verb.Of(
        "lab", "Runs and reports experiments on weight decay and weight norm control.", [List(terminal), Run(terminal), Challenge(terminal), Report(terminal)]);

    /// <summary>What <c>trainer lab list</c> is asked: nothing.</summary>
    internal sealed record ListRequest;

    /// <summary>What <c>trainer lab run</c> is asked.</summary>
    internal sealed record RunRequest
    {
        /// <summary>The experiments.</summary>
        [Setting(Group, "short names of experiments, or all", "ID...", Operand = true, Required = true)]
        public IReadOnlyList<string> Ids { get; init; } = [];

        /// <summary>How many seeds.</summary>
        [Setting(Group, "run the seeds 1 to N", "N", Range = "[1, 100]", Default = "as the experiment says")]
        public int? Seeds { get; init; }

        /// <summary>Which experiments are all.</summary>
        [Setting(Group, "with 'all': those for a few CPU cores, or for a GPU", Values = "cpu|gpu")]
        public string Scale { get; init; } = "cpu";

        /// <summary>Runs at once.</summary>
        [Setting(Group, "runs at once, each on one core; 0: one for each core, one on a GPU", "N", Range = "[0, 1024]")]
        public int Jobs { get; init; }

        /// <summary>The text.</summary>
        [Setting(Group, "text to train on, about a megabyte; repeatable", "PATH", Default = "the API documentation of the .NET SDK")]
        public IReadOnlyList<string> Input { get; init; } = [];

        /// <summary>Where everything is written.</summary>
        [Setting(Group, "directory of all runs and reports", "DIR")]
        public string Output { get; init; } = Folder;

        /// <summary>What computes.</summary>
        [Setting(Group, "what computes", Values = "cpu|cuda|cuda:N|cuda-sim", Default = "cpu, or cuda for experiments for a GPU")]
        public string? Device { get; init; }
    }

    /// <summary>What <c>trainer lab challenge</c> is asked.</summary>
    internal sealed record ChallengeRequest
    {
        /// <summary>The run.</summary>
        [Setting(Group, "directory of a finished run with weight decay", "RUN", Operand = true, Required = true)]
        public string Run { get; init; } = string.Empty;

        /// <summary>k.</summary>
        [Setting(Group, "share of the way to the target norm gone in each step", "K", Range = "(0, 1]", Default = "so that the norm stands at most 2 % above its target")]
        public double? NormRate { get; init; }

        /// <summary>Whether the whole curve is the target.</summary>
        [Setting(Group, "follow the run's norm step by step, not only to where it ended")]
        public bool ReplayNorm { get; init; }

        /// <summary>The challenger's directory.</summary>
        [Setting(Group, "directory of the challenger and of the comparison", "DIR", Default = "RUN-challenge")]
        public string? Output { get; init; }

        /// <summary>What computes.</summary>
        [Setting(Group, "what computes", Values = "auto|cpu|cuda|cuda:N|cuda-sim", Default = "as for the run")]
        public string? Device { get; init; }
    }

    /// <summary>What <c>trainer lab report</c> is asked.</summary>
    internal sealed record ReportRequest
    {
        /// <summary>Where the experiments are.</summary>
        [Setting(Group, "directory that 'trainer lab run' wrote", "DIR")]
        public string Output { get; init; } = Folder;
    }

    private static Verb List(Terminal terminal) => Verb.Create<ListRequest>("list", "Lists the experiments.", ["trainer lab list"], _ =>
    {
        foreach (Experiment experiment in ExperimentCatalogue.All)
            terminal.Out.WriteLine($"{experiment.Id,-4} {(experiment.Scale == LabScale.Gpu ? "gpu" : "cpu")}  {experiment.Title}  ({experiment.Arms.Count * experiment.Seeds} runs)\n          {experiment.Claim}");
        return ExitCode.Done;
    });

    private static Verb Run(Terminal terminal) => Verb.Create<RunRequest>("run",
        "Runs experiments and reports them. What is finished is not run again; an interrupted experiment goes on where it was.",
        ["trainer lab run C1 --input shakespeare.txt", "trainer lab run all --seeds 3 --output lab", "trainer lab run all --scale gpu"],
        request =>
        {
            IReadOnlyList<Experiment> experiments = Chosen(request);
            terminal.StopOnInterruption();
            foreach (Experiment experiment in experiments)
                Run(terminal, request, experiment);
            return ExitCode.Done;
        });

    private static Verb Challenge(Terminal terminal) => Verb.Create<ChallengeRequest>("challenge",
        "Trains AdamWN on the data order of a finished run, for the same tokens and to the same final weight norm, and compares the two.",
        ["trainer lab challenge runs/first", "trainer lab challenge runs/first --replay-norm --norm-rate 0.1"],
        request =>
        {
            string run = Path.TrimEndingDirectorySeparator(request.Run), output = request.Output ?? run + "-challenge";
            var challenge = Experiments.Challenge.Of(run, output, request.NormRate, request.ReplayNorm);
            TrainingSettings settings = request.Device is { } device ? challenge.Settings with { Device = device } : challenge.Settings;
            settings.Validate();
            terminal.Error.WriteLine(string.Create(CultureInfo.InvariantCulture,
                $"{run} ended at {challenge.Ratio:0.####} times its initial weight norm; AdamWN trains to the same at rate {challenge.Rate:0.####}, in {output}."));
            ITrainingObserver observer = terminal.Rich ? new LiveConsole(terminal, TimeProvider.System) : new PlainConsole(terminal.Error, TimeProvider.System);
            terminal.StopOnInterruption();
            if (TrainCommand.Train(settings, observer, new PreparationDisplay(terminal, TimeProvider.System), terminal.Stop).Interrupted)
                return ExitCode.Interrupted;
            Compare(terminal, FinishedRun.Load("AdamW", settings.Seed, run), FinishedRun.Load("AdamWN", settings.Seed, output));
            string report = Path.Combine(output, ReportFile);
            ReportCommand.Write(RunReport.Create([run, output], $"{Path.GetFileName(run)}, challenged at its own norm"), report);
            terminal.Out.WriteLine(report);
            return ExitCode.Done;
        });

    private static Verb Report(Terminal terminal) => Verb.Create<ReportRequest>("report",
        "Writes one page of all experiments that were run.", ["trainer lab report", "trainer lab report --output lab"],
        request =>
        {
            LabRunner runner = new(request.Output, new TrainingSettings(), 1, _ => throw new InvalidOperationException(), new Progress(terminal));
            ExperimentResults[] all = [.. ExperimentCatalogue.All.Select(runner.Load).OfType<ExperimentResults>()];
            if (all.Length == 0)
                throw new RequestException($"{request.Output} holds no finished experiment; 'trainer lab run C1' runs one.");
            string path = Path.Combine(request.Output, ReportFile);
            ReportCommand.Write(LabReport.Overview(all), path);
            terminal.Out.WriteLine(path);
            return ExitCode.Done;
        });

    private static IReadOnlyList<Experiment> Chosen(RunRequest request)
    {
        LabScale scale = request.Scale == "gpu" ? LabScale.Gpu : LabScale.Cpu;
        return request.Ids is ["all"]
            ? [.. ExperimentCatalogue.All.Where(experiment => experiment.Scale == scale)]
            : [.. request.Ids.Select(ExperimentCatalogue.Find)];
    }

    private static void Run(Terminal terminal, RunRequest request, Experiment experiment)
    {
        bool gpu = experiment.Scale == LabScale.Gpu;
        string device = request.Device ?? (gpu ? "cuda" : "cpu");
        var common = new TrainingSettings { Device = device, Threads = device == "cpu" ? 1 : 0 };
        common = gpu
            ? common with { Data = Prepared(terminal, request, TokenizerKind.Bpe).Folder }
            : LabCorpus.Use(() => Prepared(terminal, request, TokenizerKind.Bytes), TextFolder(request, "text"), common);
        int jobs = request.Jobs > 0 ? request.Jobs : device == "cpu" ? Environment.ProcessorCount : 1;
        terminal.Error.WriteLine($"{experiment.Id}: {experiment.Title}");
        var runner = new LabRunner(request.Output, common, jobs, Open, new Progress(terminal));
        ExperimentResults results = runner.Run(experiment, request.Seeds ?? experiment.Seeds, terminal.Stop);
        string report = Path.Combine(runner.DirectoryOf(experiment), ReportFile);
        ReportCommand.Write(LabReport.Of(results, CommandOf(request, experiment)), report);
        foreach (Verdict verdict in LabReport.VerdictsOf(results).Items)
            terminal.Out.WriteLine($"{Word(verdict.Outcome),-12}  {verdict.Expectation}\n              {verdict.Numbers}");
        terminal.Out.WriteLine(report);
    }

    private static IBackend Open(TrainingSettings settings) => Devices.Open(settings.Device, settings.Precision, settings.Threads, settings.Isa, settings.Seed);

    // A folder for each text, so that another --input does not meet runs on the first.
    private static string TextFolder(RunRequest request, string kind)
    {
        string name = request.Input.Count == 0 ? "default" : string.Join('+', request.Input.Select(path => Path.GetFileNameWithoutExtension(path)));
        return Path.Combine(request.Output, $"data-{name}-{kind}");
    }

    private static Dataset Prepared(Terminal terminal, RunRequest request, string tokenizer)
    {
        string folder = TextFolder(request, tokenizer);
        return Dataset.Exists(folder)
            ? Dataset.Open(folder)
            : CorpusPreparer.Prepare(new CorpusOptions { Inputs = request.Input, Output = folder, Tokenizer = tokenizer, ValidationFraction = 0.1 },
                new PreparationDisplay(terminal, TimeProvider.System), terminal.Stop);
    }

    private static string CommandOf(RunRequest request, Experiment experiment)
    {
        string command = $"trainer lab run {experiment.Id}";
        foreach (string input in request.Input)
            command += $" --input {input}";
        if (request.Seeds is { } seeds)
            command += string.Create(CultureInfo.InvariantCulture, $" --seeds {seeds}");
        return command + $" --output {request.Output}";
    }

    private static void Compare(Terminal terminal, FinishedRun challenged, FinishedRun challenger)
    {
        terminal.Out.WriteLine($"{"",-16}{"AdamW",10}{"AdamWN",10}{"difference",12}");
        foreach (Measure measure in new[] { Measure.ValidationLoss, Measure.TrainLoss, Measure.NormRatio })
        {
            (double a, double b) = (measure.Of(challenged), measure.Of(challenger));
            terminal.Out.WriteLine(string.Create(CultureInfo.InvariantCulture, $"{measure.Name,-16}{a,10:0.0000}{b,10:0.0000}{b - a,12:+0.0000;-0.0000}"));
        }
    }

    private static string Word(Outcome outcome) => outcome switch { Outcome.Seen => "seen", Outcome.NotSeen => "not seen", _ => "inconclusive" };

    /// <summary>One line for each run that is finished.</summary>
    private sealed class Progress(Terminal terminal) : ILabObserver
    {
        private readonly Lock _lock = new();

        public void Finished(FinishedRun run, TimeSpan elapsed, int done, int total)
        {
            string loss = double.IsNaN(run.Last("valLoss")) ? string.Empty : string.Create(CultureInfo.InvariantCulture, $"  validation loss {run.Last("valLoss"):0.0000}");
            string time = elapsed == TimeSpan.Zero ? "was finished" : string.Create(CultureInfo.InvariantCulture, $"{elapsed.TotalSeconds:0.0} s");
            lock (_lock)
                terminal.Error.WriteLine($"  {done}/{total}  {run.Arm}, seed {run.Seed}{loss}  {time}");
        }
    }
}
