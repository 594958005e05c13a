using System.Text.Json;

namespace Trainer.Checkpoints;

/// <summary>How the JSON files of a run are laid out: for people, and the same bytes on every system.</summary>
internal static class JsonLayout
{
    public static JsonWriterOptions Indented { get; } = new() { Indented = true, NewLine = "\n" };
}
