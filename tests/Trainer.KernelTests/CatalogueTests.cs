using System.Globalization;
using System.Text;
using System.Text.RegularExpressions;
using Trainer.Cuda;
using Trainer.Cuda.Kernels;
using Trainer.Cuda.Optimizer;
using Trainer.Model;
using Trainer.Optimization;

namespace Trainer.KernelTests;

/// <summary>
/// The table in cuda/README.md: what each kernel costs at least in a training step of GPT-2 124M with B = 64, T = 1024 on an H200, and what is
/// aimed at. It is computed here from the launches, so that it says what the code does; a test fails, and shows the new table, when the two differ.
/// </summary>
internal sealed class CatalogueTests
{
    private const int B = 64, T = 1024, Rows = B * T, L = 12, Heads = 12, C = 768, V = 50257, Vp = 50304;
    private const int Multiprocessors = 132, SharedLimit = 227 << 10;

    // Measured on an H200: a copy within device memory, and bf16 products of random numbers.
    private const double BytesPerSecond = 4.3e12, FlopsPerSecond = 790e12;

    private const string Copy = "85 % of copy", Product = "80 % of cuBLASLt";

    private const string Begin = "<!-- table -->\n", End = "<!-- end of table -->";

    private static readonly AttentionShape Attention = new(B, T, Heads, C / Heads);

    // The same operations for other devices, head sizes, or training rules.
    private static readonly string[] Others =
    [
        "gemm_forward_mma", "gemm_forward_gelu_mma", "gemm_backward_input_mma", "gemm_backward_input_dgelu_mma", "gemm_backward_weight_mma",
        .. FloatProducts("f32"), .. FloatProducts("tf32"),
        "attention_forward_hs64", "attention_backward_kv_hs64", "attention_backward_q_hs64",
        "sgd_update", "pair_sums", "angles", "cast_to_bf16", "cast_to_float", "fill", "update_average",
        "gelu_forward", "gelu_forward_f32", "bias_gradient", "bias_gradient_reduce", "compare",
        .. Widths("gemm_forward_wgmma"), .. Widths("gemm_forward_gelu_wgmma"), .. Widths("gemm_backward_input_wgmma"),
        .. Widths("gemm_backward_input_dgelu_wgmma"), .. Widths("gemm_backward_weight_wgmma"),
        "attention_forward_hs128", "attention_backward_stats_hs128", "attention_backward_kv_hs128", "attention_backward_q_hs128",
        "attention_forward_wgmma_hs128", "attention_backward_kv_wgmma_hs128", "attention_backward_q_wgmma_hs128",
        .. Single("embedding_forward", "embedding_backward_positions", "embedding_backward_tokens", "layernorm_forward", "residual_layernorm_forward",
            "layernorm_backward", "softmax_cross_entropy", "attention_backward_stats_generic", "bias_gradient", "compare"),
        "attention_backward_stats_generic", .. Generic("attention_forward"), .. Generic("attention_backward_kv"), .. Generic("attention_backward_q"),
    ];

    [Test]
    public void The_table_is_what_the_launches_say()
    {
        string readme = File.ReadAllText(Readme()).ReplaceLineEndings("\n"), expected = Table();
        int from = readme.IndexOf(Begin, StringComparison.Ordinal) + Begin.Length, to = readme.IndexOf(End, StringComparison.Ordinal);
        Assert.That(readme[from..to], Is.EqualTo(expected), $"the table of cuda/README.md should be:\n{expected}");
    }

    [Test]
    public void Every_kernel_is_known_to_the_catalogue()
    {
        if (Simulator.Missing is { } reason)
            Assert.Ignore(reason);
        var compiled = Simulator.Kernels().Where(kernel => !kernel.StartsWith("selftest_", StringComparison.Ordinal));
        Assert.That(compiled, Is.EquivalentTo(AllEntries().Select(entry => entry.Launch.Kernel).Concat(Others).Distinct()));
    }

    [Test]
    public void No_block_has_more_threads_than_its_kernel_was_compiled_for()
    {
        var modules = PtxModules.All();
        if (modules.Count == 0)
            Assert.Ignore("the kernels were not compiled to PTX; ./build.sh --target=Kernels does it or says what it needs");
        var bounds = modules.SelectMany(module => Regex.Matches(module.Text, @"\.entry (\w+)\([^{]*\.maxntid (\d+)"))
            .ToDictionary(match => match.Groups[1].Value, match => int.Parse(match.Groups[2].Value, CultureInfo.InvariantCulture));
        foreach (var launch in AllEntries().Select(entry => entry.Launch))
        {
            Assert.That(bounds, Does.ContainKey(launch.Kernel));
            Assert.That(launch.Block.X, Is.LessThanOrEqualTo(bounds[launch.Kernel]), launch.Kernel);
        }
    }

