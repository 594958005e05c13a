using System.Text;
using Trainer.Tokenization;

namespace Trainer.Tests.Tokenization;

public sealed class StreamingDecoderTests
{
    [Test]
    public void A_character_appears_when_its_last_byte_does()
    {
        var decoder = new StreamingDecoder(new ByteTokenizer());
        string[] texts = [.. Encoding.UTF8.GetBytes("a\U0001F600b").Select(value => decoder.Append(value))];
        Assert.That(texts, Is.EqualTo(new[] { "a", "", "", "", "\U0001F600", "b" }));
        Assert.That(decoder.Flush(), Is.Empty);
    }

    [Test]
    public void What_cannot_become_a_character_is_replaced()
    {
        var decoder = new StreamingDecoder(new ByteTokenizer());
        Assert.That(decoder.Append(0xE2), Is.Empty);
        Assert.That(decoder.Append('x'), Is.EqualTo("\uFFFDx"));
        Assert.That(decoder.Append(0xFF), Is.EqualTo("\uFFFD"));
        Assert.That(decoder.Append(0xF0), Is.Empty);
        Assert.That(decoder.Flush(), Is.EqualTo("\uFFFD"));
        Assert.That(decoder.Append('y'), Is.EqualTo("y"));
    }

    [Test]
    public void A_long_token_is_decoded_whole()
    {
        BpeTokenizer tokenizer = BpeTokenizerTests.Tokenizer(string.Join(' ', Enumerable.Repeat(new string('a', 1024), 4)), 300);
        int longest = Enumerable.Range(0, tokenizer.EndOfText).MaxBy(token => tokenizer.Bytes(token).Length);
        Assert.That(tokenizer.Bytes(longest).Length, Is.GreaterThan(256));
        Assert.That(new StreamingDecoder(tokenizer).Append(longest), Is.EqualTo(Encoding.UTF8.GetString(tokenizer.Bytes(longest))));
    }

    [Test]
    public void End_of_text_is_no_text() => Assert.That(StreamingDecoder.Decode(new ByteTokenizer(), ['a', 256, 'b']), Is.EqualTo("ab"));
}
