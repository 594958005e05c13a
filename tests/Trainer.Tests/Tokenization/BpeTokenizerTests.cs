using System.Text;
using CommunityToolkit.HighPerformance.Buffers;
using Trainer.Tokenization;

namespace Trainer.Tests.Tokenization;

public sealed class BpeTokenizerTests
{
    [Test]
    public void Encodes_as_the_reference_does([Range(1, 8)] int seed)
    {
        var random = new Random(seed);
        string corpus = RandomText.Words(random, 400) + RandomText.WithinPlane(random, 400);
        List<(string, string)> merges = ReferenceBpe.Train(corpus, 120);
        BpeTokenizer tokenizer = Tokenizer(corpus, 257 + merges.Count);
        for (int i = 0; i < 30; i++)
        {
            string text = RandomText.Words(random, 20) + RandomText.WithinPlane(random, 20) + RandomText.Words(random, 5);
            Assert.That(Encode(tokenizer, text), Is.EqualTo(ReferenceBpe.Encode(text, merges)));
        }
    }

    [TestCase(127)]
    [TestCase(128)]
    [TestCase(129)]
    [TestCase(1000)]
    public void Encodes_long_pieces_as_the_reference_does(int length)
    {
        var random = new Random(length);
        string corpus = RandomText.Words(random, 400);
        List<(string, string)> merges = ReferenceBpe.Train(corpus, 120);
        string text = RandomText.Words(random, length).Replace(" ", "", StringComparison.Ordinal).Replace("\n", "", StringComparison.Ordinal)[..(length - 20)];
        text += new string('a', 20);
        Assert.That(Encode(Tokenizer(corpus, 257 + merges.Count), text), Is.EqualTo(ReferenceBpe.Encode(text, merges)));
    }

    [Test]
    public void Decoding_restores_any_text([Range(1, 20)] int seed)
    {
        var random = new Random(seed);
        BpeTokenizer tokenizer = Tokenizer(RandomText.WithinPlane(random, 3000), 600);
        string text = RandomText.Anywhere(random, 1000) + RandomText.WithinPlane(random, 1000);
        Assert.That(StreamingDecoder.Decode(tokenizer, Encode(tokenizer, text)), Is.EqualTo(text));
    }

    [Test]
    public void Threads_that_share_a_tokenizer_get_the_same_tokens()
    {
        BpeTokenizer tokenizer = Tokenizer(RandomText.Words(new Random(1), 2000), 400);
        string[] texts = [.. Enumerable.Range(0, 64).Select(i => RandomText.Words(new Random(i % 8), 2000))];
        var encoded = new int[texts.Length][];
        Parallel.For(0, texts.Length, i => encoded[i] = Encode(tokenizer, texts[i]));
        BpeTokenizer fresh = Tokenizer(RandomText.Words(new Random(1), 2000), 400);
        for (int i = 0; i < texts.Length; i++)
            Assert.That(encoded[i], Is.EqualTo(Encode(fresh, texts[i])));
    }

    [Test]
    public void End_of_text_follows_the_ranks_and_stands_for_no_bytes()
    {
        BpeTokenizer tokenizer = Tokenizer("abab abab", 259);
        Assert.That(tokenizer.EndOfText, Is.EqualTo(258));
        Assert.That(tokenizer.VocabularySize, Is.EqualTo(259));
        Assert.That(tokenizer.Bytes(258).Length, Is.Zero);
        Assert.That(() => tokenizer.Bytes(259).Length, Throws.InstanceOf<ArgumentOutOfRangeException>());
        Assert.That(() => tokenizer.Bytes(-1).Length, Throws.InstanceOf<ArgumentOutOfRangeException>());
    }

    [Test]
    public void Empty_text_has_no_tokens() => Assert.That(Encode(Tokenizer("abab", 258), ""), Is.Empty);

    [TestCase("Hello world", new[] { 15496, 995 })]
    [TestCase("Hello, world!", new[] { 15496, 11, 995, 0 })]
    [TestCase("don't", new[] { 9099, 470 })]
    [TestCase("\n\n", new[] { 628 })]
    [TestCase("<|endoftext|>", new[] { 27, 91, 437, 1659, 5239, 91, 29 })]
    public void Known_ids_of_gpt2(string text, int[] expected)
    {
        BpeTokenizer tokenizer = Gpt2();
        Assert.That(Encode(tokenizer, text), Is.EqualTo(expected));
        Assert.That(StreamingDecoder.Decode(tokenizer, expected), Is.EqualTo(text));
    }

    [Test]
    public void Gpt2_has_50257_tokens_the_last_of_which_ends_text()
    {
        BpeTokenizer tokenizer = Gpt2();
        Assert.That(tokenizer.VocabularySize, Is.EqualTo(50257));
        Assert.That(tokenizer.EndOfText, Is.EqualTo(50256));
        string text = RandomText.Anywhere(new Random(5), 5000);
        Assert.That(StreamingDecoder.Decode(tokenizer, Encode(tokenizer, text)), Is.EqualTo(text));
    }

    internal static int[] Encode(ITokenizer tokenizer, string text)
    {
        using var ids = new ArrayPoolBufferWriter<int>();
        tokenizer.Encode(Encoding.UTF8.GetBytes(text), ids);
        return ids.WrittenSpan.ToArray();
    }

    internal static BpeTokenizer Tokenizer(string corpus, int vocabularySize)
    {
        var words = new WordCounts();
        words.Add(Encoding.UTF8.GetBytes(corpus));
        return new BpeTokenizer(BpeTrainer.Train(words, vocabularySize).Ranks, TokenizerKind.Bpe);
    }

    // GPT-2's ranks are not part of the project; they are used where somebody put them into a folder shared/data above it.
    private static BpeTokenizer Gpt2()
    {
        for (DirectoryInfo? folder = new(TestContext.CurrentContext.TestDirectory); folder is not null; folder = folder.Parent)
        {
            string path = Path.Combine(folder.FullName, "shared", "data", "gpt2.tiktoken");
            if (File.Exists(path))
                return new BpeTokenizer(MergeRanks.Load(path), TokenizerKind.Gpt2);
        }

        Assert.Ignore("GPT-2's ranks (shared/data/gpt2.tiktoken) are not in any folder above the tests.");
        throw new InvalidOperationException();
    }
}
