using Trainer.Cli.Display;

namespace Trainer.Tests.Cli;

public sealed class LiveConsoleTests
{
    [Test]
    public void The_figures_are_redrawn_in_place_and_the_rest_passes_by_above()
    {
        using var terminal = new RecordedTerminal(rich: true);
        var clock = new SteppedClock();
        RecordedRun.Play(new LiveConsole(terminal.Terminal, clock), clock);

        string[] screen = Screen.Show(terminal.Error);
        Assert.That(screen, Is.EqualTo("""
            run     runs/first
            device  CPU, 2 threads, AVX-512
            model   L=4 NH=4 C=256 T=256 V=1024, 3,500,000 parameters
            data    data/shakespeare, 1,000,000 tokens
            rule    adam, decay 0.1 (13.a)
            steps   10, 2,048 tokens each
            memory  weights         bf16         6.7 MiB
                    master weights  fp32        13.4 MiB
                    gradients       fp32        13.4 MiB
                    first moment    fp32        13.4 MiB
                    second moment   fp32        13.4 MiB
                    activations     bf16        40.0 MiB
                    workspace                    1.0 MiB
                    total                      101.1 MiB
            step 5: validation loss 5.8500, training loss 5.7500
            step 10: validation loss 4.6000, training loss 4.5000
            ┌─sample at step 10────────────────────────────────────────────────────────────┐
            │ To be�[31m or                                                                │
            │ not [b]                                                                      │
            └──────────────────────────────────────────────────────────────────────────────┘
            step 10: saved runs/first/checkpoints/step-00000010
            ━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━ step 10 of 10, 100 %, 0:00 left
            ╭────────┬────────────┬───────────────┬───────────────┬─────────────┬──────────╮
            │   loss │ validation │ learning rate │ gradient norm │ weight norm │ tokens/s │
            ├────────┼────────────┼───────────────┼───────────────┼─────────────┼──────────┤
            │ 4.5000 │     4.6000 │       1.00e-4 │         1.500 │     x1.1000 │    2,048 │
            ╰────────┴────────────┴───────────────┴───────────────┴─────────────┴──────────╯
               6.750 ┤⠉⠑⠒⠒⠤⠤⢄⣀⣀⡀
                     ┤⠀⠀⠀⠀⠀⠀⠀⠀⠀⠈⠉⠉⠉⠑⠒⠒⠢⠤⠤⣀⣀⡀
                     ┤⠀⠀⠀⠀⠀⠀⠀⠀⠀⠀⠀⠀⠀⠀⠀⠀⠀⠀⠀⠀⠀⠈⠉⠉⠑⠒⠒⠒⠢⠤⠤⢄⣀⣀
                     ┤⠀⠀⠀⠀⠀⠀⠀⠀⠀⠀⠀⠀⠀⠀⠀⠀⠀⠀⠀⠀⠀⠀⠀⠀⠀⠀⠀⠀⠀⠀⠀⠀⠀⠀⠉⠉⠑⠒⠒⠢⠤⠤⠤⢄⣀⣀⡀
                     ┤⠀⠀⠀⠀⠀⠀⠀⠀⠀⠀⠀⠀⠀⠀⠀⠀⠀⠀⠀⠀⠀⠀⠀⠀⠀⠀⠀⠀⠀⠀⠀⠀⠀⠀⠀⠀⠀⠀⠀⠀⠀⠀⠀⠀⠀⠀⠈⠉⠉⠒⠒⠢⠤⠤⢄⣀⣀⣀⡀
               4.500 ┤⠀⠀⠀⠀⠀⠀⠀⠀⠀⠀⠀⠀⠀⠀⠀⠀⠀⠀⠀⠀⠀⠀⠀⠀⠀⠀⠀⠀⠀⠀⠀⠀⠀⠀⠀⠀⠀⠀⠀⠀⠀⠀⠀⠀⠀⠀⠀⠀⠀⠀⠀⠀⠀⠀⠀⠀⠀⠀⠈⠉⠉⠑⠒⠒⠤⠤⢄⣀
            Done after step 10, 0:10, 2,048 tokens/s.
            Validation loss 4.6000, training loss 4.5000.
            Everything is in runs/first; last checkpoint
            runs/first/checkpoints/step-00000010
            Try:    trainer sample --run runs/first

            """.Split('\n')));
    }

    [Test]
    public void Fast_steps_are_drawn_five_times_a_second()
    {
        using var terminal = new RecordedTerminal(rich: true);
        var clock = new SteppedClock();
        var console = new LiveConsole(terminal.Terminal, clock);
        console.Started(RecordedRun.Plan with { Steps = 1000 });
        for (int step = 1; step <= 500; step++)
        {
            clock.Advance(0.01);
            console.Stepped(new(step, 5, 1e-3, 1, 1, 1, 10, 1));
        }

        int drawn = terminal.Error.Split("left").Length - 1;
        Assert.That(drawn, Is.InRange(20, 27), "five seconds");
    }

    [Test]
    public void Nothing_is_coloured_where_no_colour_is_wanted()
    {
        using var plain = new RecordedTerminal(rich: true);
        using var coloured = new RecordedTerminal(rich: true, coloured: true);
        var clock = new SteppedClock();
        RecordedRun.Play(new LiveConsole(plain.Terminal, clock), clock);
        RecordedRun.Play(new LiveConsole(coloured.Terminal, clock), clock);
        Assert.That(plain.Error, Does.Not.Match("\e\\[[0-9;]*m"));
        Assert.That(coloured.Error, Does.Match("\e\\[[0-9;]*m"));
    }
}
