namespace Trainer.Cuda.Kernels;

/// <summary>Launches of <c>cuda/optimizer.cu</c>, <c>cuda/regularizer.cu</c> and <c>cuda/sums.cu</c>: everything after the backward pass.</summary>
/// <remarks>
/// A step is <see cref="SquareSums"/> of the gradients, <see cref="SumChunks"/>, <see cref="BeforeStep"/>, <see cref="AdamUpdate"/> or
/// <see cref="SgdUpdate"/>, <see cref="SumChunks"/>, <see cref="AfterStep"/>, and where a unit <see cref="RegularizedUnit.FollowsPass"/>,
/// <see cref="ScaleWeights"/>.
/// </remarks>
internal static class OptimizerKernels
{
    /// <summary>The sums that the pass leaves for each chunk: squares of the new weights and of the update.</summary>
    public const int UpdateQuantities = 2;

    /// <summary>The sums of <see cref="PairSums"/>: a·a, b·b, a·b, (a - b)², (a - b)(a + b).</summary>
    public const int PairQuantities = 5;

    private const int Threads = 256;
    private const int MeanThreads = 1024;

    /// <summary>
    /// <c>adam_update(master, weights, first, second, gradients, partial, tensors, N, factors, scalars, rounding)</c>; partial holds
    /// <see cref="UpdateQuantities"/> doubles for each chunk.
    /// </summary>
    /// <param name="table">The tensors.</param>
    /// <param name="master">Whether there are fp32 master weights.</param>
    /// <param name="copy">Whether there are bf16 weights.</param>
    public static KernelLaunch AdamUpdate(TensorTable table, bool master = true, bool copy = true) =>
        Update("adam_update", table, 20 + WeightBytes(master, copy), 19);

    /// <summary><c>sgd_update(master, weights, momentum, gradients, partial, tensors, N, factors, scalars, rounding)</c>.</summary>
    public static KernelLaunch SgdUpdate(TensorTable table, bool master = true, bool copy = true) =>
        Update("sgd_update", table, 12 + WeightBytes(master, copy), 11);

    /// <summary><c>scale_weights(master, weights, tensors, N, factors, scalars, rounding)</c>; costs what the tensors of units cost.</summary>
    public static KernelLaunch ScaleWeights(TensorTable table, bool master = true, bool copy = true) =>
        new("scale_weights", new(table.Chunks), new(Threads), 0, table.UnitElements * WeightBytes(master, copy), table.UnitElements);

    /// <summary><c>square_sums(partial, values, tensors, N)</c>; partial holds a double for each chunk.</summary>
    public static KernelLaunch SquareSums(TensorTable table) =>
        new("square_sums", new(table.Chunks), new(Threads), 0, (4 * table.Elements) + (8L * table.Chunks), 2 * table.Elements);

    /// <summary><c>pair_sums(partial, a, b, tensors, N)</c>; partial holds <see cref="PairQuantities"/> doubles for each chunk.</summary>
    public static KernelLaunch PairSums(TensorTable table) =>
        new("pair_sums", new(table.Chunks), new(Threads), 0, (8 * table.Elements) + (8L * PairQuantities * table.Chunks), 12 * table.Elements);

    /// <summary><c>sum_chunks(sums, partial, tensors, quantities)</c>; sums holds as many doubles for each tensor.</summary>
    public static KernelLaunch SumChunks(TensorTable table, int quantities) =>
        new("sum_chunks", new(table.Spans.Length), new(Threads), 0, 8L * quantities * (table.Chunks + table.Spans.Length), (long)quantities * table.Chunks);

    /// <summary><c>before_step(scalars, factors, units, U, input, tensors, N, gradientSums, loss)</c>.</summary>
    public static KernelLaunch BeforeStep(TensorTable table) => Single("before_step", table, 64);

    /// <summary>
    /// <c>after_step(scalars, scales, weightSums, units, U, input, tensors, N, passSums)</c>; scales and weightSums hold a number for each tensor,
    /// passSums <see cref="UpdateQuantities"/>.
    /// </summary>
    public static KernelLaunch AfterStep(TensorTable table) => Single("after_step", table, 72);

    /// <summary><c>angles(out, sums, N)</c> of <see cref="PairSums"/>: cosine and angle of each tensor.</summary>
    public static KernelLaunch Angles(TensorTable table) => Single("angles", table, 56);

    /// <summary><c>mean(out, values, count, scale, accumulate)</c>.</summary>
    public static KernelLaunch Mean(int count) => new("mean", new(1), new(MeanThreads), 0, (4L * count) + 8, count);

    private static int WeightBytes(bool master, bool copy) => (master ? 8 : 0) + (copy ? master ? 2 : 4 : 0);

    private static KernelLaunch Update(string kernel, TensorTable table, int bytes, int flops) =>
        new(kernel, new(table.Chunks), new(Threads), 0, (table.Elements * bytes) + (8L * UpdateQuantities * table.Chunks), table.Elements * flops);

    private static KernelLaunch Single(string kernel, TensorTable table, int bytes) =>
        new(kernel, new(1), new(Threads), 0, (long)bytes * table.Spans.Length, 0);
}
