using System.Globalization;

namespace Trainer.Data;

/// <summary>Writes the tokens of one split into shards of bounded size: <c>train_000000.bin</c>, <c>train_000001.bin</c> and so on.</summary>
/// <param name="folder">Where the shards go.</param>
/// <param name="split"><c>train</c> or <c>val</c>.</param>
/// <param name="vocabularySize">V, which decides the width of an id.</param>
/// <param name="tokensPerShard">The most tokens of a shard.</param>
internal sealed class ShardSequenceWriter(string folder, string split, int vocabularySize, int tokensPerShard) : IDisposable
{
    private readonly List<(string Name, int Tokens)> _finished = [];
    private TokenShardWriter? _current;

    /// <summary>The file names and token counts of the completed shards.</summary>
    public IReadOnlyList<(string Name, int Tokens)> Finished => _finished;

    /// <summary>Appends tokens, beginning a new shard when one is full.</summary>
    public void Write(ReadOnlySpan<int> tokens)
    {
        while (!tokens.IsEmpty)
        {
            _current ??= new TokenShardWriter(
                Path.Combine(folder, string.Create(CultureInfo.InvariantCulture, $"{split}_{_finished.Count:d6}.bin")), vocabularySize);
            int fitting = Math.Min(tokens.Length, tokensPerShard - _current.Tokens);
            _current.Write(tokens[..fitting]);
            tokens = tokens[fitting..];
            if (_current.Tokens == tokensPerShard)
                Complete();
        }
    }

    /// <summary>Completes the last shard.</summary>
    public void Complete()
    {
        if (_current is null)
            return;
        _current.Complete();
        _finished.Add((Path.GetFileName(_current.Path), _current.Tokens));
        _current.Dispose();
        _current = null;
    }

    /// <summary>Drops a shard that was not completed.</summary>
    public void Dispose() => _current?.Dispose();
}
