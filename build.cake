#load "build/processes.cake"
#load "build/tests.cake"
#load "build/kernels.cake"
#load "build/simulator.cake"
#load "build/mutants.cake"
#load "build/profile.cake"
#load "build/bundle.cake"

using System.Runtime.InteropServices;

var target = Argument("target", "Test");
var configuration = Argument("configuration", "Release");
var runtime = Argument("runtime", RuntimeInformation.RuntimeIdentifier);

const string Solution = "./Trainer.sln";
const string ConsoleProject = "./src/Trainer.Cli/Trainer.Cli.csproj";
var results = MakeAbsolute(Directory("./artifacts/test-results"));
bool testing = false;
TestOutcome outcome = new(0, 0, 0, []);

Setup(context => testing = context.TasksToExecute.Any(task => task.Name is "Test" or "TestAsan"));

Task("Clean")
    .Description("Removes all build output.")
    .Does(() => CleanDirectory("./artifacts"));

Task("Build")
    .Description("Compiles everything; warnings and style violations are errors.")
    .Does(() => DotNetBuild(Solution, new DotNetBuildSettings { Configuration = configuration }));

Task("Test")
    .Description("Runs all tests and ends with their counts.")
    .IsDependentOn("Kernels")
    .IsDependentOn("Build")
    .IsDependentOn("Native")
    .Does(() => RunTests(Solution, results));

Task("Bench")
    .Description("Measures training steps on this machine.")
    .IsDependentOn("Build")
    .Does(() => DotNetRun(ConsoleProject, "bench step", new DotNetRunSettings { Configuration = configuration, NoBuild = true }));

Task("Publish")
    .Description("Writes one self-contained executable to artifacts/publish/<runtime>/; --runtime chooses the platform.")
    .IsDependentOn("Kernels")
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
    Console.WriteLine($"{outcome.Passed} passed, {outcome.Failed} failed, {outcome.Skipped} skipped");
Console.Out.Flush();
Environment.Exit(exitCode);
