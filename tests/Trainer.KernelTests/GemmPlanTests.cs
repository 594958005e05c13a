using Trainer.Cuda.Kernels;

namespace Trainer.KernelTests;

/// <summary>How the matrix products of GPT-2 124M at 65536 tokens are cut, on 108 (A100) and 132 multiprocessors (H100, H200).</summary>
internal sealed class GemmPlanTests
{
    private const int Rows = 65536, H100 = 132, A100 = 108;

    // The linear layers, N from K: qkv, attention's projection, the two of the feed-forward block.
    private static readonly (int N, int K)[] Layers = [(2304, 768), (768, 768), (3072, 768), (768, 3072)];

    [TestCaseSource(nameof(Layers))]
    public void Splits_of_a_weight_gradient_fill_the_multiprocessors((int N, int K) layer)
    {
        var plan = GemmWgmmaKernels.WeightPlan(Rows, layer.N, layer.K, H100);
        Assert.That(Utilisation(Tiles(layer.N, 128) * Tiles(layer.K, plan.Width) * plan.Splits, H100), Is.GreaterThan(0.9));
        int splits = GemmMmaKernels.Splits(Rows, layer.N, layer.K, A100);
        Assert.That(Utilisation(Tiles(layer.N, 128) * Tiles(layer.K, 128) * splits, 2 * A100), Is.GreaterThan(0.9));
        foreach (var product in Enum.GetValues<FloatProduct>())
        {
            splits = GemmFloatKernels.Splits(product, Rows, layer.N, layer.K, A100);
            Assert.That(Utilisation(Tiles(layer.N, 128) * Tiles(layer.K, 128) * splits, 2 * A100), Is.GreaterThan(0.9));
        }
    }

    [Test]
    public void What_has_many_tiles_or_a_short_sum_is_not_split()
    {
        Assert.That(GemmWgmmaKernels.WeightPlan(Rows, 50304, 768, H100).Splits, Is.EqualTo(1));
        Assert.That(GemmMmaKernels.Splits(Rows, 50304, 768, A100), Is.EqualTo(1));
        Assert.That(GemmWgmmaKernels.WeightPlan(64, 768, 768, H100).Splits, Is.EqualTo(1), "one tile of the sum");
        Assert.That(GemmMmaKernels.Splits(32, 768, 768, A100), Is.EqualTo(1), "one tile of the sum");
        Assert.That(GemmFloatKernels.Splits(FloatProduct.Float32, 16, 768, 768, A100), Is.EqualTo(1), "one tile of the sum");
    }

    [TestCaseSource(nameof(Layers))]
    public void Large_products_take_wide_tiles((int N, int K) layer)
    {
        Assert.That(GemmWgmmaKernels.Width(Rows, layer.N, layer.K, H100), Is.EqualTo(256));
        Assert.That(GemmWgmmaKernels.Width(Rows, layer.K, layer.N, H100), Is.EqualTo(256));
    }

    // 1024 x 768: 32 tiles of 192 take no longer than 24 of 256, and 48 of 128 are done sooner than either.
    [TestCase(1024, 768, 128)]
    [TestCase(4096, 768, 192)]
    public void Products_with_few_tiles_take_narrow_ones(int height, int width, int expected) =>
        Assert.That(GemmWgmmaKernels.Width(height, width, 768, H100), Is.EqualTo(expected));

    [Test]
    public void Impossible_shapes_are_refused()
    {
        Assert.That(() => GemmMmaKernels.Forward(0, 8, 8, bias: false), Throws.TypeOf<ArgumentOutOfRangeException>());
        Assert.That(() => GemmMmaKernels.Forward(1, 12, 8, bias: false), Throws.TypeOf<ArgumentOutOfRangeException>());
        Assert.That(() => GemmWgmmaKernels.BackwardInput(1, 8, 12, 128, H100), Throws.TypeOf<ArgumentOutOfRangeException>());
        Assert.That(() => GemmWgmmaKernels.BackwardInput(1, 8, 8, 64, H100), Throws.TypeOf<ArgumentOutOfRangeException>());
        Assert.That(() => GemmMmaKernels.BackwardWeight(64, 8, 8, 3, bias: false, accumulate: false), Throws.TypeOf<ArgumentOutOfRangeException>());
        Assert.That(() => GemmFloatKernels.Forward(FloatProduct.Tf32, 1, 8, 12, bias: false), Throws.TypeOf<ArgumentOutOfRangeException>());
        Assert.That(
            () => GemmFloatKernels.BackwardWeight(FloatProduct.Float32, 32, 8, 8, 3, bias: false, accumulate: false),
            Throws.TypeOf<ArgumentOutOfRangeException>());
        GemmPlan twoSplits = new(128, 2);
        Assert.That(
            () => GemmWgmmaKernels.BackwardWeight(64, 8, 8, twoSplits, H100, bias: false, accumulate: false), Throws.TypeOf<ArgumentOutOfRangeException>());
    }

    private static int Tiles(int extent, int tile) => (extent + tile - 1) / tile;

    private static double Utilisation(int units, int slots) => (double)units / (Tiles(units, slots) * slots);
}
