using System.Globalization;
using Trainer.Compute;
using Trainer.Profiling;

namespace Trainer.Cli.Profiling;

/// <summary>A part of a step on the host.</summary>
/// <param name="Name">What it is.</param>
/// <param name="Start">When it began, in seconds of the profile's clock.</param>
/// <param name="Seconds">How long it took.</param>
internal readonly record struct HostSpan(string Name, double Start, double Seconds);

/// <summary>One training step, taken apart.</summary>
/// <param name="Number">Counted from 1.</param>
/// <param name="Whole">The step on the host, until the device has done it.</param>
/// <param name="Phases">Its parts on the host, one after the other.</param>
/// <param name="Device">What the device did.</param>
/// <param name="Host">The calls that asked for it; none where they are the operations themselves.</param>
internal sealed record ProfiledStep(
    int Number, HostSpan Whole, IReadOnlyList<HostSpan> Phases, IReadOnlyList<TimedOperation> Device, IReadOnlyList<TimedOperation> Host);

/// <summary>Calls of one operation in a step.</summary>
/// <param name="Operation">Its name.</param>
/// <param name="Sizes">Its sizes, with an x between; empty where the calls have different ones, or none.</param>
/// <param name="Calls">Its calls in a step.</param>
/// <param name="Bytes">The bytes that they move at least in a step.</param>
/// <param name="Flops">Their floating-point operations in a step.</param>
/// <param name="Seconds">Their time in a step, the mean over all steps.</param>
/// <param name="MedianCall">The time of a call in seconds, the median over all calls and steps.</param>
/// <param name="FastestCall">The time of the fastest call in seconds.</param>
/// <param name="Floor">The least time in seconds that they can take in a step.</param>
/// <param name="Share">Of the time of all operations.</param>
internal sealed record OperationRow(
    string Operation, string Sizes, double Calls, double Bytes, double Flops, double Seconds, double MedianCall, double FastestCall, double Floor,
    double Share)
{
    /// <summary>How near they come to the floor: 1 at the floor, above it with operands in a cache.</summary>
    public double ShareOfFloor => Ratio(Floor, Seconds);

    /// <summary>The same of the median call alone.</summary>
    public double CallShareOfFloor => Ratio(Floor / Calls, MedianCall);

    /// <summary>The bytes per second.</summary>
    public double BytesPerSecond => Ratio(Bytes, Seconds);

    /// <summary>The floating-point operations per second.</summary>
    public double FlopsPerSecond => Ratio(Flops, Seconds);

    // What ends within the resolution of the clock has no rate.
    private static double Ratio(double amount, double seconds) => seconds > 0 ? amount / seconds : 0;
}

/// <summary>What some steps of a training run spend their time on.</summary>
/// <param name="Device">The device, for people.</param>
/// <param name="Model">The model, for people.</param>
/// <param name="TokensPerStep">The tokens of a step.</param>
/// <param name="Roofline">What the device can do at most.</param>
/// <param name="Steps">The steps, at least one.</param>
/// <param name="StepSeconds">A step until the device has done it, the median; on a device that works on its own, while nobody observes it.</param>
/// <param name="HostSeconds">The host's part of it: until everything is asked for; null where the host does the work itself.</param>
internal sealed record StepProfile(
    string Device, string Model, int TokensPerStep, Roofline Roofline, IReadOnlyList<ProfiledStep> Steps, double StepSeconds, double? HostSeconds)
{
    /// <summary>Everything together.</summary>
    public OperationRow Total => Row("all operations", [.. Steps.SelectMany(step => step.Device)]);

    /// <summary>The operations by their names, those that take the most time first.</summary>
    public IReadOnlyList<OperationRow> ByName() => Rows(operation => operation.Cost.Operation);

    /// <summary>The operations by their names, sizes and costs, those that take the most time first.</summary>
    public IReadOnlyList<OperationRow> BySize() => Rows(operation => operation.Cost);

    private IReadOnlyList<OperationRow> Rows<TKey>(Func<TimedOperation, TKey> key) =>
    [
        .. Steps.SelectMany(step => step.Device).GroupBy(key)
            .Select(group => Row(group.First().Cost.Operation, [.. group]))
            .OrderByDescending(row => row.Seconds),
    ];

    private OperationRow Row(string name, IReadOnlyList<TimedOperation> calls)
    {
        double steps = Steps.Count, all = Steps.Sum(step => step.Device.Sum(operation => operation.Seconds));
        double seconds = calls.Sum(call => call.Seconds);
        double[] sorted = [.. calls.Select(call => call.Seconds).Order()];
        return new OperationRow(name, Sizes(calls), calls.Count / steps, calls.Sum(call => call.Cost.Bytes) / steps, calls.Sum(call => call.Cost.Flops) / steps,
            seconds / steps, sorted[sorted.Length / 2], sorted[0], calls.Sum(call => Roofline.Floor(call.Cost)) / steps, seconds / all);
    }

    private static string Sizes(IReadOnlyList<TimedOperation> calls)
    {
        Shape sizes = calls[0].Cost.Sizes;
        return calls.All(call => call.Cost.Sizes == sizes)
            ? string.Join('x', Enumerable.Range(0, sizes.Rank).Select(dimension => sizes[dimension].ToString(CultureInfo.InvariantCulture)))
            : string.Empty;
    }
}
