using System.Runtime.InteropServices;
using Trainer.Compute;

namespace Trainer.Checkpoints;

/// <summary>Device memory to and from a stream as little-endian fp32, in chunks: never a second copy of a model in host memory.</summary>
internal static class TensorStream
{
    /// <summary>A megabyte of fp32 keeps the copies in the cache and the calls few.</summary>
    public const int ChunkValues = 1 << 18;

    /// <summary>Fills the values it is given with the next ones of a file.</summary>
    public delegate void ReadNext(Span<float> values);

    public static void Write(Stream stream, IBackend backend, Tensor tensor)
    {
        var values = new float[Math.Min(tensor.Count, ChunkValues)];
        for (long offset = 0; offset < tensor.Count; offset += values.Length)
        {
            Span<float> part = values.AsSpan(0, (int)Math.Min(values.Length, tensor.Count - offset));
            backend.DownloadFloats(tensor.Slice(offset, new Shape(part.Length)), part);
            stream.Write(MemoryMarshal.AsBytes(part));
        }
    }

    public static void Read(ReadNext read, IBackend backend, Tensor tensor)
    {
        var values = new float[Math.Min(tensor.Count, ChunkValues)];
        for (long offset = 0; offset < tensor.Count; offset += values.Length)
        {
            Span<float> part = values.AsSpan(0, (int)Math.Min(values.Length, tensor.Count - offset));
            read(part);
            backend.UploadFloats(part, tensor.Slice(offset, new Shape(part.Length)));
        }
    }
}
