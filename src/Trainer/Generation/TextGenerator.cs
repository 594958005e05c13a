using System.Runtime.InteropServices;
using System.Text;
using CommunityToolkit.HighPerformance.Buffers;
using Trainer.Model;
using Trainer.Tokenization;

namespace Trainer.Generation;

/// <summary>Continues a text with a model, token by token.</summary>
/// <param name="model">The model; its context bounds how far back it looks.</param>
/// <param name="tokenizer">The tokenizer that the model was trained with.</param>
public sealed class TextGenerator(Gpt2 model, ITokenizer tokenizer)
{
    private readonly float[] _logits = new float[model.Config.Vocabulary];

    /// <summary>Yields the continuation piece by piece, whole characters only; ends early at the end of a document.</summary>
    /// <param name="prompt">The text to continue; an empty one begins a document.</param>
    /// <param name="count">The most tokens to draw.</param>
    /// <param name="options">How they are drawn.</param>
    /// <exception cref="RequestException">An option is out of range.</exception>
    public IEnumerable<string> Continue(string prompt, int count, SamplingOptions options)
    {
        ArgumentNullException.ThrowIfNull(prompt);
        if (count < 0)
            throw new RequestException($"--tokens must not be negative, but is {count}.");
        return Generate(Begin(prompt), count, new TokenSampler(options, model.Config.Vocabulary));
    }

    private List<int> Begin(string prompt)
    {
        // Documents begin after an end-of-text token, so that is what a model has seen before a first word.
        var tokens = new List<int> { tokenizer.EndOfText };
        using var encoded = new ArrayPoolBufferWriter<int>();
        try
        {
            tokenizer.Encode(new UTF8Encoding(false, throwOnInvalidBytes: true).GetBytes(prompt), encoded);
        }
        catch (EncoderFallbackException exception)
        {
            throw new RequestException($"--prompt is not valid text: a lone surrogate at character {exception.Index}.", exception);
        }

        tokens.AddRange(encoded.WrittenSpan);
        return tokens;
    }

    private IEnumerable<string> Generate(List<int> tokens, int count, TokenSampler sampler)
    {
        var decoder = new StreamingDecoder(tokenizer);
        for (int i = 0; i < count; i++)
        {
            int token = Next(tokens, sampler);
            if (token == tokenizer.EndOfText)
                break;
            tokens.Add(token);
            string text = decoder.Append(token);
            if (text.Length > 0)
                yield return text;
        }

        string rest = decoder.Flush();
        if (rest.Length > 0)
            yield return rest;
    }

    private int Next(List<int> tokens, TokenSampler sampler)
    {
        int context = Math.Min(tokens.Count, model.SequenceLength);
        model.NextTokenLogits(CollectionsMarshal.AsSpan(tokens)[^context..], _logits);
        return sampler.Next(_logits);
    }
}
