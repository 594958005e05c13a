using System.Globalization;
using System.Text.RegularExpressions;

namespace Trainer.Tests.Cli;

/// <summary>What a terminal shows after the control codes that the live region uses: cursor up, erase below.</summary>
internal static class Screen
{
    public static string[] Show(string written)
    {
        var lines = new List<string> { string.Empty };
        int row = 0;
        foreach (Match match in Regex.Matches(written, @"\e\[(?<up>\d+)A|(?<erase>\e\[J)|\e\[[0-9;]*m|(?<return>\r)|(?<newline>\n)|(?<text>[^\e\r\n]+)"))
        {
            if (match.Groups["up"].Success)
            {
                row -= int.Parse(match.Groups["up"].Value, CultureInfo.InvariantCulture);
            }
            else if (match.Groups["erase"].Success)
            {
                lines.RemoveRange(row, lines.Count - row);
                lines.Add(string.Empty);
            }
            else if (match.Groups["newline"].Success)
            {
                row++;
                if (row == lines.Count)
                    lines.Add(string.Empty);
            }
            else if (match.Groups["text"].Success)
            {
                lines[row] += match.Groups["text"].Value;
            }
        }

        return [.. lines.Select(line => line.TrimEnd(' ', '\u2800'))];
    }
}
