using System.Text.Json;
using Trainer.Cli.Display;
using Trainer.Cuda;

namespace Trainer.Cli.Diagnosis;

/// <summary>The machine and its GPUs, for people and for programs.</summary>
internal static class DoctorReport
{
    /// <summary>Writes the report for people.</summary>
    public static void Write(TextWriter output, Machine machine, CudaProbe cuda, IReadOnlyList<PtxModule> kernels)
    {
        void Row(string name, string value) => output.WriteLine($"{name,-18} {value}");

        Row("Processor", machine.Processor);
        Row("Cores", machine.Processors == machine.UsableProcessors ? $"{machine.Processors}" : $"{machine.Processors}, of which this process may use {machine.UsableProcessors}");
        Row("Instruction sets", machine.InstructionSets.Count == 0 ? "none beyond the baseline" : string.Join(", ", machine.InstructionSets));
        Row("Memory", TrainingText.Bytes(machine.MemoryBytes)
            + (machine.FreeMemoryBytes is { } free ? $", {TrainingText.Bytes(free)} free" : string.Empty)
            + (machine.MemoryLimitBytes is { } limit ? $", limited to {TrainingText.Bytes(limit)}" : string.Empty));
        Row("Disk", $"{TrainingText.Bytes(machine.FreeDiskBytes)} free in {machine.Directory}");
        Row("System", machine.System);
        Row("Runtime", machine.Runtime);
        Row("NVIDIA driver", (cuda.DriverLibrary ?? "not found") + (cuda.DriverVersion is { } supported ? $", up to CUDA {supported}" : string.Empty));
        Row("cuBLASLt", cuda.CublasLtLibrary is null
            ? "not found; on a GPU, matrix products are left to this program's own kernels"
            : Named(cuda.CublasLtLibrary, cuda.CublasLtVersion));
        Row("cuBLAS", cuda.CublasLibrary is null ? "not found; not required" : Named(cuda.CublasLibrary, cuda.CublasVersion));
        Row("CUDA kernels", kernels.Count == 0
            ? "none: this program was built without nvcc; ./build.sh --target=Kernels says what is needed"
            : "PTX modules: " + string.Join(", ", kernels.GroupBy(module => module.Target).Select(target => $"{target.Count()} for {target.Key}")));
        foreach (CudaDevice device in cuda.Devices)
            Row($"GPU {device.Index}", $"{device.Name}, compute capability {device.ComputeCapability}, {device.Multiprocessors} multiprocessors, {TrainingText.Bytes(device.MemoryBytes)}");
        if (cuda.Problem is { } problem)
            Row("GPU", $"cannot be used: {problem}");
        for (int i = 0; i < cuda.Tried.Count; i++)
            Row(i == 0 ? "Looked for" : string.Empty, cuda.Tried[i]);

        static string Named(string library, Version? version) => version is null ? library : $"{library}, version {version}";
    }

    /// <summary>Writes the report as one JSON object.</summary>
    public static void WriteJson(Stream output, Machine machine, CudaProbe cuda, IReadOnlyList<PtxModule> kernels)
    {
        using var writer = new Utf8JsonWriter(output, new JsonWriterOptions { Indented = true });
        writer.WriteStartObject();
        writer.WriteString("processor", machine.Processor);
        writer.WriteNumber("processors", machine.Processors);
        writer.WriteNumber("usableProcessors", machine.UsableProcessors);
        WriteTexts(writer, "instructionSets", machine.InstructionSets);
        writer.WriteNumber("memoryBytes", machine.MemoryBytes);
        WriteNumber(writer, "freeMemoryBytes", machine.FreeMemoryBytes);
        WriteNumber(writer, "memoryLimitBytes", machine.MemoryLimitBytes);
        writer.WriteString("directory", machine.Directory);
        writer.WriteNumber("freeDiskBytes", machine.FreeDiskBytes);
        writer.WriteString("system", machine.System);
        writer.WriteString("runtime", machine.Runtime);
        writer.WriteStartObject("cuda");
        writer.WriteString("driverLibrary", cuda.DriverLibrary);
        writer.WriteString("driverVersion", cuda.DriverVersion?.ToString());
        writer.WriteString("cublasLtLibrary", cuda.CublasLtLibrary);
        writer.WriteString("cublasLtVersion", cuda.CublasLtVersion?.ToString());
        writer.WriteString("cublasLibrary", cuda.CublasLibrary);
        writer.WriteString("cublasVersion", cuda.CublasVersion?.ToString());
        writer.WriteStartArray("kernels");
        foreach (PtxModule module in kernels)
        {
            writer.WriteStartObject();
            writer.WriteString("name", module.Name);
            writer.WriteString("target", module.Target);
            writer.WriteEndObject();
        }

        writer.WriteEndArray();
        writer.WriteStartArray("devices");
        foreach (CudaDevice device in cuda.Devices)
        {
            writer.WriteStartObject();
            writer.WriteNumber("index", device.Index);
            writer.WriteString("name", device.Name);
            writer.WriteString("computeCapability", device.ComputeCapability.ToString());
            writer.WriteNumber("multiprocessors", device.Multiprocessors);
            writer.WriteNumber("memoryBytes", device.MemoryBytes);
            writer.WriteEndObject();
        }

        writer.WriteEndArray();
        writer.WriteString("problem", cuda.Problem);
        WriteTexts(writer, "tried", cuda.Tried);
        writer.WriteEndObject();
        writer.WriteEndObject();
    }

    private static void WriteTexts(Utf8JsonWriter writer, string name, IReadOnlyList<string> texts)
    {
        writer.WriteStartArray(name);
        foreach (string text in texts)
            writer.WriteStringValue(text);
        writer.WriteEndArray();
    }

    private static void WriteNumber(Utf8JsonWriter writer, string name, long? number)
    {
        if (number is { } value)
            writer.WriteNumber(name, value);
        else
            writer.WriteNull(name);
    }
}
