using System.Diagnostics;

namespace Trainer.Cli.Benchmarks;

/// <summary>How a piece of work is timed: a warm-up first, then the median, which one disturbance does not move.</summary>
internal static class Timing
{
    private static readonly TimeSpan WarmUp = TimeSpan.FromMilliseconds(50);

    /// <summary>The median time of the work in seconds.</summary>
    /// <param name="repetitions">How often it is timed.</param>
    /// <param name="work">The work; it has ended when it returns.</param>
    /// <param name="stop">Ends the benchmark between repetitions.</param>
    public static double Median(int repetitions, Action work, CancellationToken stop)
    {
        // First calls are compiled, touch new memory and find the processor at a low clock.
        long begin = Stopwatch.GetTimestamp();
        do
        {
            stop.ThrowIfCancellationRequested();
            work();
        }
        while (Stopwatch.GetElapsedTime(begin) < WarmUp);

        var seconds = new double[repetitions];
        for (int i = 0; i < repetitions; i++)
        {
            stop.ThrowIfCancellationRequested();
            long start = Stopwatch.GetTimestamp();
            work();
            seconds[i] = Stopwatch.GetElapsedTime(start).TotalSeconds;
        }

        Array.Sort(seconds);
        return seconds[repetitions / 2];
    }
}
