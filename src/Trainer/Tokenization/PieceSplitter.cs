using System.Globalization;
using System.Runtime.CompilerServices;
using System.Text;

namespace Trainer.Tokenization;

/// <summary>
/// GPT-2's splitting of text into pieces, within which bytes may be merged (Radford et al. 2019, encoder.py):
/// <c>'(?:[sdmt]|ll|ve|re)| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+</c>, as a scanner over UTF-8. Letters and
/// numbers are the Unicode general categories L and N, <c>\s</c> is the property White_Space, and the unit is the code point.
/// No piece reaches from a non-space character into white space, so text cut there splits exactly as the whole does.
/// </summary>
internal static class PieceSplitter
{
    private const byte Other = 0;
    private const byte Letter = 1;
    private const byte Number = 2;
    private const byte Space = 3;
    private const byte NotAscii = 4;

    private static ReadOnlySpan<byte> ByteClasses => ByteClassTable;

    private static readonly byte[] ByteClassTable = [.. Enumerable.Range(0, 256).Select(ByteClass)];

    /// <summary>The length in bytes of the first piece of a text that is not empty.</summary>
    public static int FirstPiece(ReadOnlySpan<byte> utf8)
    {
        byte first = utf8[0];
        if (first == '\'')
        {
            int contraction = Contraction(utf8);
            if (contraction > 0)
                return contraction;
        }

        // " ?" before letters, numbers or others: the space belongs to the run that follows it.
        int start = 0;
        if (first == ' ')
        {
            if (utf8.Length == 1)
                return 1;
            start = 1;
        }

        int kind = Classify(utf8[start..], out int length);
        return kind == Space ? WhiteSpace(utf8) : Run(utf8, start + length, kind);
    }

    /// <summary>Whether a byte is white space in ASCII.</summary>
    public static bool IsAsciiSpace(byte value) => ByteClasses[value] == Space;

    private static int Contraction(ReadOnlySpan<byte> utf8)
    {
        if (utf8.Length < 2)
            return 0;
        byte second = utf8[1];
        if (second is (byte)'s' or (byte)'d' or (byte)'m' or (byte)'t')
            return 2;
        if (utf8.Length < 3)
            return 0;
        byte third = utf8[2];
        bool contracted = (second == 'l' && third == 'l') || ((second == 'v' || second == 'r') && third == 'e');
        return contracted ? 3 : 0;
    }

    // The end of the run of characters of one kind.
    private static int Run(ReadOnlySpan<byte> utf8, int at, int kind)
    {
        ReadOnlySpan<byte> classes = ByteClasses;
        while (at < utf8.Length)
        {
            int next = classes[utf8[at]];
            int length = 1;
            if (next == NotAscii)
                next = ClassifyRune(utf8[at..], out length);
            if (next != kind)
                break;
            at += length;
        }

        return at;
    }

    // \s+(?!\S) | \s+: the whole run at the end of the text; otherwise all but its last character, or that one if it is alone.
    private static int WhiteSpace(ReadOnlySpan<byte> utf8)
    {
        int at = 0;
        int last = 0;
        while (at < utf8.Length)
        {
            if (Classify(utf8[at..], out int length) != Space)
                return last > 0 ? last : at;
            last = at;
            at += length;
        }

        return at;
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static int Classify(ReadOnlySpan<byte> utf8, out int length)
    {
        int kind = ByteClasses[utf8[0]];
        length = 1;
        return kind == NotAscii ? ClassifyRune(utf8, out length) : kind;
    }

    [MethodImpl(MethodImplOptions.NoInlining)]
    private static int ClassifyRune(ReadOnlySpan<byte> utf8, out int length)
    {
        // An invalid byte decodes to U+FFFD, which is in no category of the pattern: it stays what it is, in a piece of others.
        Rune.DecodeFromUtf8(utf8, out Rune rune, out length);
        return Rune.GetUnicodeCategory(rune) switch
        {
            UnicodeCategory.UppercaseLetter or UnicodeCategory.LowercaseLetter or UnicodeCategory.TitlecaseLetter
                or UnicodeCategory.ModifierLetter or UnicodeCategory.OtherLetter => Letter,
            UnicodeCategory.DecimalDigitNumber or UnicodeCategory.LetterNumber or UnicodeCategory.OtherNumber => Number,
            UnicodeCategory.SpaceSeparator or UnicodeCategory.LineSeparator or UnicodeCategory.ParagraphSeparator => Space,

            // U+0085, next line, is the one character above ASCII that is White_Space and in no separator category.
            _ => rune.Value == 0x85 ? Space : Other,
        };
    }

    private static byte ByteClass(int value) => value switch
    {
        >= 0x80 => NotAscii,
        (>= 'a' and <= 'z') or (>= 'A' and <= 'Z') => Letter,
        >= '0' and <= '9' => Number,
        ' ' or (>= '\t' and <= '\r') => Space,
        _ => Other,
    };
}