    private static IEnumerable<Entry> AllEntries() => Entries().Concat(NormControlEntries());

    // What a step of AdamWN has besides, when the factor follows from the norm after the gradient step.
    private static IEnumerable<Entry> NormControlEntries()
    {
        yield return new(OptimizerKernels.ScaleWeights(Tensors(new() { Kind = RegularizerKind.NormControl, NormTarget = 1 })), 1, Copy, "AdamWN, order post");
    }

    private static IEnumerable<Entry> Entries()
    {
        const string copy = Copy, reduce = "launch";
        yield return new(EmbeddingKernels.Forward(B, T, C, V), 1, copy);
        yield return new(LayerNormKernels.Forward(Rows, C), 1, copy);
        yield return new(LayerNormKernels.ResidualForward(Rows, C), 2 * L, copy);
        yield return Forward("queries, keys, values", 3 * C, C, L, bias: true);
        yield return new(AttentionWgmmaKernels.Forward(Attention), L, $"280 TFLOP/s, {Microseconds(Attention.CausalFlops(2) / 280e12)} us");
        yield return Forward("attention projection", C, C, L, bias: true);
        yield return new(GemmWgmmaKernels.ForwardGelu(Rows, 4 * C, C, Width(4 * C, C), Multiprocessors, bias: true), L, Product, "MLP");
        yield return Forward("MLP projection", C, 4 * C, L, bias: true);
        yield return Forward("classifier", Vp, C, 1, bias: false);
        yield return new(ClassifierKernels.SoftmaxCrossEntropy(Rows, V, Vp, SharedLimit), 1, copy);
        yield return new(OptimizerKernels.Mean(Rows), 1, reduce);

        foreach (var entry in Linear("classifier", Vp, C, 1, bias: false)
            .Concat(Linear("MLP projection", C, 4 * C, L, bias: true, dgelu: true)).Concat(Linear("MLP", 4 * C, C, L, bias: true))
            .Concat(Linear("attention projection", C, C, L, bias: true)))
            yield return entry;
        string backward = $"200 TFLOP/s together, {Microseconds(Attention.CausalFlops(5) / 200e12)} us";
        yield return new(AttentionKernels.BackwardStats(Attention), L, backward);
        yield return new(AttentionWgmmaKernels.BackwardKv(Attention), L, backward);
        yield return new(AttentionWgmmaKernels.BackwardQ(Attention), L, backward);
        foreach (var entry in Linear("queries, keys, values", 3 * C, C, L, bias: true))
            yield return entry;
        yield return new(LayerNormKernels.Backward(Rows, C), (2 * L) + 1, copy);
        yield return new(LayerNormKernels.BackwardReduce(Rows, C), (2 * L) + 1, reduce);
        yield return new(EmbeddingKernels.SortTokens(Rows, V), 1, "one block");
        yield return new(EmbeddingKernels.BackwardTokens(Rows, C, 12_000), 1, copy);
        yield return new(EmbeddingKernels.BackwardTokensFinish(Rows, C), 1, reduce);
        yield return new(EmbeddingKernels.BackwardPositions(B, T, C), 1, copy);

        var table = Tensors(new());
        yield return new(OptimizerKernels.SquareSums(table), 1, copy);
        yield return new(OptimizerKernels.SumChunks(table, OptimizerKernels.UpdateQuantities), 2, reduce);
        yield return new(OptimizerKernels.BeforeStep(table), 1, reduce);
        yield return new(OptimizerKernels.AdamUpdate(table), 1, "88 % of copy");
        yield return new(OptimizerKernels.AfterStep(table), 1, reduce);

        // A layer from k to n channels.
        static Entry Forward(string layer, int n, int k, int launches, bool bias) =>
            new(GemmWgmmaKernels.Forward(Rows, n, k, Width(n, k), Multiprocessors, bias), launches, Product, layer);
        static IEnumerable<Entry> Linear(string layer, int n, int k, int launches, bool bias, bool dgelu = false)
        {
            int width = Width(k, n);
            var input = dgelu
                ? GemmWgmmaKernels.BackwardInputDGelu(Rows, n, k, width, Multiprocessors)
                : GemmWgmmaKernels.BackwardInput(Rows, n, k, width, Multiprocessors);
            yield return new(input, launches, Product, layer);
            var plan = GemmWgmmaKernels.WeightPlan(Rows, n, k, Multiprocessors);
            yield return new(GemmWgmmaKernels.BackwardWeight(Rows, n, k, plan, Multiprocessors, bias, accumulate: false), launches, Product, layer);
            if (plan.Splits > 1)
                yield return new(GemmKernels.ReduceSplits(n, k, plan.Splits, bias, accumulate: false), launches, reduce, layer);
        }
    }

