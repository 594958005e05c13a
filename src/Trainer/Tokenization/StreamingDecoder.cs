using System.Text;

namespace Trainer.Tokenization;

/// <summary>
/// Turns tokens into text one at a time, holding back the bytes of a character until it is complete. Bytes that can never
/// become a character, which a model may well produce, become U+FFFD. Not thread-safe.
/// </summary>
/// <param name="tokenizer">Gives the bytes of a token.</param>
public sealed class StreamingDecoder(ITokenizer tokenizer)
{
    private readonly Decoder _decoder = new UTF8Encoding(encoderShouldEmitUTF8Identifier: false, throwOnInvalidBytes: false).GetDecoder();

    /// <summary>The text that a token completes; often empty, when the token holds part of a character.</summary>
    /// <exception cref="ArgumentOutOfRangeException">The id is outside the vocabulary.</exception>
    public string Append(int token) => Decode(tokenizer.Bytes(token), flush: false);

    /// <summary>Ends the text: U+FFFD if a character was begun and not completed, else nothing. The decoder can be used again.</summary>
    public string Flush() => Decode([], flush: true);

    /// <summary>The text of a whole sequence of tokens.</summary>
    /// <exception cref="ArgumentOutOfRangeException">An id is outside the vocabulary.</exception>
    public static string Decode(ITokenizer tokenizer, ReadOnlySpan<int> tokens)
    {
        var decoder = new StreamingDecoder(tokenizer);
        var text = new StringBuilder();
        foreach (int token in tokens)
            text.Append(decoder.Append(token));
        return text.Append(decoder.Flush()).ToString();
    }

    private string Decode(ReadOnlySpan<byte> bytes, bool flush)
    {
        Span<char> characters = stackalloc char[256];
        var text = new StringBuilder();
        bool completed;
        do
        {
            _decoder.Convert(bytes, characters, flush, out int bytesUsed, out int charactersUsed, out completed);
            text.Append(characters[..charactersUsed]);
            bytes = bytes[bytesUsed..];
        }
        while (!completed);
        return text.ToString();
    }
}
