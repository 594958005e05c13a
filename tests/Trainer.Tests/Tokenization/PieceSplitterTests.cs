using System.Text;
using Trainer.Tokenization;

namespace Trainer.Tests.Tokenization;

public sealed class PieceSplitterTests
{
    [Test]
    public void Splits_random_text_as_the_pattern_does([Range(1, 20)] int seed)
    {
        string text = RandomText.WithinPlane(new Random(seed), 2000);
        Assert.That(Split(text), Is.EqualTo(ReferenceBpe.Pieces().Matches(text).Select(match => match.Value)));
    }

    [Test]
    public void Every_character_of_the_basic_plane_is_in_the_class_of_the_pattern()
    {
        var text = new StringBuilder();
        for (int value = 0; value < 0x10000; value++)
        {
            if (!char.IsSurrogate((char)value))
                text.Append('x').Append((char)value).Append('1').Append((char)value).Append("! ").Append((char)value).Append(' ');
        }

        string all = text.ToString();
        Assert.That(string.Join('|', Split(all)), Is.EqualTo(string.Join('|', ReferenceBpe.Pieces().Matches(all).Select(match => match.Value))));
    }

    [TestCase("Hello world", "Hello| world")]
    [TestCase("don't we'll I'VE", "don|'t| we|'ll| I|'|VE")]
    [TestCase("a  b   c", "a| | b|  | c")]
    [TestCase("a\n\nb \n", "a|\n|\n|b| \n")]
    [TestCase("x ", "x| ")]
    [TestCase(" ", " ")]
    [TestCase("a 12, 3.5", "a| 12|,| 3|.|5")]
    [TestCase("!'s", "!'|s")]
    [TestCase("'l", "'|l")]
    [TestCase("\U0001D400\U0001D401 \U0001F600\U0001F601a", "\U0001D400\U0001D401| \U0001F600\U0001F601|a", TestName = "Mathematical letters and emoji")]
    [TestCase("\U0001D7D8\U0001D7D9x", "\U0001D7D8\U0001D7D9|x", TestName = "Mathematical digits")]
    [TestCase("\U00020000 \U0001F1E6\u0301", "\U00020000| \U0001F1E6\u0301", TestName = "Ideographs of plane 2, marks")]
    public void Splits_as_worked_out_by_hand(string text, string expected)
    {
        Assert.That(string.Join('|', Split(text)), Is.EqualTo(expected));
    }

    [Test]
    public void Bytes_that_are_not_text_are_split_without_loss()
    {
        var random = new Random(1);
        byte[] bytes = new byte[4000];
        random.NextBytes(bytes);
        int at = 0;
        while (at < bytes.Length)
        {
            int length = PieceSplitter.FirstPiece(bytes.AsSpan(at));
            Assert.That(length, Is.InRange(1, bytes.Length - at));
            at += length;
        }
    }

    private static List<string> Split(string text)
    {
        var pieces = new List<string>();
        ReadOnlySpan<byte> rest = Encoding.UTF8.GetBytes(text);
        while (!rest.IsEmpty)
        {
            int length = PieceSplitter.FirstPiece(rest);
            pieces.Add(Encoding.UTF8.GetString(rest[..length]));
            rest = rest[length..];
        }

        return pieces;
    }
}
