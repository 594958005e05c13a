namespace Trainer.Generation;

/// <summary>Draws tokens from logits. Ties between equal logits go to the lower id.</summary>
public sealed class TokenSampler
{
    private const ulong Stream = 0x73616D70;

    private readonly SamplingOptions _options;
    private readonly CounterRandom _random;
    private readonly int[] _order;
    private readonly double[] _weights;
    private ulong _drawn;

    /// <summary>Creates a sampler for a vocabulary.</summary>
    /// <exception cref="RequestException">An option is out of range.</exception>
    public TokenSampler(SamplingOptions options, int vocabulary)
    {
        ArgumentNullException.ThrowIfNull(options);
        _options = options.Validated();
        _random = new CounterRandom(options.Seed, Stream);
        _order = new int[vocabulary];
        _weights = new double[vocabulary];
    }

    /// <summary>Draws the next token.</summary>
    /// <param name="logits">V values.</param>
    public int Next(ReadOnlySpan<float> logits)
    {
        if (_options.Temperature == 0)
            return MostLikely(logits);
        int candidates = SelectCandidates(logits);
        double remaining = _random.Uniform(_drawn++);
        double total = 0;
        for (int i = 0; i < candidates; i++)
            total += _weights[i];
        remaining *= total;
        for (int i = 0; i < candidates - 1; i++)
        {
            remaining -= _weights[i];
            if (remaining < 0)
                return _order[i];
        }

        return _order[candidates - 1];
    }

    private static int MostLikely(ReadOnlySpan<float> logits)
    {
        int best = 0;
        for (int i = 1; i < logits.Length; i++)
        {
            if (logits[i] > logits[best])
                best = i;
        }

        return best;
    }

    /// <summary>Puts the candidates first in the order of ids, with their weights; returns how many there are.</summary>
    private int SelectCandidates(ReadOnlySpan<float> logits)
    {
        double max = logits[MostLikely(logits)];
        for (int i = 0; i < logits.Length; i++)
        {
            _order[i] = i;
            _weights[i] = Math.Exp((logits[i] - max) / _options.Temperature);
        }

        if (_options.TopK == 0 && _options.TopP == 1)
            return logits.Length;

        // The most likely first; the sort is by weight, then by id.
        for (int i = 0; i < logits.Length; i++)
            _weights[i] = -_weights[i];
        _weights.AsSpan(0, logits.Length).Sort(_order.AsSpan(0, logits.Length), static (a, b) => a.CompareTo(b));
        int count = _options.TopK == 0 ? logits.Length : Math.Min(_options.TopK, logits.Length);
        double total = 0;
        for (int i = 0; i < count; i++)
        {
            _weights[i] = -_weights[i];
            total += _weights[i];
        }

        if (_options.TopP == 1)
            return count;
        double sum = 0;
        for (int i = 0; i < count; i++)
        {
            sum += _weights[i];
            if (sum >= _options.TopP * total)
                return i + 1;
        }

        return count;
    }
}
