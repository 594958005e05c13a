using System.Globalization;
using Trainer.Cuda.Kernels;

namespace Trainer.Cuda;

/// <summary>The products of our own kernels on one device.</summary>
internal sealed class OwnProducts(CudaKernels kernels, TensorMaps maps, LinearArithmetic arithmetic)
{
    private const string Wgmma = "wgmma", Splits = "splits";

    private readonly TileKernels _family = arithmetic.Type == KernelType.Bf16 ? TileKernels.Mma
        : arithmetic.UsesTensorFloat32 ? TileKernels.TensorFloat32
        : TileKernels.Float32;

    private CudaContext Context => kernels.Context;

    private bool HasWgmma => arithmetic.Type == KernelType.Bf16 && Context.IsHopper;

    /// <summary>The one that is expected to be the fastest.</summary>
    public LinearProduct Expected(in LinearShape shape) => HasWgmma
        ? new WgmmaProduct(kernels, maps, shape, WgmmaProduct.ExpectedPlan(shape, Context.Multiprocessors))
        : Tiles(shape);

    /// <summary>All that may be the fastest.</summary>
    public IEnumerable<LinearProduct> All(LinearShape shape)
    {
        if (HasWgmma)
        {
            foreach (GemmPlan plan in WgmmaProduct.Plans(shape, Context.Multiprocessors))
                yield return new WgmmaProduct(kernels, maps, shape, plan);
        }

        yield return Tiles(shape);
    }

    /// <summary>The scratch memory that any of them needs at most.</summary>
    public long ScratchBytes(LinearShape shape)
    {
        if (shape.Form != LinearForm.BackwardWeight)
            return 0;
        int splits = TileProduct.ExpectedSplits(_family, shape, Context.Multiprocessors);
        if (HasWgmma)
            splits = Math.Max(splits, WgmmaProduct.Plans(shape, Context.Multiprocessors).Max(plan => plan.Splits));
        return sizeof(float) * GemmKernels.PartialCount(shape.N, shape.K, splits);
    }

    /// <summary>The product that once had a name; null if there is none of that name here.</summary>
    public LinearProduct? Restore(in LinearShape shape, string name)
    {
        string[] words = name.Split(' ');
        LinearProduct? product = null;
        if (words is [Wgmma, var width, Splits, var parts] && HasWgmma && IsNumber(width, out int w) && GemmWgmmaKernels.Widths.Contains(w)
            && IsNumber(parts, out int splits) && splits <= WgmmaProduct.MostSplits(shape))
            product = new WgmmaProduct(kernels, maps, shape, new(w, splits));
        else if (words is [var family, Splits, var tileParts] && family == TileProduct.NameOf(_family)
            && IsNumber(tileParts, out int tileSplits) && tileSplits <= TileProduct.MostSplits(_family, shape))
            product = new TileProduct(kernels, _family, shape, tileSplits);

        // The same number may be written in another way.
        return product?.Name == name ? product : null;
    }

    private static bool IsNumber(string text, out int number) => int.TryParse(text, NumberStyles.None, CultureInfo.InvariantCulture, out number) && number >= 1;

    private TileProduct Tiles(in LinearShape shape) =>
        new(kernels, _family, shape, TileProduct.ExpectedSplits(_family, shape, Context.Multiprocessors));
}
