using System.Buffers;
using System.Text;
using System.Text.Unicode;

namespace Trainer.Data;

/// <summary>Finds what is not UTF-8 in a block of a file.</summary>
internal static class Utf8Check
{
    /// <summary>The byte order mark, which some programs put before UTF-8.</summary>
    public static ReadOnlySpan<byte> ByteOrderMark => [0xEF, 0xBB, 0xBF];

    /// <summary>The number of bytes at the end of a block that begin a character which the next block may complete: 0 to 3.</summary>
    public static int IncompleteTail(ReadOnlySpan<byte> block)
    {
        for (int back = 1; back <= Math.Min(3, block.Length); back++)
        {
            byte value = block[^back];
            if ((value & 0xC0) == 0x80)
                continue;
            int needed = value >= 0xF0 ? 4 : value >= 0xE0 ? 3 : value >= 0xC0 ? 2 : 1;
            return needed > back ? back : 0;
        }

        return 0;
    }

    /// <summary>Checks a block that was cut between characters.</summary>
    /// <param name="block">The bytes.</param>
    /// <param name="path">The file, for the message.</param>
    /// <param name="offset">Where the block begins in the file.</param>
    /// <exception cref="RequestException">The block is not valid; the message gives the offset of the first byte of what is no character.</exception>
    public static void Require(ReadOnlySpan<byte> block, string path, long offset)
    {
        if (Utf8.IsValid(block))
            return;
        int at = 0;
        while (Rune.DecodeFromUtf8(block[at..], out _, out int length) == OperationStatus.Done)
            at += length;
        throw new RequestException($"{path}: not UTF-8 at offset {offset + at} (byte 0x{block[at]:x2}); convert the file to UTF-8.");
    }
}
