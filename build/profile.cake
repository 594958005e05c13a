// profile.cake - the kernels of a training step under NVIDIA's profilers.
#load "processes.cake"

// How each profiler is run around a command; both record from cuProfilerStart to cuProfilerStop, which 'trainer profile' calls around the steps that count.
readonly record struct Profiler(string Name, string Arguments, string Report);

Profiler[] Profilers(DirectoryPath folder) =>
[
    // Every kernel again and again until all counters are read: bandwidth, arithmetic, and why warps wait.
    new("ncu", $"--profile-from-start off --set roofline --force-overwrite --export {folder}/kernels", $"{folder}/kernels.ncu-rep"),

    // The timeline, with the NVTX ranges of the operations.
    new("nsys", "profile --trace=cuda,nvtx,cublas --capture-range=cudaProfilerApi --capture-range-end=stop --stats=true --force-overwrite=true"
        + $" --output={folder}/timeline", $"{folder}/timeline.nsys-rep"),
];

Task("Profile")
    .Description("Runs 'trainer profile' under Nsight Compute or Systems, if ncu or nsys is on PATH; --profiler chooses, --options are trainer's.")
    .Does(() =>
{
    var folder = MakeAbsolute(Directory("./artifacts/profile"));
    string wanted = Argument("profiler", "");
    var known = Profilers(folder).Where(profiler => wanted == "" || profiler.Name == wanted).ToList();
    if (known.Count == 0)
        throw new CakeException($"--profiler {wanted} is not known; it is ncu or nsys.");
    var found = known.Where(profiler => Context.Tools.Resolve([profiler.Name, profiler.Name + ".exe"]) != null).ToList();
    if (found.Count == 0)
    {
        string names = string.Join(" and ", known.Select(profiler => profiler.Name));
        Say($"{names} not found on PATH: nothing was profiled. Install NVIDIA Nsight Compute or Systems; 'trainer profile' itself needs neither.");
        return;
    }

    DotNetBuild(ConsoleProject, new DotNetBuildSettings { Configuration = configuration });
    EnsureDirectoryExists(folder);
    string options = Argument("options", "--device cuda --preset gpt2 --steps 1");
    string trainer = $"./artifacts/bin/Trainer.Cli/{configuration.ToLower()}/trainer-cli.dll";
    Run(found[0].Name, $"{found[0].Arguments} dotnet {trainer} profile --output {folder} {options}");
    Say($"The report is in {found[0].Report}; the times that trainer prints are those of a program under a profiler.");
});
