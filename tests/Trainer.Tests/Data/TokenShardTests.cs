using System.Buffers.Binary;
using Trainer.Data;

namespace Trainer.Tests.Data;

public sealed class TokenShardTests
{
    private TemporaryFolder _folder = null!;

    [SetUp]
    public void MakeFolder() => _folder = new TemporaryFolder();

    [TearDown]
    public void DeleteFolder() => _folder.Dispose();

    [TestCase(65536, 2)]
    [TestCase(65537, 4)]
    public void Tokens_are_read_as_they_were_written(int vocabularySize, int tokenBytes)
    {
        int[] tokens = Tokens(50_001, vocabularySize);
        tokens[7] = vocabularySize - 1;
        string path = Write(tokens, vocabularySize);
        Assert.That(new FileInfo(path).Length, Is.EqualTo(1024 + (tokens.Length * tokenBytes)));

        using var shard = new TokenShard(path);
        Assert.That(shard.Tokens, Is.EqualTo(tokens.Length));
        foreach ((int start, int count) in new[] { (0, tokens.Length), (0, 1), (1, 1), (3, 0), (5, 31), (7, 32), (1, 33), (50_000, 1), (50_001, 0), (12_345, 1023) })
        {
            int[] read = [.. Enumerable.Repeat(-1, count)];
            shard.Copy(start, read, vocabularySize);
            Assert.That(read, Is.EqualTo(tokens[start..(start + count)]));
        }
    }

    [Test]
    public void The_header_is_that_of_llm_c()
    {
        byte[] narrow = File.ReadAllBytes(Write([1, 2, 300], 50257));
        Assert.That(Header(narrow), Is.EqualTo((20240520, 1, 3)));
        Assert.That(narrow[12..1024], Is.All.Zero);
        Assert.That(narrow[1024..], Is.EqualTo(new byte[] { 1, 0, 2, 0, 44, 1 }));
        byte[] wide = File.ReadAllBytes(Write([70_000], 128_256));
        Assert.That(Header(wide), Is.EqualTo((20240801, 7, 1)));
        Assert.That(wide[1024..], Is.EqualTo(new byte[] { 0x70, 0x11, 1, 0 }));
    }

    [TestCase(0, 1, "the magic number")]
    [TestCase(4, 9, "version")]
    [TestCase(8, 1, "")]
    [TestCase(11, 0x80, "corrupt")]
    public void A_flipped_byte_of_the_header_is_refused(int offset, int flip, string message)
    {
        string path = Write(Tokens(100, 500), 500);
        byte[] bytes = File.ReadAllBytes(path);
        bytes[offset] ^= (byte)flip;
        File.WriteAllBytes(path, bytes);
        AssertRefused(path, message);
    }

    [Test]
    public void A_wrong_length_is_refused()
    {
        byte[] bytes = File.ReadAllBytes(Write(Tokens(100, 500), 500));
        foreach (int length in new[] { 0, 1, 1023, 1024, 1025, 1222, 1223 })
            AssertRefused(_folder.Write("cut.bin", bytes[..length]), length < 1024 ? "header" : "truncated: 100 tokens take 1224 bytes, found " + length);
        AssertRefused(_folder.Write("long.bin", [.. bytes, 0]), "too long: 100 tokens take 1224 bytes, found 1225");
    }

    [Test]
    public void Missing_files_and_folders_are_refused()
    {
        AssertRefused(_folder.PathOf("none.bin"), "does not exist");
        AssertRefused(_folder.PathOf("none/none.bin"), "does not exist");
        AssertRefused(_folder.Path, "cannot be read");
    }

    [TestCase(500)]
    [TestCase(70_000)]
    public void A_token_outside_the_vocabulary_is_found_wherever_it_is(int vocabularySize)
    {
        for (int at = 0; at < 40; at++)
        {
            int[] tokens = Tokens(40, vocabularySize);
            tokens[at] = vocabularySize;
            string path = Write(tokens, vocabularySize);
            using var shard = new TokenShard(path);
            Assert.That(() => shard.Copy(0, new int[40], vocabularySize),
                Throws.InstanceOf<RequestException>().With.Message.Contains($"{path}: token {at} is {vocabularySize}"));
        }
    }

    [Test]
    public void A_wide_token_with_the_highest_bit_is_outside_every_vocabulary()
    {
        string path = Write([1, 2, 3], 70_000);
        byte[] bytes = File.ReadAllBytes(path);
        bytes[^1] = 0xFF;
        File.WriteAllBytes(path, bytes);
        using var shard = new TokenShard(path);
        Assert.That(() => shard.Copy(0, new int[3], int.MaxValue), Throws.InstanceOf<RequestException>().With.Message.Contains("token 2"));
    }

    [Test]
    public void Ranges_outside_the_shard_are_refused()
    {
        using var shard = new TokenShard(Write(Tokens(10, 500), 500));
        Assert.That(() => shard.Copy(-1, new int[1], 500), Throws.InstanceOf<ArgumentOutOfRangeException>());
        Assert.That(() => shard.Copy(9, new int[2], 500), Throws.InstanceOf<ArgumentOutOfRangeException>());
        Assert.That(() => shard.Copy(11, [], 500), Throws.InstanceOf<ArgumentOutOfRangeException>());
    }

    [Test]
    public void A_shard_that_is_not_completed_leaves_nothing()
    {
        using (var writer = new TokenShardWriter(_folder.PathOf("a.bin"), 500))
            writer.Write([1, 2, 3]);
        Assert.That(Directory.GetFileSystemEntries(_folder.Path), Is.Empty);
    }

    [Test]
    public void Ids_that_do_not_fit_are_not_written()
    {
        using var narrow = new TokenShardWriter(_folder.PathOf("a.bin"), 500);
        Assert.That(() => narrow.Write([65_536]), Throws.InstanceOf<ArgumentOutOfRangeException>());
        Assert.That(() => narrow.Write([-1]), Throws.InstanceOf<ArgumentOutOfRangeException>());
        using var wide = new TokenShardWriter(_folder.PathOf("b.bin"), 70_000);
        Assert.That(() => wide.Write([-1]), Throws.InstanceOf<ArgumentOutOfRangeException>());
    }

    private static (int, int, int) Header(byte[] bytes) => (BinaryPrimitives.ReadInt32LittleEndian(bytes),
        BinaryPrimitives.ReadInt32LittleEndian(bytes.AsSpan(4)), BinaryPrimitives.ReadInt32LittleEndian(bytes.AsSpan(8)));

    private static void AssertRefused(string path, string message) =>
        Assert.That(() => new TokenShard(path).Dispose(), Throws.InstanceOf<RequestException>().With.Message.Contains(message).And.Message.Contains(path));

    private static int[] Tokens(int count, int vocabularySize) =>
        [.. Enumerable.Range(0, count).Select(i => (int)(new CounterRandom(1, 1).Bits((ulong)i) % (ulong)vocabularySize))];

    private string Write(int[] tokens, int vocabularySize)
    {
        string path = _folder.PathOf("shard.bin");
        using var writer = new TokenShardWriter(path, vocabularySize);
        writer.Write(tokens.AsSpan(0, tokens.Length / 3));
        writer.Write(tokens.AsSpan(tokens.Length / 3));
        writer.Complete();
        return path;
    }
}
