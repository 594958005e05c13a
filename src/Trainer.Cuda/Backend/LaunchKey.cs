namespace Trainer.Cuda;

/// <summary>What a prepared kernel is found by: an operation and up to four sizes.</summary>
internal readonly record struct LaunchKey(LaunchOperation Operation, int A, int B = 0, int C = 0, int D = 0)
{
    /// <summary>The key of an operation over so many elements, in two of the sizes.</summary>
    public static LaunchKey OfCount(LaunchOperation operation, long count) => new(operation, (int)(count >> 32), (int)count);

    /// <summary>The elements of <see cref="OfCount"/>.</summary>
    public long Count => ((long)A << 32) | (uint)B;
}
