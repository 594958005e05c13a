using Trainer.Compute;
using Trainer.Cuda.Kernels;
using Trainer.Optimization;

namespace Trainer.Tests.Compute;

/// <summary>Costs, counted by hand or by the kernels that do the same.</summary>
internal sealed class OperationCostTests
{
    // B, T, C, heads, V, Vp; R = B T.
    private const int B = 2, T = 3, C = 16, Heads = 4, V = 20, Vp = 24, Rows = B * T;

    [Test]
    public void A_linear_layer_takes_2_R_N_K_operations()
    {
        const int n = 5, k = 7;
        Assert.Multiple(() =>
        {
            // 6 x 7 inputs, 5 x 7 weights and 6 x 5 outputs of 4 bytes; then 5 of the bias and 30 of the pre-activation.
            Assert.That(OperationCost.LinearForward(4, Rows, n, k, bias: false, preActivation: false), Is.EqualTo(Cost("LinearForward", 4 * 107, 420)));
            Assert.That(OperationCost.LinearForward(2, Rows, n, k, bias: true, preActivation: true), Is.EqualTo(Cost("LinearForward", 2 * 142, 420)));

            // 30 of dOutput, 35 weights, 42 of dInput, and 42 pre-activations.
            Assert.That(OperationCost.LinearBackwardInput(4, Rows, n, k, preActivation: false), Is.EqualTo(Cost("LinearBackwardInput", 4 * 107, 420)));
            Assert.That(OperationCost.LinearBackwardInput(4, Rows, n, k, preActivation: true), Is.EqualTo(Cost("LinearBackwardInput", 4 * 149, 420)));

            // 30 + 42 of bf16, and 35 + 5 gradients of fp32, which are also read where they are added to.
            const string weight = "LinearBackwardWeight";
            Assert.That(OperationCost.LinearBackwardWeight(2, Rows, n, k, bias: true, accumulate: false), Is.EqualTo(Cost(weight, 144 + 160, 420)));
            Assert.That(OperationCost.LinearBackwardWeight(2, Rows, n, k, bias: false, accumulate: true), Is.EqualTo(Cost(weight, 144 + 280, 420)));
        });

        static OperationCost Cost(string operation, long bytes, long flops) => new(operation, new Shape(Rows, n, k), bytes, flops);
    }

    [Test]
    public void The_classifier_of_GPT2_needs_more_than_32_bits() =>
        Assert.That(OperationCost.LinearForward(4, 65536, 50304, 768, bias: false, preActivation: false).Flops, Is.EqualTo(2L * 65536 * 50304 * 768));

    [Test]
    public void Attention_counts_the_pairs_that_the_mask_leaves()
    {
        // Of 3 tokens 6 pairs; each head has 4 channels, each pair and channel a multiply-add in every product.
        const long product = 2 * B * Heads * 6 * (C / Heads);
        OperationCost forward = OperationCost.AttentionForward(4, B, T, C, Heads), backward = OperationCost.AttentionBackward(4, B, T, C, Heads);
        Assert.That((forward.Bytes, forward.Flops), Is.EqualTo((4 * ((4 * Rows * C) + (Rows * Heads)), 2 * product)));
        Assert.That((backward.Bytes, backward.Flops), Is.EqualTo((4 * ((8 * Rows * C) + (Rows * Heads)), 5 * product)));
        var shape = new AttentionShape(B, T, Heads, C / Heads);
        Assert.That((forward.Flops, backward.Flops), Is.EqualTo((shape.CausalFlops(2), shape.CausalFlops(5))));
    }

    [Test]
    public void What_one_kernel_does_costs_the_same_there([Values] KernelType type)
    {
        int e = type == KernelType.Float ? 4 : 2;
        Assert.Multiple(() =>
        {
            Same(OperationCost.LayerNormForward(e, Rows, C), LayerNormKernels.Forward(Rows, C, type));
            Same(OperationCost.ResidualLayerNormForward(e, Rows, C), LayerNormKernels.ResidualForward(Rows, C, type));
            Same(OperationCost.EmbeddingForward(e, B, T, C, V), EmbeddingKernels.Forward(B, T, C, distinctTokens: Rows, type));
            Same(OperationCost.EmbeddingForward(e, B, T, C, vocabulary: 4), EmbeddingKernels.Forward(B, T, C, distinctTokens: 4, type));
            Same(OperationCost.SoftmaxCrossEntropy(e, Rows, V, Vp, gradient: true), ClassifierKernels.SoftmaxCrossEntropy(Rows, V, Vp, 99 << 10, type));
            Same(OperationCost.GeluForward(e, new Tensor(1, ElementType.Float32, new Shape(Rows, C))), ElementwiseKernels.GeluForward(Rows * C, type));
            Same(OperationCost.UpdateAverage(new Tensor(1, ElementType.Float32, new Shape(Rows, C))), ElementwiseKernels.UpdateAverage(Rows * C));
            Same(OperationCost.AddMean(new Tensor(1, ElementType.Float32, new Shape(Rows))), OptimizerKernels.Mean(Rows));
        });

        static void Same(OperationCost cost, KernelLaunch launch) =>
            Assert.That((cost.Bytes, cost.Flops), Is.EqualTo((launch.Bytes, launch.Flops)), launch.Kernel);
    }

    [Test]
    public void Backward_passes_add_to_gradients_of_fp32()
    {
        // dInput twice, dOutput and input, the weight; both gradients twice in fp32; mean and rstd.
        Assert.That(OperationCost.LayerNormBackward(2, Rows, C).Bytes, Is.EqualTo((2 * ((4 * Rows * C) + C)) + (4 * 4 * C) + (4 * 2 * Rows)));

        // Six different tokens of the batch and three positions, each row twice in fp32.
        Assert.That(OperationCost.EmbeddingBackward(2, B, T, C, V).Bytes, Is.EqualTo((4 * Rows) + (2 * Rows * C) + (4 * 2 * C * (6 + 3))));
    }

    [Test]
    public void Passes_over_the_weights_count_their_segments()
    {
        Segment[] segments = [new(0, 10), new(10, 5)];
        Assert.Multiple(() =>
        {
            Assert.That(OperationCost.SumOfSquares(segments), Is.EqualTo(new OperationCost("SumOfSquares", default, 60, 30)));
            Assert.That(OperationCost.Scale(segments, [1f, 0.5f]), Is.EqualTo(new OperationCost("Scale", default, 40, 5)));
            SegmentUpdate[] updates = [new(segments[0], 0, 0, 1, 1), new(segments[1], 0, 0, 1, 1)];
            Assert.That(OperationCost.AdamUpdate(updates), Is.EqualTo(new OperationCost("AdamUpdate", default, 28 * 15, 19 * 15)));
        });
    }
}
