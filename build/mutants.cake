// mutants.cake - mistakes planted in the kernels, one at a time: each must make a test fail.
#load "processes.cake"
#load "tests.cake"
#load "simulator.cake"

using System.Text;
using System.Text.Json;
using System.Text.Json.Serialization;

// What is wrong with the kernel; the file of cuda/; the text that is replaced, where it occurs more than once counted from 0; the tests that
// look at the kernel, as dotnet test filters them.
record Mutant(string What, string File, string Old, string New, int? Occurrence, string Filter)
{
    public string Apply(string text)
    {
        var places = new List<int>();
        for (int at = text.IndexOf(Old); at >= 0; at = text.IndexOf(Old, at + 1))
            places.Add(at);
        if (places.Count == 0)
            throw new CakeException($"Mutant '{What}': {File} does not contain: {Old}");
        if (Occurrence == null && places.Count > 1)
            throw new CakeException($"Mutant '{What}': {File} contains {places.Count} times, so it needs an occurrence: {Old}");
        if (Occurrence >= places.Count)
            throw new CakeException($"Mutant '{What}': {File} contains only {places.Count} times: {Old}");
        int place = places[Occurrence ?? 0];
        return string.Concat(text.AsSpan(0, place), New, text.AsSpan(place + Old.Length));
    }
}

// What noticed a mistake, and what it said.
record Catch(string By, string Message);

List<Mutant> ReadMutants(string filter)
{
    var options = new JsonSerializerOptions { PropertyNameCaseInsensitive = true, UnmappedMemberHandling = JsonUnmappedMemberHandling.Disallow };
    var mutants = new List<Mutant>();
    foreach (var file in GetFiles("./tests/Trainer.KernelTests/mutants/*.json").OrderBy(file => file.FullPath))
    {
        List<Mutant> list;
        try
        {
            list = JsonSerializer.Deserialize<List<Mutant>>(System.IO.File.ReadAllText(file.FullPath), options);
        }
        catch (JsonException exception)
        {
            throw new CakeException($"{file.GetFilename()}: {exception.Message}");
        }

        foreach (var mutant in list)
        {
            if (mutant is not { What: not null, File: not null, Old.Length: > 0, New: not null, Filter: not null } || !mutant.File.StartsWith("cuda/"))
                throw new CakeException($"{file.GetFilename()}: a mutant needs what, file (cuda/...), old, new and filter: {mutant}");
            mutant.Apply(System.IO.File.ReadAllText(mutant.File));   // so that a text that is not there any more is known before anything is built
            if ($"{file.GetFilename()} {mutant.File} {mutant.What}".Contains(filter, StringComparison.OrdinalIgnoreCase))
                mutants.Add(mutant);
        }
    }

    return mutants.Count > 0 ? mutants : throw new CakeException($"No mutant matches '{filter}'.");
}

// Makes the copy of cuda/ equal to it but for the mutant. Files that stay as they are are not touched, so that they are not compiled again.
void CopyKernels(DirectoryPath copy, Mutant mutant)
{
    var source = MakeAbsolute(Directory("./cuda"));
    var files = GetFiles($"{source}/**/*.cu").Concat(GetFiles($"{source}/**/*.cuh"))
        .ToDictionary(file => copy.CombineWithFilePath(source.GetRelativePath(file)).FullPath);
    foreach (var stale in GetFiles($"{copy}/**/*").Where(file => !files.ContainsKey(file.FullPath)))
        DeleteFile(stale);
    foreach (var (target, file) in files)
    {
        string text = System.IO.File.ReadAllText(file.FullPath);
        if (mutant != null && MakeAbsolute(File(mutant.File)).FullPath == file.FullPath)
            text = mutant.Apply(text);
        EnsureDirectoryExists(System.IO.Path.GetDirectoryName(target));
        if (!System.IO.File.Exists(target) || System.IO.File.ReadAllText(target) != text)
            System.IO.File.WriteAllText(target, text);
    }
}

