using System.Buffers.Binary;

namespace Trainer.Data;

/// <summary>
/// llm.c's token shard: a header of 256 int32 (magic, version, token count, zeros), then the tokens. Ids are uint16; vocabularies
/// above 65,536 take the wide variant with uint32. Little-endian.
/// </summary>
/// <param name="Magic">The first int32 of the file.</param>
/// <param name="Version">The second.</param>
/// <param name="TokenBytes">The bytes of one id.</param>
internal sealed record TokenShardFormat(int Magic, int Version, int TokenBytes)
{
    public const int HeaderBytes = 256 * sizeof(int);

    public static readonly TokenShardFormat Narrow = new(20240520, 1, sizeof(ushort));
    public static readonly TokenShardFormat Wide = new(20240801, 7, sizeof(uint));

    /// <summary>The format in which a vocabulary fits.</summary>
    public static TokenShardFormat For(int vocabularySize) => vocabularySize > ushort.MaxValue + 1 ? Wide : Narrow;

    /// <summary>The length of a file with this many tokens.</summary>
    public long FileBytes(long tokens) => HeaderBytes + (tokens * TokenBytes);

    /// <summary>Writes magic, version and count into a header that is otherwise zero.</summary>
    public void WriteHeader(Span<byte> header, int tokens)
    {
        BinaryPrimitives.WriteInt32LittleEndian(header, Magic);
        BinaryPrimitives.WriteInt32LittleEndian(header[4..], Version);
        BinaryPrimitives.WriteInt32LittleEndian(header[8..], tokens);
    }

    /// <summary>Reads and checks a header.</summary>
    /// <exception cref="RequestException">The file is not a token shard, or is shorter or longer than its header says.</exception>
    public static (TokenShardFormat Format, int Tokens) ReadHeader(ReadOnlySpan<byte> header, string path, long fileBytes)
    {
        if (fileBytes < HeaderBytes)
            throw new RequestException($"{path}: not a token shard: expected a header of {HeaderBytes} bytes, found {fileBytes} bytes in all.");
        int magic = BinaryPrimitives.ReadInt32LittleEndian(header);
        int version = BinaryPrimitives.ReadInt32LittleEndian(header[4..]);
        int tokens = BinaryPrimitives.ReadInt32LittleEndian(header[8..]);
        TokenShardFormat format = magic == Narrow.Magic ? Narrow
            : magic == Wide.Magic ? Wide
            : throw new RequestException($"{path}: not a token shard: expected the magic number {Narrow.Magic} or {Wide.Magic}, found {magic}.");
        if (version != format.Version)
            throw new RequestException($"{path}: expected version {format.Version} of the token shard format, found {version}.");
        if (tokens < 0)
            throw new RequestException($"{path}: the header gives {tokens} tokens; the file is corrupt.");
        if (fileBytes != format.FileBytes(tokens))
        {
            throw new RequestException(
                $"{path}: {(fileBytes < format.FileBytes(tokens) ? "truncated" : "too long")}: {tokens} tokens take {format.FileBytes(tokens)} bytes, found {fileBytes}.");
        }

        return (format, tokens);
    }
}
