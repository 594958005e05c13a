using System.Globalization;
using Spectre.Console;
using Trainer.Data;

namespace Trainer.Cli.Display;

/// <summary>Shows how far the preparation of a corpus is: one line that changes, or a line every few seconds on a plain terminal.</summary>
internal sealed class PreparationDisplay(Terminal terminal, TimeProvider clock) : IProgress<PreparationProgress>
{
    private readonly TimeSpan _interval = terminal.Rich ? TimeSpan.FromMilliseconds(200) : TimeSpan.FromSeconds(2);

    private PreparationPhase? _phase;
    private long _shown;

    /// <inheritdoc/>
    public void Report(PreparationProgress value)
    {
        bool begins = _phase != value.Phase, ends = value.Done >= value.Total;
        if (!begins && !(ends && terminal.Rich) && clock.GetElapsedTime(_shown) < _interval)
            return;
        (_phase, _shown) = (value.Phase, clock.GetTimestamp());

        double share = value.Total == 0 ? 1 : Math.Min(1, (double)value.Done / value.Total);
        string text = string.Create(CultureInfo.InvariantCulture, $"{Name(value.Phase)} {100 * share:F0} %");
        if (!terminal.Rich)
        {
            terminal.Error.WriteLine(text);
            return;
        }

        terminal.Live.Draw(new Text(text, Color.Yellow));
        if (ends)
            terminal.Live.Close();
    }

    private static string Name(PreparationPhase phase) => phase switch
    {
        PreparationPhase.CountingWords => "counting words",
        PreparationPhase.LearningMerges => "learning a vocabulary",
        PreparationPhase.Encoding => "encoding text",
        _ => "taking digests",
    };
}
