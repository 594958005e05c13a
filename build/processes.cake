// processes.cake - programs that the build runs.
using System.Diagnostics;

// Cake's own log colours numbers, even into a pipe.
void Say(string text) => Console.WriteLine(text);

// Runs a program with its output on the console, and fails when it does.
void Run(string program, string arguments)
{
    int exit = StartProcess(program, arguments);
    if (exit != 0)
        throw new CakeException($"{program} {arguments} ended with {exit}.");
}

// Runs a program and keeps what it writes. One that takes longer than the limit is ended with all it started, and its exit code is null.
(int? Exit, string Output, string Error) Capture(string program, IEnumerable<string> arguments, TimeSpan? limit = null)
{
    using var process = Process.Start(new ProcessStartInfo(program, arguments) { RedirectStandardOutput = true, RedirectStandardError = true });
    var (output, error) = (process.StandardOutput.ReadToEndAsync(), process.StandardError.ReadToEndAsync());
    bool ended = process.WaitForExit(limit ?? Timeout.InfiniteTimeSpan);
    if (!ended)
        process.Kill(entireProcessTree: true);
    return (ended ? process.ExitCode : null, output.Result, error.Result);
}
