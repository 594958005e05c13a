using System.Text;
using System.Text.Json;
using Trainer.Data;
using Trainer.Tests.Tokenization;

namespace Trainer.Tests.Data;

public sealed class TextSourceTests
{
    private TemporaryFolder _folder = null!;

    [SetUp]
    public void MakeFolder() => _folder = new TemporaryFolder();

    [TearDown]
    public void DeleteFolder() => _folder.Dispose();

    [TestCase(4)]
    [TestCase(7)]
    [TestCase(64)]
    [TestCase(1 << 20)]
    public void A_text_file_is_one_document_whatever_the_blocks(int blockBytes)
    {
        string text = RandomText.Anywhere(new Random(1), 3000);
        List<(string Text, bool Starts)> parts = Parts(new PlainTextSource(_folder.Write("a.txt", text)).Read(blockBytes));
        Assert.That(string.Concat(parts.Select(part => part.Text)), Is.EqualTo(text));
        Assert.That(parts.Select(part => part.Starts), Is.EqualTo(parts.Select((_, i) => i == 0)));
    }

    [Test]
    public void Bytes_that_are_not_utf8_are_found_at_their_offset()
    {
        // What is wrong, and what is wrong with it: the first byte of the ill-formed sequence is named.
        byte[][] wrong = [[0x80], [0xFF], [0xC0, 0x80], [0xC3], [0xE2, 0x82], [0xED, 0xA0, 0x80], [0xF0, 0x9F, 0x98], [0xF5, 0x80, 0x80, 0x80], [0xE0, 0x80, 0x80]];
        byte[][] before = ["a"u8.ToArray(), "\u00E9"u8.ToArray(), "\u20AC"u8.ToArray(), "\U0001F600"u8.ToArray()];
        foreach (byte[] bad in wrong)
        {
            for (int count = 0; count < 12; count++)
            {
                byte[] start = [.. Enumerable.Range(0, count).SelectMany(i => before[(i + count) % 4])];
                foreach (byte[] end in new[] { [], "xyz \u20AC"u8.ToArray() })
                {
                    string path = _folder.Write("bad.txt", [.. start, .. bad, .. end]);
                    foreach (int blockBytes in new[] { 4, 5, 8, 1024 })
                    {
                        Assert.That(() => Parts(new PlainTextSource(path).Read(blockBytes)),
                            Throws.InstanceOf<RequestException>().With.Message.Contains($"{path}: not UTF-8 at offset {start.Length} (byte 0x{bad[0]:x2})"));
                    }
                }
            }
        }
    }

    [Test]
    public void A_byte_order_mark_is_dropped_and_counted_in_offsets()
    {
        Assert.That(Parts(new PlainTextSource(_folder.Write("a.txt", [0xEF, 0xBB, 0xBF, (byte)'a'])).Read()), Is.EqualTo(new[] { ("a", true) }));
        Assert.That(Parts(new PlainTextSource(_folder.Write("b.txt", [0xEF, 0xBB, 0xBF])).Read()), Is.Empty);
        string path = _folder.Write("c.txt", [0xEF, 0xBB, 0xBF, (byte)'a', 0xFF]);
        Assert.That(() => Parts(new PlainTextSource(path).Read()), Throws.InstanceOf<RequestException>().With.Message.Contains("offset 4"));
    }

    [Test]
    public void An_empty_file_has_no_document() => Assert.That(Parts(new PlainTextSource(_folder.Write("a.txt", "")).Read()), Is.Empty);

    [Test]
    public void A_line_of_json_is_a_document()
    {
        string[] texts = ["one", "two \"quoted\"\n\u20AC \U0001F600", new string('x', 3_000_000), "last"];
        var lines = new StringBuilder("\uFEFF");
        foreach (string text in texts)
            lines.Append(JsonSerializer.Serialize(new { meta = new { text = "not this" }, text, list = new[] { 1, 2 } })).Append("\r\n\n");
        lines.Append("{\"text\":\"\"}\n{\"text\": \"no line end\"}");
        List<(string Text, bool Starts)> parts = Parts(new JsonLinesSource(_folder.Write("a.jsonl", lines.ToString())).Read());
        Assert.That(parts.Select(part => part.Text), Is.EqualTo(texts.Append("no line end")));
        Assert.That(parts.Select(part => part.Starts), Is.All.True);
    }

    [TestCase("{\"text\": \"a\"", "not JSON")]
    [TestCase("{\"text\": \"a\"} x", "not JSON")]
    [TestCase("{\"text\": \"\\ud800\"}", "not JSON")]
    [TestCase("[\"text\"]", "expected an object")]
    [TestCase("\"text\"", "expected an object")]
    [TestCase("{\"txt\": \"a\"}", "has no \"text\"")]
    [TestCase("{\"inner\": {\"text\": \"a\"}}", "has no \"text\"")]
    [TestCase("{\"text\": 5}", "\"text\" is a Number")]
    [TestCase("{\"text\": null}", "\"text\" is a Null")]
    [TestCase("{\"text\": \"a\", \"text\": \"b\"}", "\"text\" appears twice")]
    public void A_malformed_line_is_named(string line, string message)
    {
        string path = _folder.Write("a.jsonl", "{\"text\": \"fine\"}\n\n" + line + "\n{\"text\": \"fine\"}\n");
        Assert.That(() => Parts(new JsonLinesSource(path).Read()), Throws.InstanceOf<RequestException>().With.Message.Contains($"{path}, line 3: {message}"));
    }

    [Test]
    public void A_line_that_is_not_utf8_is_named_with_its_offset()
    {
        string path = _folder.Write("a.jsonl", [.. "{\"text\": \"fine\"}\n{\"text\": \""u8, 0xFF, .. "\"}\n"u8]);
        Assert.That(() => Parts(new JsonLinesSource(path).Read()), Throws.InstanceOf<RequestException>().With.Message.Contains("line 2: not UTF-8 at offset 27"));
    }

    private static List<(string Text, bool Starts)> Parts(IEnumerable<TextPart> parts) =>
        [.. parts.Select(part => (new UTF8Encoding(false, throwOnInvalidBytes: true).GetString(part.Utf8.Span), part.StartsDocument))];
}
