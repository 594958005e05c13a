// kernels.cake - the kernels of cuda/ as PTX, and what ptxas makes of it for each architecture.
#load "processes.cake"

using System.Text;
using System.Text.RegularExpressions;
using System.Threading;
using System.Threading.Tasks;

const string PtxProject = "./cuda/Ptx.targets";

// What ptxas reports of one kernel for one architecture.
record KernelResources(string Kernel, int Registers, int StaticShared);

// One run of ptxas.
record PtxasRun(FilePath Ptx, string Architecture, string Report);

string FindNvcc()
{
    var (exit, output, error) = Capture("dotnet", ["msbuild", PtxProject, "-nologo", "-t:FindNvcc", "-getProperty:Nvcc"]);
    return exit == 0 ? output.Trim() : throw new CakeException(output + error);
}

// The path of nvcc, fetched if need be; null, and said why, where there is none.
string NvccOrReason()
{
    if (FindNvcc() is { Length: > 0 } nvcc)
        return nvcc;
    const string advice = "Only kernels whose PTX is there and up to date will be in the program. Install CUDA 12 or later, with nvcc on PATH or CUDA_PATH"
        + " set, and run this again.";
    if (IsRunningOnWindows())
    {
        Warning($"nvcc, or Visual C++ for it, was not found. {advice}");
        return null;
    }

    if (Context.Tools.Resolve("g++") == null)
    {
        Warning("g++, which nvcc needs, was not found: only kernels whose PTX is there and up to date will be in the program. Install it and run this again.");
        return null;
    }

    Say("nvcc was not found; fetching the compiler from Debian's packages.");
    var (exit, _, error) = Capture("bash", ["./cuda/get-compiler.sh"]);
    if (exit == 0 && FindNvcc() is { Length: > 0 } fetched)
        return fetched;
    Warning($"{error.Trim()} {advice}");
    return null;
}

// ptxas of the same toolkit: beside nvcc, or beside what a link to nvcc points to.
string PtxasOf(string nvcc)
{
    string name = IsRunningOnWindows() ? "ptxas.exe" : "ptxas";
    var target = System.IO.File.ResolveLinkTarget(nvcc, returnFinalTarget: true);
    return new[] { nvcc, target?.FullName ?? nvcc }.Select(path => System.IO.Path.Combine(System.IO.Path.GetDirectoryName(path), name))
        .FirstOrDefault(System.IO.File.Exists) ?? throw new CakeException($"{nvcc} has no {name} beside it.");
}

// The architectures that a PTX file is assembled for: those it claims to run on.
string[] ArchitecturesOf(string ptx) => Regex.Match(ptx, @"^\.target (\w+)", RegexOptions.Multiline).Groups[1].Value switch
{
    "sm_80" => ["sm_80", "sm_86", "sm_89", "sm_90", "sm_90a"],
    "sm_90a" => ["sm_90a"],
    var other => throw new CakeException($"PTX for '{other}' is not expected."),
};