    private static TensorTable Tensors(RegularizerOptions rule)
    {
        var layout = new ParameterLayout(new ModelConfig(L, Heads, C, T, V) { PaddedVocabulary = Vp });
        double[] sums = [.. Enumerable.Repeat(1.0, layout.Tensors.Count)];
        return new TensorTable(layout.Segments, RegularizedUnits.From(new() { Regularizer = rule }, layout, sums, sums, []).UnitOfSegment);
    }

    private static int Width(int width, int depth) => GemmWgmmaKernels.Width(Rows, width, depth, Multiprocessors);

    private static IEnumerable<string> Widths(string kernel) => GemmWgmmaKernels.Widths.ToArray().Select(width => $"{kernel}_{width}");

    private static IEnumerable<string> Generic(string kernel)
    {
        string[] sizes = [.. new[] { 32, 64, 128 }.Select(size => $"{kernel}_generic_hs{size}")];
        return [.. sizes, .. Single(sizes)];
    }

    private static IEnumerable<string> FloatProducts(string suffix) =>
        new[] { "forward", "forward_gelu", "backward_input", "backward_input_dgelu", "backward_weight" }.Select(product => $"gemm_{product}_{suffix}");

    // The versions for fp32.
    private static IEnumerable<string> Single(params string[] kernels) => kernels.Select(kernel => KernelType.Float.NameOf(kernel));

    private static string Table()
    {
        var text = new StringBuilder("| kernel | of | launches | blocks | threads | shared, KiB | MB | GFLOP | floor, us | all, ms | aim |\n"
            + "|---|---|---:|---:|---:|---:|---:|---:|---:|---:|---|\n");
        double step = 0;
        Add(Entries(), "a step");
        Add(NormControlEntries(), "a step of AdamWN, order post");
        return text.ToString();

        void Add(IEnumerable<Entry> entries, string total)
        {
            foreach (var (launch, launches, aim, of) in entries)
            {
                double floor = Floor(launch), all = launches * floor * 1e3;
                step += all;
                string flops = OnTensorCores(launch) ? (launch.Flops / 1e9).ToString("N1", CultureInfo.InvariantCulture) : "";
                long blocks = (long)launch.Grid.X * launch.Grid.Y * launch.Grid.Z;
                string shared = launch.SharedBytes > 0 ? (launch.SharedBytes / 1024.0).ToString("N1", CultureInfo.InvariantCulture) : "";
                text.Append(CultureInfo.InvariantCulture, $"| `{launch.Kernel}` | {of} | {launches} | {blocks:N0} | {launch.Block.X} | {shared} ")
                    .Append(CultureInfo.InvariantCulture, $"| {launch.Bytes / 1e6:N1} | {flops} | {Microseconds(floor)} | {all:N2} | {aim} |\n");
            }

            text.Append(CultureInfo.InvariantCulture, $"| {total} | | | | | | | | | {step:N1} | {Rows / step * 1e-3:N2} million tokens/s |\n");
        }
    }

    // The longer of the two ways that the device has: memory and tensor cores.
    private static double Floor(KernelLaunch launch) => Math.Max(launch.Bytes / BytesPerSecond, OnTensorCores(launch) ? launch.Flops / FlopsPerSecond : 0);

    private static bool OnTensorCores(KernelLaunch launch) =>
        launch.Kernel.Contains("_wgmma_", StringComparison.Ordinal) || launch.Kernel.Contains("_mma", StringComparison.Ordinal);

    private static string Microseconds(double seconds) => (seconds * 1e6).ToString(seconds < 1e-5 ? "N1" : "N0", CultureInfo.InvariantCulture);

    private static string Readme()
    {
        for (var folder = new DirectoryInfo(AppContext.BaseDirectory); folder != null; folder = folder.Parent)
        {
            string path = Path.Combine(folder.FullName, "cuda", "README.md");
            if (File.Exists(path))
                return path;
        }

        throw new FileNotFoundException("cuda/README.md");
    }

    private sealed record Entry(KernelLaunch Launch, int Launches, string Aim, string Of = "");
}
