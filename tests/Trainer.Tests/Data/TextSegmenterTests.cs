using System.Text;
using Trainer.Data;
using Trainer.Tests.Tokenization;
using Trainer.Tokenization;

namespace Trainer.Tests.Data;

public sealed class TextSegmenterTests
{
    [Test]
    public void Segments_make_up_the_text_and_cut_no_character([Range(1, 10)] int seed, [Values(64, 200)] int segmentBytes)
    {
        var random = new Random(seed);
        string text = RandomText.Anywhere(random, 500) + RandomText.WithinPlane(random, 2000);
        List<(string Text, bool Starts)> segments = Segments([text], segmentBytes, partBytes: random.Next(1, 100));
        Assert.That(string.Concat(segments.Select(segment => segment.Text)), Is.EqualTo(text));
        Assert.That(segments.Select(segment => Encoding.UTF8.GetByteCount(segment.Text)), Is.All.InRange(1, segmentBytes));
        Assert.That(segments.SkipLast(1).Select(segment => Encoding.UTF8.GetByteCount(segment.Text)), Is.All.GreaterThan((segmentBytes / 2) - 4));
    }

    [Test]
    public void Segments_do_not_depend_on_how_the_text_arrives()
    {
        string[] documents = [.. Enumerable.Range(0, 5).Select(seed => RandomText.Words(new Random(seed), 300))];
        List<(string, bool)> expected = Segments(documents, 100, partBytes: 1);
        foreach (int partBytes in new[] { 2, 63, 64, 99, 100, 101, 5000 })
            Assert.That(Segments(documents, 100, partBytes), Is.EqualTo(expected), $"parts of {partBytes} bytes");
    }

    [Test]
    public void Segments_encode_to_the_tokens_of_the_whole()
    {
        var text = new StringBuilder();
        var random = new Random(4);
        for (int line = 0; line < 300; line++)
            text.Append(RandomText.Words(random, random.Next(1, 8)).ReplaceLineEndings(" ")).Append(random.Next(4) switch { 0 => " \n\n", 1 => "\r\n", 2 => "\n\n  ", _ => "\n" });
        BpeTokenizer tokenizer = BpeTokenizerTests.Tokenizer(text.ToString(), 400);
        List<(string Text, bool Starts)> segments = Segments([text.ToString()], 100, 1000);
        Assert.That(segments, Has.Count.GreaterThan(50));
        Assert.That(segments.SelectMany(segment => BpeTokenizerTests.Encode(tokenizer, segment.Text)), Is.EqualTo(BpeTokenizerTests.Encode(tokenizer, text.ToString())));
    }

    [Test]
    public void Cuts_come_before_line_ends_then_before_spaces()
    {
        string lines = string.Concat(Enumerable.Repeat("some words of a line\n\n", 20));
        Assert.That(Segments([lines], 64, 1000).Skip(1).Select(segment => segment.Text), Is.All.StartsWith("\n\nsome"));
        string words = string.Concat(Enumerable.Repeat("words  ", 50));
        Assert.That(Segments([words], 64, 1000).Skip(1).Select(segment => segment.Text), Is.All.StartsWith("  words").Or.EqualTo("  "));
    }

    [Test]
    public void A_document_begins_with_a_segment_of_its_own()
    {
        List<(string, bool)> segments = Segments(["one", "two", new string('x', 100), "four"], 64, 1000);
        Assert.That(segments, Is.EqualTo(new[] { ("one", true), ("two", true), (new string('x', 64), true), (new string('x', 36), false), ("four", true) }));
    }

    private static List<(string Text, bool Starts)> Segments(string[] documents, int segmentBytes, int partBytes) =>
        [.. new TextSegmenter(segmentBytes).Read([new Documents(documents, partBytes)])
            .Select(segment => (new UTF8Encoding(false, throwOnInvalidBytes: true).GetString(segment.Utf8.Span), segment.StartsDocument))];

    private sealed class Documents(string[] documents, int partBytes) : TextSource("documents", 0)
    {
        public override IEnumerable<TextPart> Read()
        {
            foreach (string document in documents)
            {
                byte[] utf8 = Encoding.UTF8.GetBytes(document);
                for (int start = 0; start < utf8.Length; start += partBytes)
                    yield return new TextPart(utf8.AsMemory(start, Math.Min(partBytes, utf8.Length - start)), start == 0, 0);
            }
        }
    }
}
