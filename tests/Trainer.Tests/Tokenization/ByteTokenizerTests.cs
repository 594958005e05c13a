using Trainer.Tokenization;

namespace Trainer.Tests.Tokenization;

public sealed class ByteTokenizerTests
{
    [Test]
    public void A_token_is_a_byte()
    {
        var tokenizer = new ByteTokenizer();
        Assert.That(BpeTokenizerTests.Encode(tokenizer, "a\u00E9"), Is.EqualTo(new[] { 0x61, 0xC3, 0xA9 }));
        Assert.That(tokenizer.Bytes(0xC3).ToArray(), Is.EqualTo(new byte[] { 0xC3 }));
        Assert.That(tokenizer.Bytes(tokenizer.EndOfText).Length, Is.Zero);
        Assert.That(tokenizer.VocabularySize, Is.EqualTo(257));
        Assert.That(() => tokenizer.Bytes(257).Length, Throws.InstanceOf<ArgumentOutOfRangeException>());
    }

    [Test]
    public void Decoding_restores_any_text()
    {
        var tokenizer = new ByteTokenizer();
        string text = RandomText.Anywhere(new Random(1), 10_000);
        Assert.That(StreamingDecoder.Decode(tokenizer, BpeTokenizerTests.Encode(tokenizer, text)), Is.EqualTo(text));
    }
}
