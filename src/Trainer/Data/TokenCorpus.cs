namespace Trainer.Data;

/// <summary>One or more token shards in a fixed order.</summary>
public sealed class TokenCorpus : IDisposable
{
    private TokenShard[] _shards;

    private TokenCorpus(TokenShard[] shards)
    {
        _shards = shards;
        Tokens = shards.Sum(shard => (long)shard.Tokens);
    }

    /// <summary>The shards, in order.</summary>
    public IReadOnlyList<TokenShard> Shards => _shards;

    /// <summary>The tokens of all shards.</summary>
    public long Tokens { get; private set; }

    /// <summary>Opens shards in the order given.</summary>
    /// <exception cref="RequestException">There is none, or one is missing or corrupt.</exception>
    public static TokenCorpus Open(IEnumerable<string> paths)
    {
        var shards = new List<TokenShard>();
        try
        {
            foreach (string path in paths)
                shards.Add(new TokenShard(path));
            if (shards.Count == 0)
                throw new RequestException("no token shards were given.");
            return new TokenCorpus([.. shards]);
        }
        catch
        {
            shards.ForEach(shard => shard.Dispose());
            throw;
        }
    }

    /// <summary>Opens the shards that a file name or a pattern with <c>*</c>, <c>?</c> and <c>**</c> names, in ordinal order of their paths.</summary>
    /// <exception cref="RequestException">No file matches, or one is corrupt.</exception>
    public static TokenCorpus OpenPattern(string pattern)
    {
        IReadOnlyList<string> paths = FilePattern.IsPattern(pattern) ? FilePattern.Expand(pattern) : [pattern];
        if (paths.Count == 0)
            throw new RequestException($"{pattern}: no file matches.");
        return Open(paths);
    }

    /// <summary>Leaves out everything after the first tokens; nothing when there are no more.</summary>
    /// <param name="tokens">How many stay; positive.</param>
    public void Truncate(long tokens)
    {
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(tokens);
        var kept = new List<TokenShard>();
        long left = tokens;
        foreach (TokenShard shard in _shards)
        {
            if (left == 0)
            {
                shard.Dispose();
                continue;
            }

            shard.Truncate((int)Math.Min(left, shard.Tokens));
            left -= shard.Tokens;
            kept.Add(shard);
        }

        _shards = [.. kept];
        Tokens = tokens - left;
    }

    /// <summary>Closes the shards.</summary>
    public void Dispose()
    {
        foreach (TokenShard shard in _shards)
            shard.Dispose();
    }
}
