// bundle.cake - a folder that runs on a machine with nothing but the NVIDIA driver and cuBLAS: the program, and its tests for the GPU.
#load "processes.cake"

const string DeviceTestsProject = "./tests/Trainer.DeviceTests/Trainer.DeviceTests.csproj";
const long LargestBundle = 40_000_000;

// Runs a program of the bundle as on a bare machine: in its folder, with an environment that knows nothing of .NET.
string RunBare(DirectoryPath folder, int expected, string libraries, params string[] command)
{
    string[] environment = ["-i", "PATH=/usr/bin:/bin", $"HOME={folder}", .. libraries == null ? Array.Empty<string>() : [$"{LibrariesVariable}={libraries}"]];
    var (exit, output, error) = Capture("env", ["-C", folder.FullPath, .. environment, .. command], TimeSpan.FromMinutes(10));
    string text = (output + error).Trim();
    if (exit != expected)
        throw new CakeException($"{string.Join(" ", command)} in the unpacked bundle ended with {exit}, not {expected}:\n{text}");
    Say($"bundle: {string.Join(" ", command)}: {text.Split('\n')[^1]}");
    return text;
}

// Unpacks the bundle in an empty folder and uses it there. No GPU: the tests run on the simulated driver, where that is built.
void ProveBundle(FilePath archive, string name)
{
    var place = new DirectoryInfo(System.IO.Path.Combine(System.IO.Path.GetTempPath(), $"trainer-bundle-{Environment.ProcessId}"));
    place.Create();
    try
    {
        Run("tar", $"-xzf \"{archive}\" -C \"{place.FullName}\"");
        var folder = new DirectoryPath(place.FullName).Combine(name);
        RunBare(folder, 0, null, "./trainer", "--help");
        RunBare(folder, 0, null, "./trainer", "bench", "memory");

        string native = MakeAbsolute(Directory("./artifacts/native")).FullPath;
        if (MissingNativeTools() is { } reason)
        {
            Warning($"{reason} The bundle's tests are not tried.");
            return;
        }

        // Another folder, so that nothing is found by accident where the build has put it.
        var libraries = System.IO.Directory.CreateDirectory(System.IO.Path.Combine(place.FullName, "libraries"));
        foreach (string library in new[] { "libcuda.so.1", "libcublas.so.12", "libcublasLt.so.12", "libsimt.so" })
            System.IO.File.Copy(System.IO.Path.Combine(native, library), System.IO.Path.Combine(libraries.FullName, library));
        string report = RunBare(folder, 0, libraries.FullName, "./trainer", "doctor");
        if (!report.Contains("Simulated CUDA device"))
            throw new CakeException($"trainer doctor in the unpacked bundle does not see the simulated device:\n{report}");
        RunBare(folder, 0, libraries.FullName, "./trainer", "doctor", "--test", "--filter", "DriverTargetTests", "BiasTests", "A_graph_replays");
        RunBare(folder, 2, libraries.FullName, "./trainer", "doctor", "--test", "--filter", "no such test");
        RunBare(folder, 2, System.IO.Path.Combine(place.FullName, "nothing"), "./trainer", "doctor", "--test", "--filter", "BiasTests");
    }
    finally
    {
        place.Delete(recursive: true);
    }
}

Task("Bundle")
    .Description("Writes artifacts/bundle/<runtime>/, and it packed: the program with its tests for a machine that has a GPU and no SDK; and tries it.")
    .IsDependentOn("Publish")
    .IsDependentOn("Native")
    .Does(() =>
{
    if (!runtime.StartsWith("linux"))
        throw new CakeException($"The bundle is for Linux, not {runtime}: on Windows use --target=Publish.");
    string name = $"trainer-{runtime}";
    var bundle = MakeAbsolute(Directory("./artifacts/bundle"));
    var (folder, tests, archive) = (bundle.Combine(runtime), bundle.Combine("tests"), bundle.CombineWithFilePath($"{name}.tar.gz"));
    CleanDirectory(bundle);
    EnsureDirectoryExists(folder);
    DotNetPublish(DeviceTestsProject, new DotNetPublishSettings
    {
        Configuration = configuration,
        Runtime = runtime,
        SelfContained = true,
        OutputDirectory = tests,
    });
    CopyFile($"./artifacts/publish/{runtime}/trainer", folder.CombineWithFilePath("trainer"));
    CopyFile(tests.CombineWithFilePath("trainer-tests"), folder.CombineWithFilePath("trainer-tests"));
    CopyFile("./LICENSE", folder.CombineWithFilePath("LICENSE"));
    DeleteDirectory(tests, new() { Recursive = true });

    Run("tar", $"-czf \"{archive}\" -C \"{bundle}\" --transform=s/^{runtime}/{name}/ {runtime}");
    long size = new FileInfo(archive.FullPath).Length;
    Say($"{archive}: {size / 1e6:F1} MB");
    if (size > LargestBundle)
        throw new CakeException($"The bundle has {size / 1e6:F1} MB, more than {LargestBundle / 1e6:F0}.");
    ProveBundle(archive, name);
});
