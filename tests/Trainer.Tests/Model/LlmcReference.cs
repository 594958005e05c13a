using System.Buffers.Binary;
using Trainer.Model;

namespace Trainer.Tests.Model;

/// <summary>
/// A tiny model and token shard made by integer arithmetic, so that llm.c and this project can be given the very same files, and what llm.c
/// computes from them.
/// </summary>
/// <remarks>
/// The figures were recorded on 2026-11-22 from llm.c's train_gpt2.c (commit f1e2ace6, gcc 12.2), changed only in its main (files, sizes and
/// rate from the command line, an unshuffled loader) and compiled with every float a double, so that they are exact to all digits given;
/// the unchanged float build differs from them by at most 1.4e-6. Constant rate 1e-3, beta2 0.999, no decay, no clipping.
/// </remarks>
internal sealed record LlmcReference(ModelConfig Config, int B, int T, double[] Losses, double[] GradientNorms)
{
    public const double LearningRate = 1e-3;
    public const int Tokens = 4096;

    /// <summary>The names of <see cref="GradientNorms"/>: llm.c's sixteen tensors, each over all layers.</summary>
    public static readonly string[] TensorNames =
        ["wte", "wpe", "ln_1.weight", "ln_1.bias", "attn.c_attn.weight", "attn.c_attn.bias", "attn.c_proj.weight", "attn.c_proj.bias",
            "ln_2.weight", "ln_2.bias", "mlp.c_fc.weight", "mlp.c_fc.bias", "mlp.c_proj.weight", "mlp.c_proj.bias", "ln_f.weight", "ln_f.bias"];

    public static readonly LlmcReference TwoHeads = new(
        new ModelConfig(Layers: 2, Heads: 2, Channels: 32, SequenceLength: 32, Vocabulary: 300), B: 4, T: 16,
        [5.75496573736, 5.70273047453, 5.73098056887, 5.68622429902, 5.66516401942, 5.73588700335, 5.69426612574, 5.69464571328, 5.68452354794, 5.68508455153],
        [0.84437264687, 0.327048925726, 0.00756750951198, 0.00964319304063, 0.236270879469, 0.0606691650941, 0.257822882191, 0.408187254268,
            0.00943398113025, 0.00983708696616, 0.351428912933, 0.0591990940555, 0.360029156188, 0.371949560577, 0.0313344541677, 0.0225531769066]);

    public static readonly LlmcReference ThreeHeads = new(
        new ModelConfig(Layers: 3, Heads: 3, Channels: 48, SequenceLength: 24, Vocabulary: 300), B: 2, T: 24,
        [5.77075168679, 5.71350421916, 5.72868989030, 5.75558300660, 5.72815422551, 5.65401637171, 5.74597391316, 5.80033399593, 5.65728766751, 5.65750287687],
        [1.17566528596, 0.385766422398, 0.0147673307066, 0.0211330232694, 0.489433567528, 0.104266560812, 0.585962207707, 0.611543714017,
            0.0236541872062, 0.023547212644, 0.748008290565, 0.113637189147, 0.747924468285, 0.52418047381, 0.0385825187495, 0.0335902935003]);

    public string Sha256 => Config.Layers == 2
        ? "9153bbe2c5671112c578a0594a477b088a26e7a66d72411129208fed611c7d75"
        : "a64b84711154e8ef7650325bb3eeed64238e13809d4c85a895febc099128175c";

    public static string ShardSha256 => "7fd37effdc30415c34d647b9b9249c21f54a8a3d317a986b02c27c26fbf9f0cb";

    /// <summary>The bytes of the model file.</summary>
    public byte[] ModelFile()
    {
        var layout = new ParameterLayout(Config);
        byte[] file = Header(20240326, 3, Config.SequenceLength, Config.Vocabulary, Config.Layers, Config.Heads, Config.Channels, Config.PaddedVocabulary);
        Array.Resize(ref file, file.Length + (int)(layout.Count * sizeof(float)));
        foreach (var tensor in layout.Tensors)
        {
            bool gain = tensor.Kind == ParameterKind.LayerNorm && tensor.Name.EndsWith(".weight", StringComparison.Ordinal);
            for (long i = tensor.Segment.Offset; i < tensor.Segment.Offset + tensor.Segment.Count; i++)
            {
                float value = (((Mixed((ulong)i) >> 40) / 16777216.0f) - 0.5f) * 0.1f;
                BinaryPrimitives.WriteSingleLittleEndian(file.AsSpan(1024 + (int)(i * sizeof(float))), gain ? 1.0f + value : value);
            }
        }

        return file;
    }

    /// <summary>The bytes of the token shard: three tokens of four follow from the one before.</summary>
    public static byte[] Shard()
    {
        byte[] file = Header(20240520, 1, Tokens);
        Array.Resize(ref file, file.Length + (Tokens * sizeof(ushort)));
        int token = 0;
        for (int i = 0; i < Tokens; i++)
        {
            token = i % 4 == 0 ? (int)((Mixed((ulong)i + 1000000007) >> 33) % 300) : ((7 * token) + 13) % 300;
            BinaryPrimitives.WriteUInt16LittleEndian(file.AsSpan(1024 + (i * sizeof(ushort))), (ushort)token);
        }

        return file;
    }

    private static byte[] Header(params ReadOnlySpan<int> values)
    {
        var header = new byte[1024];
        for (int i = 0; i < values.Length; i++)
            BinaryPrimitives.WriteInt32LittleEndian(header.AsSpan(i * sizeof(int)), values[i]);
        return header;
    }

    private static ulong Mixed(ulong i)
    {
        ulong z = (i * 0x9E3779B97F4A7C15) + 0x2545F4914F6CDD1D;
        z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9;
        z = (z ^ (z >> 27)) * 0x94D049BB133111EB;
        return z ^ (z >> 31);
    }
}
