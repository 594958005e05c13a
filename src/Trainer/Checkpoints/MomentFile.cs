using System.Buffers.Binary;
using Trainer.Compute;

namespace Trainer.Checkpoints;

/// <summary>
/// <c>optimizer.bin</c>, little-endian: a header of 256 int32, then the optimizer's moments as fp32, each in the order of the
/// parameters; for Adam m, then v.
/// <code>
/// [0] magic 20260301   [1] version 1   [2] moments   [3] 0   [4],[5] values in each moment, int64   the rest 0
/// </code>
/// </summary>
internal static class MomentFile
{
    private const int HeaderBytes = 256 * sizeof(int);
    private const int Magic = 20260301;
    private const int Version = 1;

    public static void Write(Stream stream, IBackend backend, IReadOnlyList<Tensor> moments)
    {
        Span<byte> header = stackalloc byte[HeaderBytes];
        header.Clear();
        BinaryPrimitives.WriteInt32LittleEndian(header, Magic);
        BinaryPrimitives.WriteInt32LittleEndian(header[4..], Version);
        BinaryPrimitives.WriteInt32LittleEndian(header[8..], moments.Count);
        BinaryPrimitives.WriteInt64LittleEndian(header[16..], moments[0].Count);
        stream.Write(header);
        foreach (Tensor moment in moments)
            LlmcModelFile.WriteValues(stream, backend, moment);
    }

    /// <exception cref="RequestException">The file is not of these moments.</exception>
    public static void Read(string path, IBackend backend, IReadOnlyList<Tensor> moments)
    {
        using var stream = new FileStream(path, FileMode.Open, FileAccess.Read, FileShare.Read, bufferSize: 0);
        Span<byte> header = stackalloc byte[HeaderBytes];
        if (stream.ReadAtLeast(header, HeaderBytes, throwOnEndOfStream: false) < HeaderBytes)
            throw new RequestException($"{path}: expected a header of {HeaderBytes} bytes, but the file has {stream.Length}.");
        Expect(path, "the magic number", Magic, BinaryPrimitives.ReadInt32LittleEndian(header));
        Expect(path, "version", Version, BinaryPrimitives.ReadInt32LittleEndian(header[4..]));
        Expect(path, "the number of moments", moments.Count, BinaryPrimitives.ReadInt32LittleEndian(header[8..]));
        Expect(path, "the number of parameters", moments[0].Count, BinaryPrimitives.ReadInt64LittleEndian(header[16..]));
        Expect(path, "the length", HeaderBytes + (moments.Count * moments[0].Count * sizeof(float)), stream.Length);
        foreach (Tensor moment in moments)
            LlmcModelFile.ReadValues(stream, backend, moment);
    }

    private static void Expect(string path, string what, long expected, long found)
    {
        if (found != expected)
            throw new RequestException($"{path}: expected {what} {expected}, but found {found}.");
    }
}
