using System.Buffers.Binary;
using System.Runtime.InteropServices;
using Trainer.Compute;
using Trainer.Model;

namespace Trainer.Checkpoints;

/// <summary>
/// The model file of llm.c: a header of 256 little-endian int32 (magic, version, T, V, L, NH, C, Vp), then all parameters in the order of
/// <see cref="ParameterLayout"/>, fp32 in version 3 and bf16 in version 5. Written as fp32; both are read. Values pass through one
/// chunk, never through a second copy of the model.
/// </summary>
public sealed class LlmcModelFile : IDisposable
{
    /// <summary>The bytes of the header.</summary>
    public const int HeaderBytes = 256 * sizeof(int);

    private const int Magic = 20240326;
    private const int Float32Version = 3;
    private const int BFloat16Version = 5;

    // A megabyte keeps the copies in the cache and the calls few.
    private const int ChunkValues = 1 << 18;

    private readonly FileStream _stream;
    private readonly string _path;
    private readonly bool _isBFloat16;
    private readonly byte[] _chunk = new byte[ChunkValues * sizeof(float)];

    private LlmcModelFile(FileStream stream, string path, ModelConfig config, long count, bool isBFloat16)
    {
        (_stream, _path, Config, Count, _isBFloat16) = (stream, path, config, count, isBFloat16);
    }

    /// <summary>The sizes of the model in the file.</summary>
    public ModelConfig Config { get; }

    /// <summary>The number of parameters in the file.</summary>
    public long Count { get; }

    /// <summary>Opens a file for reading and checks its header and length.</summary>
    /// <exception cref="RequestException">The file is missing or is no model file of a known version with possible sizes.</exception>
    public static LlmcModelFile Open(string path)
    {
        FileStream stream = OpenForReading(path);
        try
        {
            Span<byte> header = stackalloc byte[HeaderBytes];
            if (stream.ReadAtLeast(header, HeaderBytes, throwOnEndOfStream: false) < HeaderBytes)
                throw new RequestException($"{path}: expected a header of {HeaderBytes} bytes, but the file has {stream.Length}.");
            int magic = Field(header, 0);
            if (magic != Magic)
                throw new RequestException($"{path}: expected the magic number {Magic} of an llm.c model, but found {magic}.");
            int version = Field(header, 1);
            if (version is not (Float32Version or BFloat16Version))
                throw new RequestException($"{path}: expected version {Float32Version} (fp32) or {BFloat16Version} (bf16), but found {version}.");

            ModelConfig config = ReadConfig(path, header);
            bool isBFloat16 = version == BFloat16Version;
            Int128 count = ParameterCount(config);
            Int128 length = HeaderBytes + (count * (isBFloat16 ? 2 : 4));
            if (length != stream.Length)
            {
                throw new RequestException($"{path}: expected {length} bytes for {config.Layers} layers, {config.Channels} channels, "
                    + $"{config.SequenceLength} positions and {config.PaddedVocabulary} padded tokens, but the file has {stream.Length}.");
            }

            return new LlmcModelFile(stream, path, config, (long)count, isBFloat16);
        }
        catch
        {
            stream.Dispose();
            throw;
        }
    }

    /// <summary>Reads the next values of the file, bf16 widened exactly.</summary>
    /// <param name="destination">Is filled; no longer than what is left of the file.</param>
    /// <exception cref="RequestException">The file ends early: it was cut after it was opened.</exception>
    public void Read(Span<float> destination)
    {
        if (!_isBFloat16)
        {
            ReadExactly(MemoryMarshal.AsBytes(destination));
            return;
        }

        while (!destination.IsEmpty)
        {
            Span<float> part = destination[..Math.Min(destination.Length, ChunkValues)];
            Span<byte> bytes = _chunk.AsSpan(0, part.Length * sizeof(ushort));
            ReadExactly(bytes);
            ReadOnlySpan<ushort> halves = MemoryMarshal.Cast<byte, ushort>(bytes);
            for (int i = 0; i < part.Length; i++)
                part[i] = BitConverter.UInt32BitsToSingle((uint)halves[i] << 16);
            destination = destination[part.Length..];
        }
    }

