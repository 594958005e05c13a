using System.Buffers;

namespace Trainer.Tokenization;

/// <summary>Turns UTF-8 text into token ids and back. Implementations are immutable and may be used by many threads.</summary>
public interface ITokenizer
{
    /// <summary>The kind, as <c>--tokenizer</c> names it: <c>bytes</c>, <c>bpe</c> or <c>gpt2</c>.</summary>
    string Kind { get; }

    /// <summary>V, the number of ids, the end-of-text id included.</summary>
    int VocabularySize { get; }

    /// <summary>The id that separates documents; it stands for no text.</summary>
    int EndOfText { get; }

    /// <summary>Appends the ids of a text. No special token is added or recognised.</summary>
    /// <param name="utf8">Valid UTF-8.</param>
    /// <param name="output">Receives the ids.</param>
    void Encode(ReadOnlySpan<byte> utf8, IBufferWriter<int> output);

    /// <summary>The bytes of one token; empty for <see cref="EndOfText"/>. A token may hold part of a character.</summary>
    /// <exception cref="ArgumentOutOfRangeException">The id is outside the vocabulary.</exception>
    ReadOnlySpan<byte> Bytes(int token);
}
