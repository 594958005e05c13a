using Trainer.Cli.Profiling;
using Trainer.Compute;
using Trainer.Profiling;

namespace Trainer.Tests.Cli;

/// <summary>A profile whose times are given: two steps of a device that copies 10 GB/s and does 100 GFLOP/s.</summary>
internal static class RecordedProfile
{
    public static readonly OperationCost Large = new("product, large", new Shape(64, 32, 16), 8_000_000, 400_000_000);
    public static readonly OperationCost Small = new("product", new Shape(64, 8, 16), 2_000_000, 100_000_000);
    public static readonly OperationCost Copy = new("copy", default, 20_000_000, 0);

    /// <param name="host">The host's part of a step in seconds; null where the host does the work itself.</param>
    public static StepProfile Create(double? host = null) => new("device", "L1", 64, new Roofline(10e9, 100e9),
        [Step(1, 0, slower: 1, host is not null), Step(2, 0.1, slower: 2, host is not null)], StepSeconds: 0.025, host);

    // Floors are 4 ms, 1 ms and 2 ms.
    private static ProfiledStep Step(int number, double start, int slower, bool hasHost)
    {
        TimedOperation[] device =
        [
            new(Large, start + 0.001, 0.008 * slower), new(Small, start + 0.018, 0.001), new(Small, start + 0.019, 0.001), new(Copy, start + 0.0200001, 0.003),
        ];
        HostSpan whole = new("step", start, 0.025);
        HostSpan[] phases = [new("forward and backward", start, 0.0195), new("optimizer", start + 0.0195, 0.0025), new("wait", start + 0.022, 0.003)];
        TimedOperation[] host = hasHost ? [new(new OperationCost("LinearForward", Large.Sizes, 1, 1), start + 0.0005, 0.0001)] : [];
        return new ProfiledStep(number, whole, phases, device, host);
    }
}
