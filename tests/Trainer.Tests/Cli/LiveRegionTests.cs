using Spectre.Console;

namespace Trainer.Tests.Cli;

public sealed class LiveRegionTests
{
    [Test]
    public void No_more_is_drawn_than_the_screen_is_high()
    {
        using var recorded = new RecordedTerminal(rich: true);
        recorded.Terminal.Screen.Profile.Height = 5;
        var content = new Rows(Enumerable.Range(0, 9).Select(i => new Text($"line {i}")));
        recorded.Terminal.Live.Draw(content);
        recorded.Terminal.Live.Draw(content);
        Assert.That(recorded.Error, Does.Contain("\e[3A").And.Contain("line 2").And.Not.Contains("line 3"));
    }
}
