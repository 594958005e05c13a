namespace Trainer.Data;

/// <summary>A run of text within one document. Cut between characters, so it is valid UTF-8 by itself.</summary>
/// <param name="Utf8">The text; valid until the next part is read.</param>
/// <param name="StartsDocument">Whether it begins a document.</param>
/// <param name="SourceBytes">The bytes of the source that were consumed to read it, for progress.</param>
internal readonly record struct TextPart(ReadOnlyMemory<byte> Utf8, bool StartsDocument, long SourceBytes);

/// <summary>Where documents come from: one file, or the default corpus. It can be read again, and then gives the same.</summary>
/// <param name="name">How people know it.</param>
/// <param name="bytes">Its size before extraction of the text.</param>
internal abstract class TextSource(string name, long bytes)
{
    /// <summary>How people know it.</summary>
    public string Name { get; } = name;

    /// <summary>Its size before extraction of the text.</summary>
    public long Bytes { get; } = bytes;

    /// <summary>Reads the documents in order, in bounded memory. An empty document is left out.</summary>
    /// <exception cref="RequestException">The source is unreadable, malformed or not UTF-8; the message says where.</exception>
    public abstract IEnumerable<TextPart> Read();

    /// <summary>Opens a file for one sequential read.</summary>
    /// <exception cref="RequestException">It is missing or may not be read.</exception>
    protected static FileStream Open(string path)
    {
        try
        {
            return new FileStream(path, FileMode.Open, FileAccess.Read, FileShare.Read, bufferSize: 0, FileOptions.SequentialScan);
        }
        catch (Exception error) when (error is IOException or UnauthorizedAccessException)
        {
            throw new RequestException($"{path}: cannot be read: {error.Message}", error);
        }
    }
}