// Assembles what has changed since its last report, as many files at once as there are processors.
List<PtxasRun> Assemble(string ptxas, IEnumerable<FilePath> files)
{
    var folder = MakeAbsolute(Directory("./artifacts/ptx/cubin"));
    EnsureDirectoryExists(folder);
    var jobs = (from file in files orderby new System.IO.FileInfo(file.FullPath).Length descending
                from architecture in ArchitecturesOf(System.IO.File.ReadAllText(file.FullPath))
                let name = folder.CombineWithFilePath($"{file.GetFilenameWithoutExtension()}.{architecture}")
                select (file, architecture, cubin: name + ".cubin", report: name + ".txt")).ToList();
    var current = jobs.SelectMany(job => new[] { job.cubin, job.report }).ToHashSet();
    foreach (var stale in GetFiles($"{folder}/*").Where(file => !current.Contains(file.FullPath)))
        DeleteFile(stale);

    var assemblies = new PtxasRun[jobs.Count];
    int made = 0;
    var clock = System.Diagnostics.Stopwatch.StartNew();
    (double Seconds, string What) slowest = (0, "");
    var refusals = new System.Collections.Concurrent.ConcurrentBag<string>();
    Parallel.For(0, jobs.Count, new ParallelOptions { MaxDegreeOfParallelism = Environment.ProcessorCount }, i =>
    {
        var job = jobs[i];
        if (Newest(job.file.FullPath, ptxas) >= Newest(job.report))
        {
            var start = clock.Elapsed;
            var (exit, output, error) = Capture(ptxas,
                ["-v", "--warn-on-spills", "--warn-on-local-memory-usage", $"-arch={job.architecture}", "-o", job.cubin, job.file.FullPath]);
            if (exit != 0)
            {
                refusals.Add($"ptxas does not accept {job.file.GetFilename()} for {job.architecture}:\n{output}{error}");
                return;
            }

            System.IO.File.WriteAllText(job.report, output + error);
            lock (jobs)
            {
                made++;
                double seconds = (clock.Elapsed - start).TotalSeconds;
                if (seconds > slowest.Seconds)
                    slowest = (seconds, $"{job.file.GetFilename()} for {job.architecture}");
            }
        }

        assemblies[i] = new(job.file, job.architecture, System.IO.File.ReadAllText(job.report));
    });
    if (!refusals.IsEmpty)
        throw new CakeException(string.Join("\n", refusals));
    Say($"ptxas: {made} of {jobs.Count} assembled in {clock.Elapsed.TotalSeconds:F1} s"
        + (made > 0 ? $", the slowest {slowest.What} in {slowest.Seconds:F1} s" : ""));
    return [.. assemblies];

    static DateTime Newest(params string[] paths) => paths.Max(path => System.IO.File.GetLastWriteTimeUtc(path));
}

// Everything in a report that is not as it should be.
IEnumerable<string> Complaints(PtxasRun assembly)
{
    string function = "";
    foreach (string line in assembly.Report.Split('\n'))
    {
        if (Regex.Match(line, @"(?:Compiling entry function '|Function properties for )(\w+)") is { Success: true } header)
            function = header.Groups[1].Value + ": ";
        // Warnings, and remarks with a number: C7508 and C7510 say that wgmma instructions wait for each other.
        bool wrong = line.Contains("warning", StringComparison.OrdinalIgnoreCase) || Regex.IsMatch(line, @"\(C\d+\)|Performance Loss")
            || Regex.IsMatch(line, @"\b[1-9]\d* bytes (stack frame|spill stores|spill loads|cumulative stack size|lmem)");
        if (wrong)
            yield return $"{assembly.Ptx.GetFilename()} for {assembly.Architecture}: {function}{line.Trim()}";
    }
}

// The kernels of a report.
List<KernelResources> ResourcesOf(PtxasRun assembly)
{
    var resources = new List<KernelResources>();
    // A kernel's line "Used N registers" follows its header; functions that were not inlined have a header and no such line.
    const string kernel = @"Compiling entry function '(\w+)'(?:(?!Compiling entry function)[\s\S])*?Used (\d+) registers([^\n]*)";
    foreach (Match match in Regex.Matches(assembly.Report, kernel))
    {
        var shared = Regex.Match(match.Groups[3].Value, @"(\d+) bytes smem");
        resources.Add(new(match.Groups[1].Value, int.Parse(match.Groups[2].Value), shared.Success ? int.Parse(shared.Groups[1].Value) : 0));
    }

    return resources;
}

