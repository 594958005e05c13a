using System.Globalization;
using Trainer.Cuda.Kernels;

namespace Trainer.Cuda;

/// <summary>The products of our own kernels on one device.</summary>
internal sealed class OwnProducts(CudaKernels kernels, TensorMaps maps, LinearArithmetic arithmetic)
{
    private const string Wgmma = "wgmma", Mma = "mma", Splits = "splits";

    private CudaContext Context => kernels.Context;

    /// <summary>Whether there are any.</summary>
    public bool Exist => arithmetic.Type == KernelType.Bf16;

    /// <summary>The one that is expected to be the fastest.</summary>
    public LinearProduct Expected(in LinearShape shape) => Context.IsHopper
        ? new WgmmaProduct(kernels, maps, shape, WgmmaProduct.ExpectedPlan(shape, Context.Multiprocessors))
        : new MmaProduct(kernels, shape, MmaProduct.ExpectedSplits(shape, Context.Multiprocessors));

    /// <summary>All that may be the fastest.</summary>
    public IEnumerable<LinearProduct> All(LinearShape shape)
    {
        if (!Exist)
            yield break;
        if (Context.IsHopper)
        {
            foreach (GemmPlan plan in WgmmaProduct.Plans(shape, Context.Multiprocessors))
                yield return new WgmmaProduct(kernels, maps, shape, plan);
        }

        yield return new MmaProduct(kernels, shape, MmaProduct.ExpectedSplits(shape, Context.Multiprocessors));
    }

    /// <summary>The scratch memory that any of them needs at most.</summary>
    public long ScratchBytes(LinearShape shape)
    {
        if (!Exist || shape.Form != LinearForm.BackwardWeight)
            return 0;
        int splits = MmaProduct.ExpectedSplits(shape, Context.Multiprocessors);
        if (Context.IsHopper)
            splits = Math.Max(splits, WgmmaProduct.Plans(shape, Context.Multiprocessors).Max(plan => plan.Splits));
        return sizeof(float) * GemmKernels.PartialCount(shape.N, shape.K, splits);
    }

    /// <summary>The product that once had a name; null if there is none of that name here.</summary>
    public LinearProduct? Restore(in LinearShape shape, string name)
    {
        int mostSplits = shape.Form == LinearForm.BackwardWeight ? GemmKernels.MaxSplits : 1;
        LinearProduct? product = name.Split(' ') switch
        {
            [Wgmma, var width, Splits, var splits] when Exist && Context.IsHopper && IsNumber(width, 256, out int w) && GemmWgmmaKernels.Widths.Contains(w)
                && IsNumber(splits, mostSplits, out int parts) && parts <= GemmWgmmaKernels.DepthTiles(shape.Rows) => new WgmmaProduct(kernels, maps, shape, new(w, parts)),
            [Mma, Splits, var splits] when Exist && IsNumber(splits, mostSplits, out int parts) && parts <= GemmMmaKernels.DepthTiles(shape.Rows)
                => new MmaProduct(kernels, shape, parts),
            _ => null,
        };
        return product?.Name == name ? product : null;
    }

    private static bool IsNumber(string text, int most, out int number) =>
        int.TryParse(text, NumberStyles.None, CultureInfo.InvariantCulture, out number) && number >= 1 && number <= most;
}
