using System.Text;

namespace Trainer.Tests.Tokenization;

/// <summary>Random text for tests.</summary>
internal static class RandomText
{
    // Weighted towards what the splitting pattern tells apart: contractions, spaces before words, runs of white space.
    private static readonly string[] Fragments =
    [
        "a", "b", "s", "t", "re", "ve", "ll", "the", "'", "'s", "'re", "'T", " ", " ", " ", "  ", "\n", "\r\n", "\t", "\u00A0", "\u0085", "\u2003", "\u3000",
        "1", "23", "\u0661", "\u00BD", "\u2167", ".", ",", "!?", "-", "_", "\u20AC", "\u00E9", "\u0301", "\u4E2D\u6587", "\u0416", "\u200B", "\u001C", "\0",
    ];

    /// <summary>Text within the Basic Multilingual Plane, where a char is a code point.</summary>
    public static string WithinPlane(Random random, int fragments)
    {
        var text = new StringBuilder();
        for (int i = 0; i < fragments; i++)
            text.Append(Fragments[random.Next(Fragments.Length)]);
        return text.ToString();
    }

    /// <summary>Any code points.</summary>
    public static string Anywhere(Random random, int length)
    {
        var text = new StringBuilder();
        for (int i = 0; i < length; i++)
        {
            int limit = random.Next(4) switch { 0 => 0x80, 1 => 0x800, 2 => 0x10000, _ => 0x110000 };
            int value = random.Next(limit);
            text.Append(Rune.IsValid(value) ? new Rune(value).ToString() : " ");
        }

        return text.ToString();
    }

    /// <summary>Words over a small alphabet, so that pairs recur and tie.</summary>
    public static string Words(Random random, int words)
    {
        var text = new StringBuilder();
        for (int w = 0; w < words; w++)
        {
            for (int length = random.Next(1, 9); length > 0; length--)
                text.Append("aaabbc\u00E9"[random.Next(7)]);
            text.Append(random.Next(5) == 0 ? "\n" : " ");
        }

        return text.ToString();
    }
}
