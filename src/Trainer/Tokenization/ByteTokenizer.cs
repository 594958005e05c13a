using System.Buffers;

namespace Trainer.Tokenization;

/// <summary>Every byte is a token: ids 0 to 255, and <see cref="EndOfText"/> 256. Nothing has to be learned or loaded.</summary>
public sealed class ByteTokenizer : ITokenizer
{
    private static readonly byte[] AllBytes = [.. Enumerable.Range(0, 256).Select(value => (byte)value)];

    /// <inheritdoc/>
    public string Kind => TokenizerKind.Bytes;

    /// <inheritdoc/>
    public int VocabularySize => 257;

    /// <inheritdoc/>
    public int EndOfText => 256;

    /// <inheritdoc/>
    public void Encode(ReadOnlySpan<byte> utf8, IBufferWriter<int> output)
    {
        const int Block = 4096;
        while (!utf8.IsEmpty)
        {
            ReadOnlySpan<byte> block = utf8[..Math.Min(Block, utf8.Length)];
            Span<int> ids = output.GetSpan(block.Length);
            for (int i = 0; i < block.Length; i++)
                ids[i] = block[i];
            output.Advance(block.Length);
            utf8 = utf8[block.Length..];
        }
    }

    /// <inheritdoc/>
    public ReadOnlySpan<byte> Bytes(int token)
    {
        ArgumentOutOfRangeException.ThrowIfGreaterThanOrEqual((uint)token, (uint)VocabularySize, nameof(token));
        return token == EndOfText ? [] : AllBytes.AsSpan(token, 1);
    }
}
