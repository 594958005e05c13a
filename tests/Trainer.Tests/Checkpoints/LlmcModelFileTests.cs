using System.Buffers.Binary;
using System.Runtime.InteropServices;
using Trainer.Checkpoints;
using Trainer.Compute;
using Trainer.Model;
using Trainer.Tests.Optimization;

namespace Trainer.Tests.Checkpoints;

public sealed class LlmcModelFileTests
{
    private readonly ReferenceBackend _backend = new();
    private readonly TemporaryFolder _directory = new();

    [OneTimeTearDown]
    public void Free()
    {
        _backend.Dispose();
        _directory.Dispose();
    }

    [Test]
    public void What_is_written_is_read_to_the_bit()
    {
        // Larger than a chunk, so that the seams between chunks are crossed.
        var config = new ModelConfig(Layers: 1, Heads: 1, Channels: 192, SequenceLength: 8, Vocabulary: 500);
        (string path, float[] values) = Written(config, "round-trip.bin");

        using LlmcModelFile file = LlmcModelFile.Open(path);
        Tensor read = _backend.Allocate(ElementType.Float32, new Shape(values.Length));
        file.ReadInto(_backend, read);
        var found = new float[values.Length];
        _backend.Download(read, found.AsSpan());

        Assert.That(file.Config, Is.EqualTo(config));
        Assert.That(file.Count, Is.EqualTo(values.Length).And.GreaterThan(1 << 18));
        Assert.That(MemoryMarshal.AsBytes(found.AsSpan()).SequenceEqual(MemoryMarshal.AsBytes(values.AsSpan())), Is.True);
    }

    [Test]
    public void The_bytes_are_those_of_llmc()
    {
        (string path, float[] values) = Written(OptimizerTrial.Model, "bytes.bin");
        byte[] bytes = File.ReadAllBytes(path);
        int[] header = MemoryMarshal.Cast<byte, int>(bytes.AsSpan(0, 1024)).ToArray();
        Assert.That(header[..8], Is.EqualTo(new[] { 20240326, 3, 4, 10, 2, 2, 8, 16 }));
        Assert.That(header[8..], Is.All.Zero);
        Assert.That(bytes, Has.Length.EqualTo(1024 + (4 * values.Length)));
        Assert.That(BinaryPrimitives.ReadSingleLittleEndian(bytes.AsSpan(1024 + 4)), Is.EqualTo(values[1]));
    }

    [Test]
    public void Half_precision_is_widened_exactly()
    {
        var layout = new ParameterLayout(OptimizerTrial.Model);
        byte[] bytes = new byte[1024 + (2 * layout.Count)];
        int[] header = [20240326, 5, 4, 10, 2, 2, 8, 16];
        MemoryMarshal.AsBytes(header.AsSpan()).CopyTo(bytes);
        BinaryPrimitives.WriteUInt16LittleEndian(bytes.AsSpan(1024), 0x3F80);
        BinaryPrimitives.WriteUInt16LittleEndian(bytes.AsSpan(1026), 0xC049);
        BinaryPrimitives.WriteUInt16LittleEndian(bytes.AsSpan(bytes.Length - 2), 0x0001);
        string path = _directory.PathOf("bf16.bin");
        File.WriteAllBytes(path, bytes);

        using LlmcModelFile file = LlmcModelFile.Open(path);
        var values = new float[layout.Count];
        file.Read(values);
        Assert.That(values[..3], Is.EqualTo(new[] { 1f, -3.140625f, 0f }));
        Assert.That(BitConverter.SingleToUInt32Bits(values[^1]), Is.EqualTo(0x0001_0000u));
    }

    [TestCase(0, 20240520, "magic number 20240326")]
    [TestCase(1, 4, "version 3 (fp32) or 5 (bf16), but found 4")]
    [TestCase(2, -4, "seq-len")]
    [TestCase(3, 17, "padded vocabulary")]
    [TestCase(4, 0, "layers")]
    [TestCase(4, int.MaxValue, "bytes for 2147483647 layers")]
    [TestCase(5, 3, "--heads 3")]
    [TestCase(6, int.MaxValue - 1, "bytes for 2 layers, 2147483646 channels")]
    [TestCase(7, 24, "expected")]
    public void A_header_that_cannot_be_is_refused(int field, int value, string message)
    {
        (string path, _) = Written(OptimizerTrial.Model, $"header-{field}-{value}.bin");
        byte[] bytes = File.ReadAllBytes(path);
        BinaryPrimitives.WriteInt32LittleEndian(bytes.AsSpan(4 * field), value);
        File.WriteAllBytes(path, bytes);
        Assert.That(() => LlmcModelFile.Open(path), Throws.TypeOf<RequestException>().With.Message.Contains(path).And.Message.Contains(message));
    }

    [TestCase(-1)]
    [TestCase(1)]
    [TestCase(-4000)]
    public void A_file_of_another_length_is_refused(int change)
    {
        (string path, float[] values) = Written(OptimizerTrial.Model, $"length{change}.bin");
        using (FileStream stream = File.OpenWrite(path))
            stream.SetLength(stream.Length + change);
        long expected = 1024 + (4 * values.Length);
        Assert.That(() => LlmcModelFile.Open(path),
            Throws.TypeOf<RequestException>().With.Message.Contains($"expected {expected} bytes").And.Message.Contains($"has {expected + change}"));
    }

    [Test]
    public void A_file_shorter_than_its_header_and_a_missing_file_are_refused()
    {
        string path = _directory.PathOf("short.bin");
        File.WriteAllBytes(path, new byte[100]);
        Assert.That(() => LlmcModelFile.Open(path), Throws.TypeOf<RequestException>().With.Message.Contains("header of 1024 bytes"));
        Assert.That(() => LlmcModelFile.Open(_directory.PathOf("none.bin")), Throws.TypeOf<RequestException>().With.Message.Contains("none.bin"));
    }

    private (string Path, float[] Values) Written(ModelConfig config, string name)
    {
        var values = new float[new ParameterLayout(config).Count];
        for (int i = 0; i < values.Length; i++)
            values[i] = (float)new CounterRandom(1, 1).Normal((ulong)i);
        Tensor weights = _backend.Allocate(ElementType.Float32, new Shape(values.Length));
        _backend.Upload<float>(values, weights);
        string path = _directory.PathOf(name);
        using (FileStream stream = File.Create(path))
            LlmcModelFile.Write(stream, _backend, config, weights);
        return (path, values);
    }
}
