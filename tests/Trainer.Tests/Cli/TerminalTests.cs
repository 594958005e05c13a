namespace Trainer.Tests.Cli;

public sealed class TerminalTests
{
    [Test]
    public void The_second_interruption_ends_the_process_but_not_an_echo_of_the_first()
    {
        var clock = new SteppedClock();
        using var recorded = new RecordedTerminal(clock: clock);
        Assert.That(recorded.Terminal.Interrupt(), Is.False);
        Assert.That(recorded.Terminal.Stop.IsCancellationRequested);
        clock.Advance(0.01);
        Assert.That(recorded.Terminal.Interrupt(), Is.False, "timeout(1) sends its signal twice");
        clock.Advance(1);
        Assert.That(recorded.Terminal.Interrupt(), Is.True);
        Assert.That(recorded.Error.Trim().Split('\n'), Has.Length.EqualTo(1));
    }
}
