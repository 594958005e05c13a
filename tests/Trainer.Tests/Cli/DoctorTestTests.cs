using System.Runtime.Versioning;
using Trainer.Cli;
using Trainer.Cli.Commands;

namespace Trainer.Tests.Cli;

/// <summary><c>trainer doctor --test</c> with a script in the place of the program that has the tests.</summary>
[Platform("Linux,MacOsX")]
[UnsupportedOSPlatform("windows")]
public sealed class DoctorTestTests
{
    private TemporaryFolder _folder = null!;
    private RecordedTerminal _terminal = null!;

    [SetUp]
    public void SetUp() => (_folder, _terminal) = (new TemporaryFolder(), new RecordedTerminal());

    [TearDown]
    public void TearDown()
    {
        _terminal.Dispose();
        _folder.Dispose();
    }

    [Test]
    public void What_the_tests_write_follows_the_report()
    {
        Assert.That(Run("printf '3 passed\\n0 failed\\n'; echo slow >&2"), Is.Zero);
        Assert.That(_terminal.Output, Does.Contain("Processor").And.EndsWith("3 passed\n0 failed\n"));
        Assert.That(_terminal.Error, Is.EqualTo("slow\n"));
    }

    [Test]
    public void The_filter_is_passed_on_word_for_word()
    {
        Assert.That(Run("printf '<%s>' \"$@\"", "--filter", "Gemm Tests", "a\"b", "$HOME"), Is.Zero);
        Assert.That(_terminal.Output, Does.EndWith("<Gemm Tests><a\"b><$HOME>\n"));
    }

    [Test]
    public void Without_the_program_it_says_where_it_looked_and_how_to_get_it()
    {
        Assert.That(Run(script: null), Is.EqualTo(2));
        Assert.That(_terminal.Output, Does.Contain("Processor"), "the report is there all the same");
        Assert.That(_terminal.Error, Does.Contain(_folder.PathOf("trainer-tests") + " does not exist").And.Contain("--target=Bundle"));
    }

    [TestCase("exit 1", 1, "")]
    [TestCase("exit 2", 2, "trainer: no test was run")]
    [TestCase("exit 134", 1, "trainer-tests ended with 134 before it had run all tests")]
    [TestCase("kill -9 $$", 1, "trainer-tests ended with 137 before it had run all tests")]
    public void Tests_that_fail_or_do_not_end_are_a_failure(string script, int code, string message)
    {
        Assert.That(Run(script), Is.EqualTo(code));
        Assert.That(_terminal.Error, message.Length > 0 ? Does.Contain(message) : Is.Empty);
    }

    [Test]
    public void A_program_that_cannot_be_started_is_a_failure()
    {
        File.WriteAllText(_folder.PathOf("trainer-tests"), "not executable");
        Assert.That(Run(script: null), Is.EqualTo(1));
        Assert.That(_terminal.Error, Does.Contain("trainer-tests cannot be started: "));
    }

    [TestCase("--test --json", "--json and --test")]
    [TestCase("--filter a", "Add --test")]
    public void What_does_not_go_together_is_refused(string arguments, string message)
    {
        Assert.That(Start(arguments.Split(' ')), Is.EqualTo(2));
        Assert.That(_terminal.Error, Does.Contain(message));
        Assert.That(_terminal.Output, Is.Empty);
    }

    private int Run(string? script, params string[] arguments)
    {
        string path = _folder.PathOf("trainer-tests");
        if (script is not null)
        {
            File.WriteAllText(path, $"#!/bin/sh\n{script}\n");
            File.SetUnixFileMode(path, UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute);
        }

        return Start(["--test", .. arguments]);
    }

    private int Start(string[] arguments) =>
        CommandLine.Run(["doctor", .. arguments], _terminal.Terminal, [DoctorCommand.Create(_terminal.Terminal, _folder.Path)]);
}
