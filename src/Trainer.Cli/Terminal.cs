using System.Runtime.InteropServices;
using Spectre.Console;
using Trainer.Cli.Display;

namespace Trainer.Cli;

/// <summary>
/// What the program prints to, and what stops it: results on standard output, everything else on standard error, Ctrl-C. Whether standard
/// error is a rich terminal is decided here, once: the console library looks only at TERM, and would write control codes into pipes.
/// </summary>
internal sealed class Terminal : IDisposable
{
    /// <summary>
    /// A signal that follows another this closely is the same request: timeout(1) sends its own to the process and again to the group that
    /// it belongs to.
    /// </summary>
    private static readonly TimeSpan SameRequest = TimeSpan.FromMilliseconds(500);

    private readonly CancellationTokenSource _stop = new();
    private readonly TimeProvider _clock;
    private long _stopped;
    private readonly List<PosixSignalRegistration> _signals = [];

    /// <summary>The terminal of this process.</summary>
    public Terminal()
        : this(Console.Out, new ProgressWriter(Console.Error), IsRich(Console.IsErrorRedirected, Environment.GetEnvironmentVariable("TERM")),
            IsColoured(Environment.GetEnvironmentVariable("NO_COLOR")))
    {
        OutIsTerminal = !Console.IsOutputRedirected;
    }

    /// <summary>A terminal over two writers.</summary>
    internal Terminal(TextWriter output, TextWriter error, bool rich = false, bool coloured = false, TimeProvider? clock = null)
    {
        _clock = clock ?? TimeProvider.System;
        Out = output;
        Error = error;
        Rich = rich;
        Screen = AnsiConsole.Create(new AnsiConsoleSettings
        {
            Ansi = rich ? AnsiSupport.Yes : AnsiSupport.No,
            ColorSystem = rich && coloured ? ColorSystemSupport.Standard : ColorSystemSupport.NoColors,
            Interactive = InteractionSupport.No,
            Out = new AnsiConsoleOutput(error),
        });
        Live = new LiveRegion(Screen);
    }

    /// <summary>Receives results.</summary>
    public TextWriter Out { get; }

    /// <summary>Receives progress and errors.</summary>
    public TextWriter Error { get; }

    /// <summary>Whether <see cref="Error"/> is shown on a terminal that understands control codes.</summary>
    public bool Rich { get; }

    /// <summary>Whether a person reads <see cref="Out"/> as it is written.</summary>
    public bool OutIsTerminal { get; }

    /// <summary>Draws on <see cref="Error"/>.</summary>
    public IAnsiConsole Screen { get; }

    /// <summary>The part of the screen that is drawn again and again.</summary>
    public LiveRegion Live { get; }

    /// <summary>Asks the work to stop after its current step.</summary>
    public CancellationToken Stop => _stop.Token;

    internal static bool IsRich(bool redirected, string? term) =>
        !redirected && (OperatingSystem.IsWindows() || (!string.IsNullOrEmpty(term) && term != "dumb"));

    /// <summary>As agreed on at no-color.org: any value but the empty one asks for no colour.</summary>
    internal static bool IsColoured(string? noColor) => string.IsNullOrEmpty(noColor);

    /// <summary>Tells something in passing, above what is drawn live.</summary>
    public void Note(string text)
    {
        if (Rich)
            Live.WriteAbove(new Text(text + Environment.NewLine));
        else
            Error.WriteLine(text);
    }

    /// <summary>From now on the first interruption asks for a stop and the second ends the process.</summary>
    public void StopOnInterruption()
    {
        foreach (PosixSignal signal in (ReadOnlySpan<PosixSignal>)[PosixSignal.SIGINT, PosixSignal.SIGTERM, PosixSignal.SIGHUP])
            _signals.Add(PosixSignalRegistration.Create(signal, Interrupted));
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        foreach (PosixSignalRegistration signal in _signals)
            signal.Dispose();
        _stop.Dispose();
    }

    /// <summary>Asks for a stop.</summary>
    /// <returns>Whether it was asked for before, and the process is to end at once.</returns>
    internal bool Interrupt()
    {
        lock (_signals)
        {
            if (_stop.IsCancellationRequested)
                return _clock.GetElapsedTime(_stopped) >= SameRequest;
            _stopped = _clock.GetTimestamp();
            _stop.Cancel();
        }

        Note("Stopping after the current step. Interrupt again to exit at once.");
        return false;
    }

    private void Interrupted(PosixSignalContext context)
    {
        context.Cancel = true;
        if (Interrupt())
            Environment.Exit((int)ExitCode.Interrupted);
    }
}
