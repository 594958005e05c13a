namespace Trainer;

/// <summary>Finds the name that was probably meant by one that does not exist.</summary>
public static class NearestName
{
    /// <summary>
    /// The candidate with the smallest edit distance (insertions, deletions, substitutions and swaps of neighbours, Damerau 1964), letter case aside;
    /// null when none is near enough to be a slip of the pen: more than a third of the letters differ, and it is no prefix either.
    /// </summary>
    /// <param name="name">What was written.</param>
    /// <param name="candidates">What exists.</param>
    public static string? Of(string name, IEnumerable<string> candidates)
    {
        ArgumentNullException.ThrowIfNull(name);
        ArgumentNullException.ThrowIfNull(candidates);
        string? nearest = null;
        int smallest = int.MaxValue;
        foreach (string candidate in candidates)
        {
            int distance = Distance(name, candidate);
            bool near = distance <= Math.Max(1, Math.Max(name.Length, candidate.Length) / 3)
                || (name.Length >= 3 && candidate.StartsWith(name, StringComparison.OrdinalIgnoreCase));
            if (near && distance < smallest)
                (nearest, smallest) = (candidate, distance);
        }

        return nearest;
    }

    /// <summary>"; did you mean X?" for a message, or nothing when no candidate is near.</summary>
    /// <param name="name">What was written.</param>
    /// <param name="candidates">What exists.</param>
    public static string Suggestion(string name, IEnumerable<string> candidates) =>
        Of(name, candidates) is { } nearest ? $"; did you mean {nearest}?" : string.Empty;

    private static int Distance(string from, string to)
    {
        int[,] distance = new int[from.Length + 1, to.Length + 1];
        for (int i = 0; i <= from.Length; i++)
            distance[i, 0] = i;
        for (int j = 0; j <= to.Length; j++)
            distance[0, j] = j;
        for (int i = 1; i <= from.Length; i++)
        {
            for (int j = 1; j <= to.Length; j++)
            {
                int substitution = Same(from[i - 1], to[j - 1]) ? 0 : 1;
                int shortest = Math.Min(Math.Min(distance[i - 1, j], distance[i, j - 1]) + 1, distance[i - 1, j - 1] + substitution);
                if (i > 1 && j > 1 && Same(from[i - 1], to[j - 2]) && Same(from[i - 2], to[j - 1]))
                    shortest = Math.Min(shortest, distance[i - 2, j - 2] + 1);
                distance[i, j] = shortest;
            }
        }

        return distance[from.Length, to.Length];
    }

    private static bool Same(char a, char b) => char.ToLowerInvariant(a) == char.ToLowerInvariant(b);
}
