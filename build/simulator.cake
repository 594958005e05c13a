// simulator.cake - the kernels of cuda/ compiled for the CPU, and the tests that need another build of them.
#load "processes.cake"
#load "tests.cake"

using System.Text;
using System.Text.Json;
using System.Text.RegularExpressions;

const string KernelTests = "./tests/Trainer.KernelTests/Trainer.KernelTests.csproj";
const string SimulatorVariable = "TRAINER_SIMT_LIBRARY";
const string CudaVariable = "TRAINER_SIMULATED_CUDA";
const string LibrariesVariable = "TRAINER_CUDA_LIBRARIES";

// What keeps the kernels from being compiled for the CPU; null when nothing does.
string MissingNativeTools()
{
    if (IsRunningOnWindows())
        return "The simulator that runs the kernels on the CPU is for Linux on x86-64.";
    var missing = new[] { "cmake", "g++" }.Where(tool => Context.Tools.Resolve(tool) == null).ToList();
    return missing.Count == 0 ? null : $"{string.Join(" and ", missing)} was not found on PATH: install it and run this again.";
}

void RequireNativeTools()
{
    if (MissingNativeTools() is { } reason)
        throw new CakeException(reason);
}

// Configures and compiles native/: everything, or one library of it.
void BuildSimulator(DirectoryPath folder, string options = "", string target = "all")
{
    Run("cmake", $"-S native -B \"{folder}\" {options}");
    Run("cmake", $"--build \"{folder}\" --target {target} --parallel {Environment.ProcessorCount}");
}

Task("Native")
    .Description("Compiles the kernels of cuda/ for the CPU, with the simulator that their tests run on and a CUDA driver over it; needs cmake and g++.")
    .Does(() =>
{
    if (MissingNativeTools() is { } reason)
        Warning($"{reason} The kernels are not compiled for the CPU, and their tests will be skipped.");
    else
        BuildSimulator(MakeAbsolute(Directory("./artifacts/native")));
});

Task("TestAsan")
    .Description("Runs the tests of the kernels and of what drives them with AddressSanitizer in place of the simulator's own checks of loads and stores.")
    .IsDependentOn("Build")
    .Does(() =>
{
    RequireNativeTools();
    var library = MakeAbsolute(Directory("./artifacts/native-asan"));
    BuildSimulator(library, "-DSIMT_ASAN=ON");
    string runtime = Capture("g++", ["-print-file-name=libasan.so"]).Output.Trim();
    if (!System.IO.Path.IsPathRooted(runtime))
        throw new CakeException("g++ has no libasan.so; it comes with the package libasan or libgcc-dev of your system.");

    // The .NET runtime needs its faults and signal stacks for itself; a report must not end the process, nor be left out because its place has
    // been reported before; fibers have no second stack. What is reported is in the tests' messages, in full beside their results.
    string options = "detect_leaks=0:handle_segv=0:handle_sigbus=0:use_sigaltstack=0:halt_on_error=0:suppress_equal_pcs=0:detect_stack_use_after_return=0"
        + $":log_path={results}/AddressSanitizer";
    string environment = $"-e LD_PRELOAD={runtime} -e ASAN_OPTIONS={options} -e {SimulatorVariable}={library}/libsimt.so -e {CudaVariable}={library} -e {LibrariesVariable}={library}";
    RunTests(Solution, results, $"{environment} --filter \"FullyQualifiedName~Trainer.KernelTests|FullyQualifiedName~Trainer.Tests.Cuda\"");
});
