using System.Numerics;
using static Trainer.Cuda.Kernels.KernelLaunch;

namespace Trainer.Cuda.Kernels;

/// <summary>Launches of <c>cuda/embedding.cu</c>. R = B·T rows; C channels, a multiple of 8.</summary>
internal static class EmbeddingKernels
{
    private const int PackBytes = 16;
    private const int Threads = 256;
    private const int SortThreads = 1024;
    private const int Chunk = 32;
    private const int ChunksPerBlock = 4;
    private const int Slab = 128;
    private const int BitsPerPass = 8;

    /// <summary><c>embedding_forward(out, tokens, tokenTable, positionTable, R, T, C)</c>.</summary>
    /// <param name="batch">B.</param>
    /// <param name="length">T.</param>
    /// <param name="channels">C.</param>
    /// <param name="distinctTokens">How many different tokens there are, at most R: so many rows of the table are read.</param>
    /// <param name="type">What the tables and the output are made of.</param>
    public static KernelLaunch Forward(int batch, int length, int channels, int distinctTokens, KernelType type = KernelType.Bf16)
    {
        Check(channels);
        long rows = (long)batch * length;
        return new(type.NameOf("embedding_forward"), new(Blocks(rows * channels * type.Bytes() / PackBytes, Threads)), new(Threads), 0,
            (4 * rows) + (type.Bytes() * channels * (rows + distinctTokens + length)), rows * channels);
    }

    /// <summary><c>embedding_backward_positions(dPositionTable, dout, B, T, C)</c>.</summary>
    public static KernelLaunch BackwardPositions(int batch, int length, int channels, KernelType type = KernelType.Bf16)
    {
        Check(channels);
        return new(type.NameOf("embedding_backward_positions"), new(Blocks((long)length * channels / 4, Threads)), new(Threads), 0,
            ((type.Bytes() * (long)batch) + 8) * length * channels, (long)batch * length * channels);
    }

    /// <summary>
    /// <c>embedding_sort_tokens(sorted, scratch, tokens, R, passes)</c>, with <see cref="SortPasses"/>; sorted and scratch hold R pairs of
    /// whole numbers.
    /// </summary>
    public static KernelLaunch SortTokens(int rows, int vocabulary) =>
        new("embedding_sort_tokens", new(1), new(SortThreads), 0, (4L * rows) + (16L * rows * SortPasses(vocabulary)), 0);

    /// <summary>The passes of the sort, 8 bits each, that tell tokens below <paramref name="vocabulary"/> apart.</summary>
    public static int SortPasses(int vocabulary) => Math.Max(1, (BitOperations.Log2((uint)Math.Max(vocabulary - 1, 1)) / BitsPerPass) + 1);

    /// <summary><c>embedding_backward_tokens(dTokenTable, parts, dout, sorted, R, C)</c>; parts holds <see cref="PartCount"/> floats.</summary>
    public static KernelLaunch BackwardTokens(int rows, int channels, int distinctTokens, KernelType type = KernelType.Bf16) =>
        new(type.NameOf("embedding_backward_tokens"), ChunkGrid(rows, channels), new(32 * ChunksPerBlock), 0,
            ((long)type.Bytes() * rows * channels) + (8L * rows) + (8L * channels * distinctTokens), (long)rows * channels);

    /// <summary><c>embedding_backward_tokens_finish(dTokenTable, parts, sorted, R, C)</c>.</summary>
    public static KernelLaunch BackwardTokensFinish(int rows, int channels) =>
        new("embedding_backward_tokens_finish", ChunkGrid(rows, channels), new(32 * ChunksPerBlock), 0, 8L * rows, 0);

    /// <summary>The floats of scratch memory between the two kernels of the tokens' gradient.</summary>
    public static long PartCount(int rows, int channels) => 2L * Blocks(rows, Chunk) * channels;

    private static Dim3 ChunkGrid(int rows, int channels)
    {
        Check(channels);
        return new(Blocks(Blocks(rows, Chunk), ChunksPerBlock), Blocks(channels, Slab));
    }

    private static void Check(int channels)
    {
        if (channels <= 0 || channels % 8 != 0)
            throw new ArgumentOutOfRangeException(nameof(channels), channels, "must be a multiple of 8");
    }
}
