using System.Text.Json;
using Trainer.Cli.Commands;
using Trainer.Cli.Diagnosis;
using Trainer.Cuda;

namespace Trainer.Tests.Cli;

public sealed class DoctorReportTests
{
    [Test]
    public void The_report_names_processor_memory_disk_and_GPU()
    {
        using var recorded = new RecordedTerminal();
        int code = Trainer.Cli.CommandLine.Run(["doctor"], recorded.Terminal, [DoctorCommand.Create(recorded.Terminal)]);
        Assert.That(code, Is.Zero, recorded.Error);
        Assert.That(recorded.Output, Does.Contain("Processor").And.Contain("Memory").And.Contain("free in").And.Contain("NVIDIA driver").And.Contain(".NET 10"));
    }

    [Test]
    public void The_JSON_says_the_same()
    {
        using var recorded = new RecordedTerminal();
        Trainer.Cli.CommandLine.Run(["doctor", "--json"], recorded.Terminal, [DoctorCommand.Create(recorded.Terminal)]);
        using var json = JsonDocument.Parse(recorded.Output);
        Assert.That(json.RootElement.GetProperty("memoryBytes").GetInt64(), Is.Positive);
        Assert.That(json.RootElement.GetProperty("usableProcessors").GetInt32(), Is.EqualTo(Environment.ProcessorCount));
        Assert.That(json.RootElement.GetProperty("cuda").GetProperty("tried").GetArrayLength(), Is.Positive);
    }

    [Test]
    public void The_kernels_in_the_program_are_counted_by_target()
    {
        PtxModule[] modules = [PtxModule.Parse("a", ".target sm_80\n"), PtxModule.Parse("b", ".target sm_90a\n"), PtxModule.Parse("c", ".target sm_80\n")];
        Assert.That(Report(modules), Does.Contain("CUDA kernels       PTX modules: 2 for sm_80, 1 for sm_90a"));
        Assert.That(Report([]), Does.Contain("none: this program was built without nvcc"));

        static string Report(PtxModule[] kernels)
        {
            using var output = new StringWriter();
            DoctorReport.Write(output, Machine.Read(), CudaProbe.Run([], []), kernels);
            return output.ToString();
        }
    }

    [Test]
    public void What_the_kernel_tells_is_understood()
    {
        Assert.That(Machine.ParseMemory(["MemTotal:       16384 kB", "HugePages_Total:       0"]), Is.EqualTo(new Dictionary<string, long> { ["MemTotal"] = 16 << 20 }));
        Assert.That(Machine.ParseControlGroup(["1:cpu:/x", "0::/user.slice/a"]), Is.EqualTo("/user.slice/a"));
        Assert.That(Machine.ParseControlGroup(["0::/"]), Is.Empty);
        Assert.That(Machine.ParseProcessor(["vendor_id : x", "model name\t: AMD EPYC 9R14"]), Is.EqualTo("AMD EPYC 9R14"));
        Assert.That(Machine.ParseProcessor([]), Is.Null);
    }
}
