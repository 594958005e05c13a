using System.Text;
using System.Text.RegularExpressions;

namespace Trainer.Tests.Tokenization;

/// <summary>Byte-level BPE as slow and plain as it can be: strings of Latin-1 characters for bytes, everything counted anew each time.</summary>
internal static partial class ReferenceBpe
{
    [GeneratedRegex(@"'(?:[sdmt]|ll|ve|re)| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+")]
    public static partial Regex Pieces();

    public static IEnumerable<string> Split(string text) => Pieces().Matches(text).Select(match => Encoding.Latin1.GetString(Encoding.UTF8.GetBytes(match.Value)));

    /// <summary>The merges in order, as pairs of byte strings.</summary>
    public static List<(string Left, string Right)> Train(string text, int merges)
    {
        var ids = new Dictionary<string, int>();
        for (int value = 0; value < 256; value++)
            ids.Add(((char)value).ToString(), value);
        List<List<string>> words = [.. Split(text).Select(word => word.Select(character => character.ToString()).ToList())];
        var learned = new List<(string, string)>();
        while (learned.Count < merges)
        {
            var counts = new Dictionary<(string Left, string Right), int>();
            foreach (List<string> word in words)
            {
                for (int i = 0; i + 1 < word.Count; i++)
                    counts[(word[i], word[i + 1])] = counts.GetValueOrDefault((word[i], word[i + 1])) + 1;
            }

            if (counts.Count == 0 || counts.Values.Max() < 2)
                break;
            (string Left, string Right) best = counts.OrderByDescending(pair => pair.Value)
                .ThenBy(pair => ids[pair.Key.Left]).ThenBy(pair => ids[pair.Key.Right]).First().Key;
            ids.Add(best.Left + best.Right, ids.Count);
            learned.Add(best);
            words.ForEach(word => Merge(word, best));
        }

        return learned;
    }

    /// <summary>The tokens of a text: every merge in turn, wherever it applies.</summary>
    public static List<int> Encode(string text, List<(string Left, string Right)> merges)
    {
        var ids = new Dictionary<string, int>();
        for (int value = 0; value < 256; value++)
            ids.Add(((char)value).ToString(), value);
        foreach ((string left, string right) in merges)
            ids.Add(left + right, ids.Count);

        var tokens = new List<int>();
        foreach (string piece in Split(text))
        {
            List<string> word = [.. piece.Select(character => character.ToString())];
            merges.ForEach(merge => Merge(word, merge));
            tokens.AddRange(word.Select(token => ids[token]));
        }

        return tokens;
    }

    private static void Merge(List<string> word, (string Left, string Right) pair)
    {
        for (int i = 0; i + 1 < word.Count; i++)
        {
            if (word[i] != pair.Left || word[i + 1] != pair.Right)
                continue;
            word[i] += word[i + 1];
            word.RemoveAt(i + 1);
        }
    }
}