// Runs tests on a library up to the first failure.
(Catch Caught, int Passed) TryTests(string filter, string library, DirectoryPath results, TimeSpan limit)
{
    CleanDirectory(results);
    var (exit, output, error) = Capture("dotnet",
        ["test", KernelTests, "-c", configuration, "--no-build", "--filter", filter, "--logger", "trx", "--results-directory", results.FullPath,
            "-e", $"{SimulatorVariable}={library}", "--", "NUnit.StopOnError=true"], limit);
    if (exit == null)
        return (new("the time limit", $"not done after {limit.TotalSeconds:F0} s"), 0);
    var outcome = ReadOutcome(results);
    if (outcome.Failures.FirstOrDefault() is { Test: not null } failure)
        return (new(failure.Test, failure.Message), outcome.Passed);
    string last = (output + error).Split('\n').LastOrDefault(line => line.Trim().Length > 0) ?? "";
    return (exit == 0 ? null : new("the end of the test process", last), outcome.Passed);
}

Task("Mutants")
    .Description("Plants the mistakes of tests/Trainer.KernelTests/mutants in the kernels; fails when the tests miss one. --filter=TEXT chooses some.")
    .IsDependentOn("Build")
    .Does(() =>
{
    RequireNativeTools();
    var mutants = ReadMutants(Argument("filter", ""));
    var folder = MakeAbsolute(Directory("./artifacts/mutants"));
    var (copy, build, results) = (folder.Combine("cuda"), folder.Combine("build"), folder.Combine("results"));
    string library = $"{build}/libsimt.so";

    // The control: nothing changed. It shows that each filter finds tests, that they pass on this build, and how long they take.
    CopyKernels(copy, null);
    BuildSimulator(build, $"-DKERNEL_DIR=\"{copy}\" -DSIMT_WARNINGS_ARE_ERRORS=OFF", "simt");
    var limits = new Dictionary<string, TimeSpan>();
    foreach (string filter in mutants.Select(mutant => mutant.Filter).Distinct())
    {
        var clock = Stopwatch.StartNew();
        var (caught, passed) = TryTests(filter, library, results, TimeSpan.FromMinutes(10));
        if (caught != null)
            throw new CakeException($"The control fails, although nothing is changed: {caught.By}: {caught.Message}");
        if (passed == 0)
            throw new CakeException($"The filter '{filter}' finds no test.");
        limits[filter] = TimeSpan.FromSeconds(30) + (clock.Elapsed * 10);
        Console.WriteLine($"control   {filter}: {passed} passed in {clock.Elapsed.TotalSeconds:F1} s");
    }

    var table = new StringBuilder("# Mistakes planted in the kernels\n\nEach with the test that noticed it, and the first line of what that test said.\n\n"
        + "| mistake | file | caught by | message |\n|---|---|---|---|\n");
    int survived = 0;
    foreach (var mutant in mutants)
    {
        CopyKernels(copy, mutant);
        var (exit, output, error) = Capture("cmake", ["--build", build.FullPath, "--target", "simt", "--parallel", $"{Environment.ProcessorCount}"]);
        if (exit != 0)
            throw new CakeException($"Mutant '{mutant.What}' does not compile:\n{output}{error}");
        var (caught, _) = TryTests(mutant.Filter, library, results, limits[mutant.Filter]);
        if (caught == null)
            survived++;
        string message = caught is { Message.Length: > 200 } ? caught.Message[..200] + "..." : caught?.Message;
        Console.WriteLine($"{(caught == null ? "SURVIVED" : "caught  ")}  {mutant.File}: {mutant.What}");
        if (caught != null)
            Console.WriteLine($"          {caught.By}: {message}");
        string Cell(string text) => text.Replace("|", "\\|");
        table.Append($"| {Cell(mutant.What)} | {mutant.File} | {(caught == null ? "**nobody**" : $"`{Cell(caught.By)}`")} | {Cell(message ?? "")} |\n");
    }

    System.IO.File.WriteAllText("./artifacts/mutants.md", table.ToString());
    Console.WriteLine($"{mutants.Count - survived} of {mutants.Count} mutants caught: artifacts/mutants.md");
    if (survived > 0)
        throw new CakeException($"{survived} mutants survived.");
});
