using Trainer.Compute;

namespace Trainer.Model;

/// <summary>
/// GPT-2's initialisation: weights and embeddings normal with standard deviation 0.02, the two projections into the residual stream with
/// 0.02 / √(2L), gains 1, biases 0. The padding rows of the token embedding are 0 and stay so, since no gradient reaches them.
/// </summary>
public static class ParameterInitializer
{
    /// <summary>The standard deviation of GPT-2's weights.</summary>
    public const double StandardDeviation = 0.02;

    private const ulong Stream = 0x696E6974;
    private const int ChunkElements = 1 << 20;
    private const int PartElements = 1 << 15;

    /// <summary>Fills the parameters. The values depend on the seed and each parameter's place alone, not on device or threads.</summary>
    /// <param name="backend">Where the parameters are.</param>
    /// <param name="layout">What they are.</param>
    /// <param name="parameters">All of them, overwritten.</param>
    /// <param name="seed">The seed of the run.</param>
    /// <param name="standardDeviation">What takes the place of GPT-2's 0.02.</param>
    public static void Initialize(IBackend backend, ParameterLayout layout, Tensor parameters, ulong seed, double standardDeviation = StandardDeviation)
    {
        ArgumentNullException.ThrowIfNull(backend);
        ArgumentNullException.ThrowIfNull(layout);
        var random = new CounterRandom(seed, Stream);
        var chunk = new float[ChunkElements];
        foreach (var tensor in layout.Tensors)
        {
            double deviation = StandardDeviationOf(tensor, layout.Config, standardDeviation);
            float constant = tensor.Kind == ParameterKind.LayerNorm && tensor.Name.EndsWith(".weight", StringComparison.Ordinal) ? 1f : 0f;
            long real = tensor.Kind == ParameterKind.TokenEmbedding ? (long)layout.Config.Vocabulary * layout.Config.Channels : tensor.Segment.Count;
            for (long done = 0; done < tensor.Segment.Count; done += ChunkElements)
            {
                int count = (int)Math.Min(ChunkElements, tensor.Segment.Count - done);
                long first = tensor.Segment.Offset + done;
                if (deviation > 0)
                    FillNormal(chunk, count, random, first, deviation);
                else
                    chunk.AsSpan(0, count).Fill(constant);
                int realInChunk = (int)Math.Clamp(real - done, 0, count);
                chunk.AsSpan(realInChunk, count - realInChunk).Clear();
                backend.UploadFloats(chunk.AsSpan(0, count), parameters.Slice(first, new Shape(count)));
            }
        }
    }

    private static double StandardDeviationOf(ParameterTensor tensor, ModelConfig config, double deviation) => tensor.Kind switch
    {
        ParameterKind.TokenEmbedding or ParameterKind.PositionEmbedding => deviation,
        ParameterKind.Matrix when tensor.Name.EndsWith(".c_proj.weight", StringComparison.Ordinal) => deviation / Math.Sqrt(2.0 * config.Layers),
        ParameterKind.Matrix => deviation,
        _ => 0,
    };

    private static void FillNormal(float[] destination, int count, CounterRandom random, long first, double deviation) =>
        Parallel.For(0, (count + PartElements - 1) / PartElements, part =>
        {
            int end = Math.Min(count, (part + 1) * PartElements);
            for (int i = part * PartElements; i < end; i++)
                destination[i] = (float)(deviation * random.Normal((ulong)(first + i)));
        });
}