// The kernels of PTX text: threads of a block and blocks of a multiprocessor that the launch bounds promise, 0 for no promise.
Dictionary<string, (int Threads, int Blocks)> LaunchBounds(string ptx)
{
    var bounds = new Dictionary<string, (int, int)>();
    foreach (Match entry in Regex.Matches(ptx, @"^\.(?:visible )?\.?entry (\w+)\(([^{]*)\{", RegexOptions.Multiline))
    {
        var threads = Regex.Match(entry.Groups[2].Value, @"\.maxntid (\d+)(?:, (\d+))?(?:, (\d+))?");
        var blocks = Regex.Match(entry.Groups[2].Value, @"\.minnctapersm (\d+)");
        int product = threads.Groups.Values.Skip(1).Where(group => group.Success).Aggregate(1, (all, group) => all * int.Parse(group.Value));
        bounds.Add(entry.Groups[1].Value, (threads.Success ? product : 0, blocks.Success ? int.Parse(blocks.Groups[1].Value) : 0));
    }

    return bounds;
}

// The table of resources as text. Throws when a report does not speak of exactly the kernels of its PTX.
string ResourceTable(IEnumerable<PtxasRun> assemblies, string ptxasVersion)
{
    var text = new StringBuilder("# Registers and shared memory of the kernels\n\n");
    text.Append($"As {ptxasVersion} assembles them. Threads of a block and blocks of a multiprocessor are those of the launch bounds, shared memory is the\n");
    text.Append("static part in bytes, and below each architecture are the registers of a thread.\n");
    foreach (var file in assemblies.GroupBy(assembly => assembly.Ptx.FullPath).OrderBy(file => file.Key))
    {
        var bounds = LaunchBounds(System.IO.File.ReadAllText(file.Key));
        var columns = file.Select(assembly => (assembly.Architecture, Kernels: ResourcesOf(assembly).ToDictionary(kernel => kernel.Kernel))).ToList();
        foreach (var (architecture, kernels) in columns)
        {
            if (!kernels.Keys.ToHashSet().SetEquals(bounds.Keys))
                throw new CakeException($"The report of ptxas on {file.Key} for {architecture} should speak of {string.Join(", ", bounds.Keys)}.");
        }

        text.Append($"\n## {System.IO.Path.GetFileName(file.Key)}\n\n");
        text.Append($"| kernel | threads | blocks | shared | {string.Join(" | ", columns.Select(column => column.Architecture))} |\n");
        text.Append($"|---|{string.Concat(Enumerable.Repeat("---:|", columns.Count + 3))}\n");
        foreach (string kernel in bounds.Keys)
        {
            string Bound(int value) => value == 0 ? "" : $"{value}";
            string shared = string.Join(" / ", columns.Select(column => column.Kernels[kernel].StaticShared).Distinct());
            string registers = string.Join(" | ", columns.Select(column => column.Kernels[kernel].Registers));
            text.Append($"| `{kernel}` | {Bound(bounds[kernel].Threads)} | {Bound(bounds[kernel].Blocks)} | {shared} | {registers} |\n");
        }
    }

    return text.ToString();
}

Task("Kernels")
    .Description("Compiles the kernels of cuda/ to PTX and checks what ptxas makes of it for every architecture; fetches the compiler if there is none.")
    .Does(() =>
{
    if (NvccOrReason() is not { } nvcc)
        return;
    string ptxas = PtxasOf(nvcc);
    var clock = System.Diagnostics.Stopwatch.StartNew();
    Run("dotnet", $"msbuild {PtxProject} -nologo -verbosity:minimal -maxcpucount -warnaserror -t:BuildPtx");
    Say($"nvcc: {clock.Elapsed.TotalSeconds:F1} s ({nvcc})");

    var assemblies = Assemble(ptxas, GetFiles("./artifacts/ptx/*.ptx"));
    string version = Regex.Match(Capture(ptxas, ["--version"]).Output, @"V([\d.]+)").Groups[1].Value;
    System.IO.File.WriteAllText("./artifacts/ptx/resources.md", ResourceTable(assemblies, $"ptxas {version}"));
    Say("Registers and shared memory of each kernel: artifacts/ptx/resources.md");
    var complaints = assemblies.SelectMany(Complaints).ToList();
    if (complaints.Count > 0)
        throw new CakeException("Kernels must not spill, use local memory, or draw remarks of ptxas:\n" + string.Join("\n", complaints));
});
