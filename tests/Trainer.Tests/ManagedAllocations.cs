namespace Trainer.Tests;

/// <summary>What some work allocates on the managed heap, on the calling thread.</summary>
internal static class ManagedAllocations
{
    /// <summary>
    /// The fewest bytes of several attempts. The runtime itself may allocate once on any thread, when it replaces code or a lock is first contended; work
    /// that allocates does so every time.
    /// </summary>
    public static long Fewest(Action work)
    {
        long fewest = long.MaxValue;
        for (int attempt = 0; attempt < 5 && fewest > 0; attempt++)
        {
            long before = GC.GetAllocatedBytesForCurrentThread();
            for (int i = 0; i < 5; i++)
                work();
            fewest = Math.Min(fewest, GC.GetAllocatedBytesForCurrentThread() - before);
        }

        return fewest;
    }
}
