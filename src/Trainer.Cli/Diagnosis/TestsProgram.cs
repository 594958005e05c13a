using System.ComponentModel;
using System.Diagnostics;

namespace Trainer.Cli.Diagnosis;

/// <summary>The tests of the CUDA backend and its kernels, which are a program of their own beside this one.</summary>
internal static class TestsProgram
{
    private static readonly string Name = OperatingSystem.IsWindows() ? "trainer-tests.exe" : "trainer-tests";

    /// <summary>Runs it on the GPU and passes on what it writes, line by line.</summary>
    /// <param name="terminal">Where to.</param>
    /// <param name="folder">The folder of this program.</param>
    /// <param name="filter">Parts of names: only tests that contain one of them; none for all.</param>
    /// <returns>Done if tests were run and none failed.</returns>
    /// <exception cref="RequestException">It is not there, or no test was run.</exception>
    /// <exception cref="RunFailedException">It cannot be started, or did not get to its end.</exception>
    public static ExitCode Run(Terminal terminal, string folder, IReadOnlyList<string> filter)
    {
        string path = Path.Combine(folder, Name);
        if (!File.Exists(path))
        {
            throw new RequestException($"{path} does not exist; it is the program that has the tests, and belongs beside trainer.\n"
                + "./build.sh --target=Bundle in the source tree makes a folder with both.");
        }

        using Process process = Start(path, filter);
        process.OutputDataReceived += (_, line) => Pass(line.Data, terminal.Out);
        process.ErrorDataReceived += (_, line) => Pass(line.Data, terminal.Error);
        process.BeginOutputReadLine();
        process.BeginErrorReadLine();
        process.WaitForExit();
        return process.ExitCode switch
        {
            (int)ExitCode.Done => ExitCode.Done,
            (int)ExitCode.Failed => ExitCode.Failed,
            (int)ExitCode.WrongRequest => throw new RequestException("no test was run; what is written above says why."),
            var code => throw new RunFailedException($"{path} ended with {code} before it had run all tests."),
        };
    }

    private static Process Start(string path, IReadOnlyList<string> filter)
    {
        try
        {
            return Process.Start(new ProcessStartInfo(path, filter) { RedirectStandardOutput = true, RedirectStandardError = true })!;
        }
        catch (Win32Exception exception)
        {
            throw new RunFailedException($"{path} cannot be started: {exception.Message}", exception);
        }
    }

    private static void Pass(string? line, TextWriter output)
    {
        if (line is null)
            return;
        output.WriteLine(line);
        output.Flush();
    }
}
