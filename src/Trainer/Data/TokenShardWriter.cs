using System.Buffers.Binary;
using CommunityToolkit.HighPerformance.Buffers;

namespace Trainer.Data;

/// <summary>
/// Writes a token shard. It has a temporary name until <see cref="Complete"/>, so a file with the final name is always whole.
/// </summary>
public sealed class TokenShardWriter : IDisposable
{
    private const int BlockTokens = 16 * 1024;

    private readonly TokenShardFormat _format;
    private readonly string _temporaryPath;
    private readonly FileStream _file;
    private bool _completed;

    /// <summary>Begins a shard.</summary>
    /// <param name="path">The final name; a file of that name is replaced.</param>
    /// <param name="vocabularySize">V; above 65,536 the ids are written as uint32, otherwise as uint16.</param>
    public TokenShardWriter(string path, int vocabularySize)
    {
        Path = path;
        _format = TokenShardFormat.For(vocabularySize);
        _temporaryPath = path + ".partial";
        _file = new FileStream(_temporaryPath, FileMode.Create, FileAccess.Write, FileShare.None, bufferSize: 0);
        _file.Write(stackalloc byte[TokenShardFormat.HeaderBytes]);
    }

    /// <summary>The final name.</summary>
    public string Path { get; }

    /// <summary>The tokens written so far.</summary>
    public int Tokens { get; private set; }

    /// <summary>Appends tokens.</summary>
    /// <exception cref="ArgumentOutOfRangeException">An id does not fit the format.</exception>
    public void Write(ReadOnlySpan<int> tokens)
    {
        Tokens = checked(Tokens + tokens.Length);
        using SpanOwner<byte> owner = SpanOwner<byte>.Allocate(BlockTokens * _format.TokenBytes);
        while (!tokens.IsEmpty)
        {
            ReadOnlySpan<int> block = tokens[..Math.Min(BlockTokens, tokens.Length)];
            Span<byte> bytes = owner.Span[..(block.Length * _format.TokenBytes)];
            if (_format.TokenBytes == sizeof(ushort))
                WriteNarrow(block, bytes);
            else
                WriteWide(block, bytes);
            _file.Write(bytes);
            tokens = tokens[block.Length..];
        }
    }

    /// <summary>Writes the header, forces everything to the disk and gives the file its final name.</summary>
    public void Complete()
    {
        Span<byte> header = stackalloc byte[TokenShardFormat.HeaderBytes];
        header.Clear();
        _format.WriteHeader(header, Tokens);
        _file.Position = 0;
        _file.Write(header);
        _file.Flush(flushToDisk: true);
        _file.Dispose();
        File.Move(_temporaryPath, Path, overwrite: true);
        _completed = true;
    }

    /// <summary>Closes the file, and deletes it if it was not completed.</summary>
    public void Dispose()
    {
        _file.Dispose();
        if (!_completed)
            File.Delete(_temporaryPath);
    }

    private static void WriteNarrow(ReadOnlySpan<int> tokens, Span<byte> bytes)
    {
        for (int i = 0; i < tokens.Length; i++)
        {
            ArgumentOutOfRangeException.ThrowIfGreaterThan((uint)tokens[i], ushort.MaxValue, nameof(tokens));
            BinaryPrimitives.WriteUInt16LittleEndian(bytes[(2 * i)..], (ushort)tokens[i]);
        }
    }

    private static void WriteWide(ReadOnlySpan<int> tokens, Span<byte> bytes)
    {
        for (int i = 0; i < tokens.Length; i++)
        {
            ArgumentOutOfRangeException.ThrowIfNegative(tokens[i], nameof(tokens));
            BinaryPrimitives.WriteInt32LittleEndian(bytes[(4 * i)..], tokens[i]);
        }
    }
}
