#load "build/processes.cake"
#load "build/kernels.cake"

using System.Runtime.InteropServices;

var target = Argument("target", "Test");
var configuration = Argument("configuration", "Release");
var runtime = Argument("runtime", RuntimeInformation.RuntimeIdentifier);

const string Solution = "./Trainer.sln";
const string ConsoleProject = "./src/Trainer.Cli/Trainer.Cli.csproj";
var results = MakeAbsolute(Directory("./artifacts/test-results"));
var native = MakeAbsolute(Directory("./artifacts/native"));
bool testing = false;
int passed = 0, failed = 0, skipped = 0;

Setup(context => testing = context.TasksToExecute.Any(task => task.Name == "Test"));

Task("Clean")
    .Description("Removes all build output.")
    .Does(() => CleanDirectory("./artifacts"));

Task("Build")
    .Description("Compiles everything; warnings and style violations are errors.")
    .Does(() => DotNetBuild(Solution, new DotNetBuildSettings { Configuration = configuration }));

Task("Native")
    .Description("Compiles the kernels of cuda/ for the CPU, with the simulator that their tests run on; needs cmake and g++.")
    .Does(() =>
{
    if (IsRunningOnWindows() || Context.Tools.Resolve("cmake") == null || Context.Tools.Resolve("g++") == null)
    {
        Warning("cmake or g++ was not found: the kernels are not compiled for the CPU, and their tests will be skipped.");
        return;
    }

    Run("cmake", $"-S native -B {native}");
    Run("cmake", $"--build {native} --parallel {Environment.ProcessorCount}");
});

Task("Test")
    .Description("Runs all tests and ends with their counts.")
    .IsDependentOn("Build")
    .IsDependentOn("Native")
    .Does(() =>
{
    CleanDirectory(results);
    string failure = null;
    try
    {
        DotNetTest(Solution, new DotNetTestSettings
        {
            Configuration = configuration,
            NoBuild = true,
            ResultsDirectory = results,
            Loggers = ["trx"],
        });
    }
    catch (CakeException exception)
    {
        failure = exception.Message;
    }

    foreach (var file in GetFiles($"{results}/**/*.trx"))
    {
        var document = new System.Xml.XmlDocument();
        document.Load(file.FullPath);
        var counters = (System.Xml.XmlElement)document.GetElementsByTagName("Counters")[0];
        int Count(string name) => int.Parse(counters.GetAttribute(name));
        passed += Count("passed");
        skipped += Count("total") - Count("executed");
        // Whatever ran and did not pass: failed, error, timeout, aborted.
        failed += Count("executed") - Count("passed");
    }

    if (failed > 0)
        throw new CakeException($"{failed} tests failed.");
    if (passed == 0)
        throw new CakeException("No test was executed.");
    if (failure != null)
        throw new CakeException($"The test run failed outside the tests: {failure}");
});

Task("Bench")
    .Description("Measures training steps on this machine.")
    .IsDependentOn("Build")
    .Does(() => DotNetRun(ConsoleProject, "bench step", new DotNetRunSettings { Configuration = configuration, NoBuild = true }));

Task("Publish")
    .Description("Writes one self-contained executable to artifacts/publish/<runtime>/; --runtime chooses the platform.")
    .Does(() =>
{
    var output = MakeAbsolute(Directory($"./artifacts/publish/{runtime}"));
    CleanDirectory(output);
    DotNetPublish(ConsoleProject, new DotNetPublishSettings
    {
        Configuration = configuration,
        Runtime = runtime,
        SelfContained = true,
        OutputDirectory = output,
    });
    DeleteFiles($"{output}/*.pdb");
    // The assembly cannot have this name (see the project file), the file can.
    string extension = runtime.StartsWith("win") ? ".exe" : "";
    MoveFile(output.CombineWithFilePath("trainer-cli" + extension), output.CombineWithFilePath("trainer" + extension));
});

// The counts come last, also after a failure: Cake would print the exception after them, so it is printed here and the process ended.
// Console.WriteLine because Cake's own log colours the digits, even into a pipe.
int exitCode = 0;
try
{
    RunTarget(target);
}
catch (Exception exception)
{
    Error(exception.Message);
    exitCode = 1;
}

if (testing)
    Console.WriteLine($"{passed} passed, {failed} failed, {skipped} skipped");
Console.Out.Flush();
Environment.Exit(exitCode);
