using System.IO.MemoryMappedFiles;
using System.Numerics;
using System.Runtime.InteropServices;

namespace Trainer.Data;

/// <summary>A token shard, mapped into memory. Any number of threads may read.</summary>
public sealed class TokenShard : IDisposable
{
    private readonly TokenShardFormat _format;
    private readonly MemoryMappedFile _file;
    private readonly MemoryMappedViewAccessor _view;

    /// <summary>Opens a shard and checks that its length is what its header says.</summary>
    /// <exception cref="RequestException">The file is missing, is not a token shard, or is truncated or too long.</exception>
    public TokenShard(string path)
    {
        Path = path;
        try
        {
            using var stream = new FileStream(path, FileMode.Open, FileAccess.Read, FileShare.Read, bufferSize: 0);
            Span<byte> header = stackalloc byte[TokenShardFormat.HeaderBytes];
            stream.ReadAtLeast(header, header.Length, throwOnEndOfStream: false);
            (_format, Tokens) = TokenShardFormat.ReadHeader(header, path, stream.Length);
            _file = MemoryMappedFile.CreateFromFile(path, FileMode.Open, mapName: null, capacity: 0, MemoryMappedFileAccess.Read);
            _view = _file.CreateViewAccessor(0, 0, MemoryMappedFileAccess.Read);
        }
        catch (Exception error) when (error is FileNotFoundException or DirectoryNotFoundException)
        {
            throw new RequestException($"{path}: the token shard does not exist.", error);
        }
        catch (Exception error) when (error is IOException or UnauthorizedAccessException)
        {
            throw new RequestException($"{path}: cannot be read: {error.Message}", error);
        }
    }

    /// <summary>The file.</summary>
    public string Path { get; }

    /// <summary>The number of tokens.</summary>
    public int Tokens { get; private set; }

    /// <summary>Leaves out everything after the first tokens.</summary>
    internal void Truncate(int tokens) => Tokens = Math.Min(Tokens, tokens);

    /// <summary>Copies tokens and checks that each is in the vocabulary; allocates nothing.</summary>
    /// <param name="start">The first token.</param>
    /// <param name="destination">Receives the tokens.</param>
    /// <param name="vocabularySize">V.</param>
    /// <exception cref="ArgumentOutOfRangeException">The range reaches outside the shard.</exception>
    /// <exception cref="RequestException">An id is V or more; the message names the file and the place in it.</exception>
    public void Copy(int start, Span<int> destination, int vocabularySize)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(start);
        ArgumentOutOfRangeException.ThrowIfGreaterThan((long)start + destination.Length, Tokens, nameof(start));

        ulong offset = (ulong)_format.FileBytes(start);
        Span<uint> ids = MemoryMarshal.Cast<int, uint>(destination);
        uint largest;
        if (_format.TokenBytes == sizeof(ushort))
        {
            // Into the upper half of the destination, to be widened from the front without a second buffer.
            Span<ushort> narrow = MemoryMarshal.Cast<int, ushort>(destination)[destination.Length..];
            _view.SafeMemoryMappedViewHandle.ReadSpan(offset, narrow);
            largest = WidenInPlace(narrow, ids);
        }
        else
        {
            _view.SafeMemoryMappedViewHandle.ReadSpan(offset, ids);
            largest = Largest(ids);
        }

        if (largest >= (uint)vocabularySize)
            ThrowOutsideVocabulary(start, ids, vocabularySize);
    }

    /// <summary>Unmaps the file.</summary>
    public void Dispose()
    {
        _view.Dispose();
        _file.Dispose();
    }

    // Block i..i+K of the source is read before its widened form is written, and lies behind everything written before: source element j
    // is at bytes 2n + 2j, and writing up to element i + K ends at byte 4(i + K), which is not above 2n + 2(i + K) as i + K <= n.
    private static uint WidenInPlace(ReadOnlySpan<ushort> narrow, Span<uint> ids)
    {
        Vector<ushort> largest = Vector<ushort>.Zero;
        int i = 0;
        for (; i <= narrow.Length - Vector<ushort>.Count; i += Vector<ushort>.Count)
        {
            var block = new Vector<ushort>(narrow[i..]);
            largest = Vector.Max(largest, block);
            Vector.Widen(block, out Vector<uint> low, out Vector<uint> high);
            low.CopyTo(ids[i..]);
            high.CopyTo(ids[(i + Vector<uint>.Count)..]);
        }

        uint result = 0;
        for (int lane = 0; lane < Vector<ushort>.Count; lane++)
            result = Math.Max(result, largest[lane]);
        for (; i < narrow.Length; i++)
        {
            uint id = narrow[i];
            ids[i] = id;
            result = Math.Max(result, id);
        }

        return result;
    }

    private static uint Largest(ReadOnlySpan<uint> ids)
    {
        Vector<uint> largest = Vector<uint>.Zero;
        int i = 0;
        for (; i <= ids.Length - Vector<uint>.Count; i += Vector<uint>.Count)
            largest = Vector.Max(largest, new Vector<uint>(ids[i..]));
        uint result = 0;
        for (int lane = 0; lane < Vector<uint>.Count; lane++)
            result = Math.Max(result, largest[lane]);
        for (; i < ids.Length; i++)
            result = Math.Max(result, ids[i]);
        return result;
    }

    private void ThrowOutsideVocabulary(int start, ReadOnlySpan<uint> ids, int vocabularySize)
    {
        int at = 0;
        while (ids[at] < (uint)vocabularySize)
            at++;
        throw new RequestException(
            $"{Path}: token {start + at} is {ids[at]}, outside the vocabulary of {vocabularySize}; was the file made with another tokenizer, or is it corrupt?");
    }
}
