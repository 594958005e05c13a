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
}

/// <summary><c>trainer doctor</c>: what this machine has for training.</summary>
internal static class DoctorCommand
{
    public static Verb Create(Terminal terminal) => Verb.Create<DoctorSettings>(
        "doctor",
        "Shows what this machine has for training: processor, memory, disk, GPUs, and why a GPU is not used.",
        ["trainer doctor", "trainer doctor --json"],
        settings =>
        {
            Machine machine = Machine.Read();
            CudaProbe cuda = CudaProbe.Run();
            if (!settings.Json)
            {
                DoctorReport.Write(terminal.Out, machine, cuda, PtxModules.All());
                return ExitCode.Done;
            }

            using var json = new MemoryStream();
            DoctorReport.WriteJson(json, machine, cuda, PtxModules.All());
            terminal.Out.WriteLine(Encoding.UTF8.GetString(json.ToArray()));
            return ExitCode.Done;
        });
}
