using Trainer.Cli;

namespace Trainer.Tests.Cli;

/// <summary>A terminal whose output is kept.</summary>
internal sealed class RecordedTerminal : IDisposable
{
    private readonly StringWriter _output = new() { NewLine = "\n" };
    private readonly StringWriter _error = new() { NewLine = "\n" };

    public RecordedTerminal(bool rich = false, bool coloured = false, TimeProvider? clock = null)
    {
        Terminal = new Terminal(_output, _error, rich, coloured, clock);
        Terminal.Screen.Profile.Width = 80;
    }

    public Terminal Terminal { get; }

    public string Output => _output.ToString();

    public string Error => _error.ToString();

    public void Dispose()
    {
        Terminal.Dispose();
        _output.Dispose();
        _error.Dispose();
    }
}
