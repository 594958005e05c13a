using System.Text;
using Trainer.Cli.Diagnosis;
using Trainer.Cuda;
using Trainer.Training;

namespace Trainer.Cli.Commands;

/// <summary>What <c>trainer doctor</c> is asked.</summary>
internal sealed record DoctorSettings
{
    /// <summary>Whether the answer is for a program.</summary>
    [Setting("Output", "answer with one JSON object")]
    public bool Json { get; init; }

    /// <summary>Whether the tests are run too.</summary>
    [Setting("Tests", "after the report, run the tests of the CUDA backend and its kernels on the GPU; trainer-tests must be beside this program")]
    public bool Test { get; init; }

    /// <summary>Which tests.</summary>
    [Setting("Tests", "run only the tests whose names contain one of these texts", "TEXT", Default = "all")]
    public IReadOnlyList<string> Filter { get; init; } = [];
}

/// <summary><c>trainer doctor</c>: what this machine has for training.</summary>
internal static class DoctorCommand
{
    /// <summary>Creates the verb.</summary>
    /// <param name="terminal">What it writes to.</param>
    /// <param name="folder">Where the program of the tests is looked for; null for the folder of this program.</param>
    public static Verb Create(Terminal terminal, string? folder = null) => Verb.Create<DoctorSettings>(
        "doctor",
        "Shows what this machine has for training: processor, memory, disk, GPUs, and why a GPU is not used; and tests it.",
        ["trainer doctor", "trainer doctor --json", "trainer doctor --test", "trainer doctor --test --filter GemmTests"],
        settings =>
        {
            if (settings.Json && settings.Test)
                throw new RequestException("--json and --test are given; the tests do not answer in JSON. Leave out one of them.");
            if (settings.Filter.Count > 0 && !settings.Test)
                throw new RequestException("--filter chooses tests, but none is to be run. Add --test.");
            Machine machine = Machine.Read();
            CudaProbe cuda = CudaProbe.Run();
            if (!settings.Json)
            {
                DoctorReport.Write(terminal.Out, machine, cuda, PtxModules.All());
                return settings.Test ? TestsProgram.Run(terminal, folder ?? AppContext.BaseDirectory, settings.Filter) : ExitCode.Done;
            }

            using var json = new MemoryStream();
            DoctorReport.WriteJson(json, machine, cuda, PtxModules.All());
            terminal.Out.WriteLine(Encoding.UTF8.GetString(json.ToArray()));
            return ExitCode.Done;
        });
}
