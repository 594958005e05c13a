using Trainer.Cli;
using Trainer.Cli.Commands;
using Trainer.Training;

namespace Trainer.Tests.Cli;

public sealed class CommandLineTests
{
    private static readonly TrainingSummary Done = new("runs/x", null, 10, Interrupted: false, null, null, TimeSpan.FromSeconds(1), 1);

    [TestCase("trian", "there is no verb 'trian'; did you mean train?")]
    [TestCase("xyzzy", "there is no verb 'xyzzy'\n")]
    [TestCase("train --step 3", "there is no option --step; did you mean --steps?")]
    [TestCase("train --steps", "--steps needs a value: N.")]
    [TestCase("train --steps 3 --steps 4", "--steps is given 2 times; give it once.")]
    [TestCase("train --run --resume", "--run needs a value: DIR.")]
    [TestCase("train --lr --steps 3", "--lr needs a value: X.")]
    [TestCase("train --input a.txt --tokenizr bytes", "there is no option --tokenizr")]
    [TestCase("train --input a.txt --sead 3", "there is no option --sead; did you mean --seed?")]
    [TestCase("train --steps three", "--steps 'three' is not a whole number")]
    [TestCase("train --steps 0", "--steps must be at least 1")]
    [TestCase("train 3", "'3' belongs to no option")]
    [TestCase("train --config none.json", "none.json")]
    [TestCase("doctor --jsn", "did you mean --json?")]
    [TestCase("--versoin", "did you mean --version?")]
    public void A_wrong_request_is_one_or_two_lines_and_code_2(string arguments, string message)
    {
        (int code, string output, string error) = Run(arguments.Split(' '), (_, _, _, _) => Done);
        Assert.Multiple(() =>
        {
            Assert.That(code, Is.EqualTo(2));
            Assert.That(error, Does.StartWith("trainer: ").And.Contains(message));
            Assert.That(error.TrimEnd().Split('\n'), Has.Length.LessThanOrEqualTo(2));
            Assert.That(output, Is.Empty);
        });
    }

    [Test]
    public void What_the_work_throws_decides_the_code()
    {
        static Train Throwing(Exception exception) => (_, _, _, _) => throw exception;
        Assert.Multiple(() =>
        {
            Assert.That(Run(["train"], (_, _, _, _) => Done).Code, Is.Zero);
            Assert.That(Run(["train"], (_, _, _, _) => Done with { Interrupted = true }).Code, Is.EqualTo(130));
            Assert.That(Run(["train"], Throwing(new RequestException("no such file x"))), Is.EqualTo((2, "", "trainer: no such file x\n")));
            Assert.That(Run(["train"], Throwing(new RunFailedException("the disk is full"))), Is.EqualTo((1, "", "trainer: the disk is full\n")));
            Assert.That(Run(["train"], Throwing(new OperationCanceledException())).Code, Is.EqualTo(130));
            Assert.That(Run(["train"], Throwing(new InvalidOperationException("x"))).Error, Does.Contain("defect").And.Not.Contains(" at Trainer."));
            Assert.That(Run(["train", "--verbose"], Throwing(new InvalidOperationException("x"))).Error, Does.Contain(" at Trainer."));
        });
    }

    [Test]
    public void Options_reach_the_settings()
    {
        TrainingSettings? seen = null;
        (int code, _, string error) = Run(
            ["train", "--lr", "3e-4", "--decay-bias", "--decay-embeddings", "false", "--input", "a.txt", "b.txt", "--decay-group", "h.*=0", "--sample-prompt", "@once"],
            (settings, _, _, _) =>
            {
                seen = settings;
                return Done;
            });
        Assert.That(code, Is.Zero, error);
        Assert.That(seen!.Lr, Is.EqualTo(3e-4));
        Assert.That((seen.DecayBias, seen.DecayEmbeddings), Is.EqualTo((true, false)));
        Assert.That(seen.Input, Is.EqualTo(new[] { "a.txt", "b.txt" }));
        Assert.That(seen.SamplePrompt, Is.EqualTo("@once"));
    }

    [Test]
    public void Help_lists_every_option_once_with_its_default_and_an_example()
    {
        (int code, string help, string error) = Run(["train", "--help"], (_, _, _, _) => Done);
        Assert.That((code, error), Is.EqualTo((0, "")));
        foreach (SettingDefinition definition in TrainingSettings.Definitions)
            Assert.That(help, Does.Match($@"(?m)^  {definition.Name}( |$)"));
        Assert.That(help, Does.Contain("Examples:").And.Contain("  trainer train --data"));
        Assert.That(help.Split('\n'), Has.All.Length.LessThanOrEqualTo(100));
    }

    [TestCase]
    [TestCase("--help")]
    public void Help_of_the_program_lists_the_verbs(params string[] arguments)
    {
        (int code, string help, string error) = Run(arguments, (_, _, _, _) => Done);
        Assert.That((code, error), Is.EqualTo((0, "")));
        Assert.That(help, Does.Contain("  train ").And.Contain("  doctor ").And.Contain("--verbose"));
    }

    [Test]
    public void Richness_is_decided_by_redirection_and_TERM()
    {
        Assert.That(Terminal.IsRich(redirected: true, "xterm"), Is.False);
        Assert.That(Terminal.IsRich(redirected: false, "xterm"), Is.True);
        if (!OperatingSystem.IsWindows())
        {
            Assert.That(Terminal.IsRich(redirected: false, "dumb"), Is.False);
            Assert.That(Terminal.IsRich(redirected: false, null), Is.False);
        }

        Assert.That(Terminal.IsColoured("1"), Is.False);
        Assert.That(Terminal.IsColoured(""), Is.True);
    }

    private static (int Code, string Output, string Error) Run(string[] arguments, Train train)
    {
        using var recorded = new RecordedTerminal();
        int code = CommandLine.Run(arguments, recorded.Terminal, [TrainCommand.Create(recorded.Terminal, train), DoctorCommand.Create(recorded.Terminal)]);
        return (code, recorded.Output, recorded.Error);
    }
}
