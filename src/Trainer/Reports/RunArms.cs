using System.Text.RegularExpressions;

namespace Trainer.Reports;

/// <summary>Puts runs that differ in nothing but their seed together: they are one arm of a comparison and have one colour.</summary>
internal static partial class RunArms
{
    private const string Seed = "seed";

    /// <summary>The arm of each run, in their order.</summary>
    public static IReadOnlyList<string> Of(IReadOnlyList<ReportedRun> runs)
    {
        var arms = new string[runs.Count];
        var taken = new HashSet<string>(StringComparer.Ordinal);
        foreach (IGrouping<string, int> arm in Enumerable.Range(0, runs.Count).GroupBy(i => Key(runs[i], i), StringComparer.Ordinal))
        {
            string name = Name([.. arm.Select(i => runs[i].Name)]);
            if (!taken.Add(name))
                taken.Add(name = $"{name} ({runs[arm.First()].Name})");
            foreach (int i in arm)
                arms[i] = name;
        }

        return arms;
    }

    // A run without a record is an arm of its own.
    private static string Key(ReportedRun run, int index) => run.Settings.Count == 0
        ? $"{index}"
        : string.Join('\n', run.Settings.Where(setting => setting.Key != Seed).Select(setting => $"{setting.Key}={setting.Value}"));

    // What their names have in common: decay of decay-s1 and decay-s2.
    private static string Name(IReadOnlyList<string> names)
    {
        if (names.Count == 1)
            return names[0];
        int length = 0;
        while (length < names.Min(name => name.Length) && names.All(name => name[length] == names[0][length]))
            length++;
        string common = SeedEnding().Replace(names[0][..length], string.Empty);
        return $"{(common.Length > 0 ? common : names[0])} × {names.Count} seeds";
    }

    [GeneratedRegex(@"[-_. ]*(seed|s)?[-_. ]*$", RegexOptions.IgnoreCase | RegexOptions.CultureInvariant)]
    private static partial Regex SeedEnding();
}
