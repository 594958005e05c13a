namespace Trainer.Diagnostics;

/// <summary>Named values on their way to lines of <c>metrics.jsonl</c>. What is undefined (NaN: the ratio to a norm of 0) is left out.</summary>
public sealed class DiagnosticValues
{
    // A name has at most about 60 characters and a number 25, so that a line stays well below the 64 KiB that a reader takes.
    private const int ValuesPerLine = 400;

    private readonly List<(string Name, double Value)> _values = [];

    /// <summary>Everything so far, in order.</summary>
    public IReadOnlyList<(string Name, double Value)> All => _values;

    /// <summary>In pieces that a line has room for.</summary>
    public IEnumerable<IReadOnlyList<(string Name, double Value)>> Lines => _values.Chunk(ValuesPerLine);

    /// <summary>Adds a value of the whole model.</summary>
    public void Add(string name, double value)
    {
        if (!double.IsNaN(value))
            _values.Add((name, value));
    }

    /// <summary>Adds a value of a group or unit, as <c>name/of</c>.</summary>
    public void Add(string name, string of, double value) => Add($"{name}/{of}", value);
}
