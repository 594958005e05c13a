using System.Diagnostics;
using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;

namespace Trainer.Cpu;

/// <summary>
/// The floating-point rate that no kernel can exceed: multiply-adds on registers alone, twelve chains side by side to hide the latency of
/// each, on all threads.
/// </summary>
internal static class PeakMeasurement
{
    private const int Chains = 12;
    private const int Iterations = 1_000_000;
    private const int ItemsPerThread = 4;
    private const int Repetitions = 5;

    /// <summary>Floating-point operations per second, the best of some tries: what disturbs a measurement only slows it.</summary>
    public static double FlopsPerSecond(ThreadTeam team, CpuInstructionSet set)
    {
        double best = 0;
        for (int i = 0; i < Repetitions; i++)
            best = Math.Max(best, Measure(team, set));
        return best;
    }

    private static double Measure(ThreadTeam team, CpuInstructionSet set)
    {
        int items = team.Threads * ItemsPerThread;
        int width = set switch { CpuInstructionSet.Avx512 => Tile512.Width, CpuInstructionSet.Avx2 => Tile256.Width, _ => Tile128.Width };
        long start = Stopwatch.GetTimestamp();
        switch (set)
        {
            case CpuInstructionSet.Avx512:
                team.Run(default(Job<Tile512, Vector512<float>>), items);
                break;
            case CpuInstructionSet.Avx2:
                team.Run(default(Job<Tile256, Vector256<float>>), items);
                break;
            default:
                team.Run(default(Job<Tile128, Vector128<float>>), items);
                break;
        }

        return 2.0 * width * Chains * Iterations * items / Stopwatch.GetElapsedTime(start).TotalSeconds;
    }

    private struct Job<TSimd, TVector> : ITeamJob
        where TSimd : ITileVector<TVector>
        where TVector : struct
    {
        public readonly void Run(int item, int worker) => Chain<TSimd, TVector>(Iterations);
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization | MethodImplOptions.NoInlining)]
    private static TVector Chain<TSimd, TVector>(int iterations)
        where TSimd : ITileVector<TVector>
        where TVector : struct
    {
        // a -> a / 2 + 1 stays near 2 for ever.
        TVector half = TSimd.Create(0.5f), one = TSimd.Create(1f);
        TVector a0 = one, a1 = one, a2 = one, a3 = one, a4 = one, a5 = one, a6 = one, a7 = one, a8 = one, a9 = one, a10 = one, a11 = one;
        for (int i = 0; i < iterations; i++)
        {
            a0 = TSimd.MultiplyAdd(a0, half, one);
            a1 = TSimd.MultiplyAdd(a1, half, one);
            a2 = TSimd.MultiplyAdd(a2, half, one);
            a3 = TSimd.MultiplyAdd(a3, half, one);
            a4 = TSimd.MultiplyAdd(a4, half, one);
            a5 = TSimd.MultiplyAdd(a5, half, one);
            a6 = TSimd.MultiplyAdd(a6, half, one);
            a7 = TSimd.MultiplyAdd(a7, half, one);
            a8 = TSimd.MultiplyAdd(a8, half, one);
            a9 = TSimd.MultiplyAdd(a9, half, one);
            a10 = TSimd.MultiplyAdd(a10, half, one);
            a11 = TSimd.MultiplyAdd(a11, half, one);
        }

        var sum = TSimd.Add(TSimd.Add(TSimd.Add(a0, a1), TSimd.Add(a2, a3)), TSimd.Add(TSimd.Add(a4, a5), TSimd.Add(a6, a7)));
        return TSimd.Add(sum, TSimd.Add(TSimd.Add(a8, a9), TSimd.Add(a10, a11)));
    }
}
