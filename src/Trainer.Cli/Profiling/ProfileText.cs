using System.Globalization;

namespace Trainer.Cli.Profiling;

/// <summary>A profile as people read it.</summary>
internal static class ProfileText
{
    // From here on the arithmetic of a device is read in TFLOP/s.
    private const double Teraflop = 1e12;

    private static readonly string[] LaunchHeadings = ["kernel", "of", "launches", "MB", "GFLOP", "us", "floor, us", "of floor", "ms/step"];

    /// <summary>The roofline table of <c>trainer profile</c>: the operations of a step by their names.</summary>
    public static string Operations(StepProfile profile)
    {
        var (unit, divisor) = FlopsUnit(profile);
        var rows = new List<IReadOnlyList<string>> { new[] { "operation", "calls", "ms/step", "share", "GB/s", unit, "floor, ms", "of floor" } };
        IReadOnlyList<OperationRow> operations = profile.ByName();
        rows.AddRange(operations.Append(profile.Total).Select(row => new[]
        {
            row.Operation, Calls(row.Calls), N(1e3 * row.Seconds, 3), Percent(row.Share), Rate(row.BytesPerSecond, 1e9), Rate(row.FlopsPerSecond, divisor),
            N(1e3 * row.Floor, 3), Percent(row.ShareOfFloor),
        }));
        rows.Add(Line("step", profile.StepSeconds));
        if (profile.HostSeconds is { } host)
            rows.Add(Line("host, launching it", host));
        return $"{Head(profile)}\n\n{TextTable.Text(rows)}{Notes(profile, operations)}";

        static IReadOnlyList<string> Line(string name, double seconds) => [name, "", N(1e3 * seconds, 3), "", "", "", "", ""];
    }

    /// <summary>The table of <c>trainer bench kernels</c>: the launches of a step by their names and sizes, each as it is alone.</summary>
    public static string Launches(StepProfile profile)
    {
        IReadOnlyList<OperationRow> launches = profile.BySize();
        var rows = new List<IReadOnlyList<string>> { LaunchHeadings };
        rows.AddRange(launches.Select(row => new[]
        {
            row.Operation, row.Sizes, Calls(row.Calls), N(row.Bytes / row.Calls / 1e6, 2), row.Flops == 0 ? "" : N(row.Flops / row.Calls / 1e9, 3),
            N(1e6 * row.MedianCall, 1), N(1e6 * row.Floor / row.Calls, 1), Percent(row.CallShareOfFloor), N(1e3 * row.Seconds, 3),
        }));
        OperationRow total = profile.Total;
        rows.Add([total.Operation, "", Calls(total.Calls), "", "", "", "", Percent(total.ShareOfFloor), N(1e3 * total.Seconds, 3)]);
        return $"{Head(profile)}\n\n{TextTable.Text(rows)}{Notes(profile, launches)}";
    }

    private static string Head(StepProfile profile)
    {
        var (unit, divisor) = FlopsUnit(profile);
        string bytes = N(profile.Roofline.BytesPerSecond / 1e9, 1), flops = N(profile.Roofline.FlopsPerSecond / divisor, 1);
        return $"device    {profile.Device}\nmodel     {profile.Model}\nroofline  {bytes} GB/s by copying, {flops} {unit} by multiply-adds, measured now";
    }

    private static string Notes(StepProfile profile, IReadOnlyList<OperationRow> rows)
    {
        string notes = string.Empty;
        if (rows.Any(row => row.ShareOfFloor > 1))
            notes += "\n\nAbove 100 % of the floor: operands came from a cache, or the roofline was measured too low.";
        if (profile.HostSeconds > profile.Total.Seconds)
            notes += "\n\nThe host takes longer to launch a step than the device to do it: the times of short kernels contain waiting.";
        return notes;
    }

    private static (string Unit, double Divisor) FlopsUnit(StepProfile profile) =>
        profile.Roofline.FlopsPerSecond >= Teraflop ? ("TFLOP/s", 1e12) : ("GFLOP/s", 1e9);

    private static string Calls(double calls) => N(calls, calls == Math.Floor(calls) ? 0 : 1);

    private static string Rate(double perSecond, double divisor) => perSecond == 0 ? string.Empty : N(perSecond / divisor, 1);

    private static string Percent(double share) => N(100 * share, 1) + " %";

    private static string N(double value, int decimals) => value.ToString($"N{decimals}", CultureInfo.InvariantCulture);
}