    /// <summary>Reads all parameters into device memory.</summary>
    /// <param name="backend">The device.</param>
    /// <param name="weights">All parameters, overwritten; as many as <see cref="Count"/>.</param>
    public void ReadInto(IBackend backend, Tensor weights)
    {
        ArgumentNullException.ThrowIfNull(backend);
        if (weights.Count != Count)
            throw new ArgumentException($"{_path} has {Count} parameters, but {weights.Shape} was given for them", nameof(weights));
        var values = new float[Math.Min(Count, ChunkValues)];
        for (long offset = 0; offset < Count; offset += values.Length)
        {
            Span<float> part = values.AsSpan(0, (int)Math.Min(values.Length, Count - offset));
            Read(part);
            backend.Upload<float>(part, weights.Slice(offset, new Shape(part.Length)));
        }
    }

    /// <inheritdoc/>
    public void Dispose() => _stream.Dispose();

    /// <summary>Writes a model as fp32.</summary>
    /// <param name="stream">Receives the file.</param>
    /// <param name="backend">The device.</param>
    /// <param name="config">The sizes.</param>
    /// <param name="weights">All parameters.</param>
    public static void Write(Stream stream, IBackend backend, ModelConfig config, Tensor weights)
    {
        ArgumentNullException.ThrowIfNull(stream);
        ArgumentNullException.ThrowIfNull(config);
        Span<byte> header = stackalloc byte[HeaderBytes];
        header.Clear();
        ReadOnlySpan<int> fields = [Magic, Float32Version, config.SequenceLength, config.Vocabulary, config.Layers, config.Heads,
            config.Channels, config.PaddedVocabulary];
        for (int i = 0; i < fields.Length; i++)
            BinaryPrimitives.WriteInt32LittleEndian(header[(i * sizeof(int))..], fields[i]);
        stream.Write(header);
        WriteValues(stream, backend, weights);
    }

    /// <summary>Writes the values of a tensor as fp32, chunk by chunk.</summary>
    internal static void WriteValues(Stream stream, IBackend backend, Tensor tensor)
    {
        var values = new float[Math.Min(tensor.Count, ChunkValues)];
        for (long offset = 0; offset < tensor.Count; offset += values.Length)
        {
            Span<float> part = values.AsSpan(0, (int)Math.Min(values.Length, tensor.Count - offset));
            backend.Download(tensor.Slice(offset, new Shape(part.Length)), part);
            stream.Write(MemoryMarshal.AsBytes(part));
        }
    }

    /// <summary>Reads the values of a tensor as fp32, chunk by chunk.</summary>
    internal static void ReadValues(Stream stream, IBackend backend, Tensor tensor)
    {
        var values = new float[Math.Min(tensor.Count, ChunkValues)];
        for (long offset = 0; offset < tensor.Count; offset += values.Length)
        {
            Span<float> part = values.AsSpan(0, (int)Math.Min(values.Length, tensor.Count - offset));
            stream.ReadExactly(MemoryMarshal.AsBytes(part));
            backend.Upload<float>(part, tensor.Slice(offset, new Shape(part.Length)));
        }
    }

    private static FileStream OpenForReading(string path)
    {
        try
        {
            return new FileStream(path, FileMode.Open, FileAccess.Read, FileShare.Read, bufferSize: 0);
        }
        catch (Exception exception) when (exception is IOException or UnauthorizedAccessException)
        {
            throw new RequestException($"{path}: cannot be read: {exception.Message}", exception);
        }
    }

    private static ModelConfig ReadConfig(string path, ReadOnlySpan<byte> header)
    {
        var config = new ModelConfig(Layers: Field(header, 4), Heads: Field(header, 5), Channels: Field(header, 6),
            SequenceLength: Field(header, 2), Vocabulary: 1)
        {
            Vocabulary = Field(header, 3),
            PaddedVocabulary = Field(header, 7),
        };
        try
        {
            return config.Validated();
        }
        catch (RequestException exception)
        {
            throw new RequestException($"{path}: the header has impossible sizes: {exception.Message}", exception);
        }
    }

    // In 128 bits, and before a layout is built: a corrupt header must neither overflow nor make a layout of a billion layers.
    private static Int128 ParameterCount(ModelConfig config)
    {
        Int128 c = config.Channels;
        Int128 block = (12 * c * c) + (13 * c);
        return ((config.PaddedVocabulary + (Int128)config.SequenceLength) * c) + (config.Layers * block) + (2 * c);
    }

    private static int Field(ReadOnlySpan<byte> header, int index) => BinaryPrimitives.ReadInt32LittleEndian(header[(index * sizeof(int))..]);

    private void ReadExactly(Span<byte> bytes)
    {
        try
        {
            _stream.ReadExactly(bytes);
        }
        catch (EndOfStreamException exception)
        {
            throw new RequestException($"{_path}: expected {_stream.Position + bytes.Length} bytes or more, but the file ends.", exception);
        }
    }
}
