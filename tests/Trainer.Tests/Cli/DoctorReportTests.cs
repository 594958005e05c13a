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
            DoctorReport.Write(output, Machine.Read(), new CudaProbe(), kernels);
            return output.ToString();
        }
    }

    [Test]
    public void A_GPU_is_reported_with_what_was_found_and_every_place_that_was_tried()
    {
        var probe = new CudaProbe
        {
            DriverLibrary = "libcuda.so.1",
            DriverVersion = new Version(12, 4),
            CublasLtLibrary = "/opt/cuda/lib64/libcublasLt.so.12",
            CublasLtVersion = new Version(12, 4, 5),
            Devices = [new CudaDevice(0, "NVIDIA H200", new Version(9, 0), 132, 141L << 30)],
            Tried = ["libcuda.so.1: found", "libcublasLt.so.12: not found", "/opt/cuda/lib64/libcublasLt.so.12: found", "libcublas.so.12: not found"],
        };
        Assert.That(CudaPart(probe), Is.EqualTo("""
            NVIDIA driver      libcuda.so.1, up to CUDA 12.4
            cuBLASLt           /opt/cuda/lib64/libcublasLt.so.12, version 12.4.5
            cuBLAS             not found; not required
            CUDA kernels       PTX modules: 1 for sm_80
            GPU 0              NVIDIA H200, compute capability 9.0, 132 multiprocessors, 141.0 GiB
            Looked for         libcuda.so.1: found
                               libcublasLt.so.12: not found
                               /opt/cuda/lib64/libcublasLt.so.12: found
                               libcublas.so.12: not found

            """.ReplaceLineEndings()));
    }

    [Test]
    public void A_machine_without_a_GPU_is_told_why_and_what_cuBLASLt_would_be_for()
    {
        var probe = new CudaProbe { Tried = ["libcuda.so.1: not found"], Problem = "the NVIDIA driver library was not found" };
        Assert.That(CudaPart(probe), Is.EqualTo("""
            NVIDIA driver      not found
            cuBLASLt           not found; on a GPU, matrix products are left to this program's own kernels
            cuBLAS             not found; not required
            CUDA kernels       PTX modules: 1 for sm_80
            GPU                cannot be used: the NVIDIA driver library was not found
            Looked for         libcuda.so.1: not found

            """.ReplaceLineEndings()));
    }

    // From the line of the driver on; what is above it is another test's.
    private static string CudaPart(CudaProbe probe)
    {
        using var output = new StringWriter();
        DoctorReport.Write(output, Machine.Read(), probe, [PtxModule.Parse("a", ".target sm_80\n")]);
        string report = output.ToString();
        return report[report.IndexOf("NVIDIA driver", StringComparison.Ordinal)..];
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
