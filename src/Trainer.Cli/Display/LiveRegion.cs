using Spectre.Console;
using Spectre.Console.Rendering;

namespace Trainer.Cli.Display;

/// <summary>
/// The last lines of a terminal, drawn again in place, while other text is printed above them. The console library's own live display
/// owns the thread that it runs on; training owns its thread, and draws between steps.
/// </summary>
internal sealed class LiveRegion(IAnsiConsole console)
{
    private readonly Lock _lock = new();
    private IRenderable? _content;
    private int _lines;

    /// <summary>Draws the content in place of what was drawn before.</summary>
    public void Draw(IRenderable content)
    {
        lock (_lock)
        {
            _content = content;
            Write(above: null);
        }
    }

    /// <summary>Prints above the live lines, or simply prints when there are none.</summary>
    /// <param name="text">Ends with a line break.</param>
    public void WriteAbove(IRenderable text)
    {
        lock (_lock)
            Write(text);
    }

    /// <summary>Leaves what is drawn on the screen and goes on below it.</summary>
    public void Close()
    {
        lock (_lock)
        {
            _content = null;
            _lines = 0;
        }
    }

    private void Write(IRenderable? above)
    {
        var options = RenderOptions.Create(console, console.Profile.Capabilities);
        int width = console.Profile.Width;
        var segments = new List<Segment>();
        if (_lines > 0)
            segments.Add(Segment.Control($"\e[{_lines}A\r\e[J"));
        if (above is not null)
            segments.AddRange(above.Render(options, width));
        _lines = 0;
        if (_content is not null)
        {
            // The cursor cannot go up beyond the top of the screen: more lines than it has would be drawn again and again below each other.
            // Nor may it erase from the very top, for some terminals keep what a whole screen held.
            int height = Math.Max(1, console.Profile.Height - 2);
            foreach (SegmentLine line in Segment.SplitLines(_content.Render(options, width), width).Take(height))
            {
                segments.AddRange(line);
                segments.Add(Segment.LineBreak);
                _lines++;
            }
        }

        // One write, so that the terminal never shows the region erased.
        console.Write(new Segments(segments));
    }

    private sealed class Segments(IReadOnlyList<Segment> segments) : IRenderable
    {
        public Measurement Measure(RenderOptions options, int maxWidth) => new(0, maxWidth);

        public IEnumerable<Segment> Render(RenderOptions options, int maxWidth) => segments;
    }
}
