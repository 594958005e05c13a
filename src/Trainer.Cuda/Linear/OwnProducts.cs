using System.Globalization;
using Trainer.Cuda.Kernels;

namespace Trainer.Cuda;

/// <summary>The products of our own kernels on one device.</summary>
internal sealed class OwnProducts(CudaKernels kernels, TensorMaps maps, LinearArithmetic arithmetic)
{
    private const string Wgmma = "wgmma", Mma = "mma", Float = "f32", Tf32 = "tf32", Splits = "splits";

    private CudaContext Context => kernels.Context;

    private bool IsHalf => arithmetic.Type == KernelType.Bf16;

    private FloatProduct FloatProduct => arithmetic.UsesTensorFloat32 ? FloatProduct.Tf32 : FloatProduct.Float32;

    /// <summary>The one that is expected to be the fastest.</summary>
    public LinearProduct Expected(in LinearShape shape) =>
        !IsHalf ? Floats(shape)
        : Context.IsHopper ? new WgmmaProduct(kernels, maps, shape, WgmmaProduct.ExpectedPlan(shape, Context.Multiprocessors))
        : new MmaProduct(kernels, shape, MmaProduct.ExpectedSplits(shape, Context.Multiprocessors));

    /// <summary>All that may be the fastest.</summary>
    public IEnumerable<LinearProduct> All(LinearShape shape)
    {
        if (!IsHalf)
        {
            yield return Floats(shape);
            yield break;
        }

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
        if (shape.Form != LinearForm.BackwardWeight)
            return 0;
        int splits = IsHalf ? MmaProduct.ExpectedSplits(shape, Context.Multiprocessors)
            : FloatTileProduct.ExpectedSplits(FloatProduct, shape, Context.Multiprocessors);
        if (IsHalf && Context.IsHopper)
            splits = Math.Max(splits, WgmmaProduct.Plans(shape, Context.Multiprocessors).Max(plan => plan.Splits));
        return sizeof(float) * GemmKernels.PartialCount(shape.N, shape.K, splits);
    }

    /// <summary>The product that once had a name; null if there is none of that name here.</summary>
    public LinearProduct? Restore(in LinearShape shape, string name)
    {
        int mostSplits = shape.Form == LinearForm.BackwardWeight ? GemmKernels.MaxSplits : 1;
        LinearProduct? product = name.Split(' ') switch
        {
            [Wgmma, var width, Splits, var splits] when IsHalf && Context.IsHopper && IsNumber(width, 256, out int w) && GemmWgmmaKernels.Widths.Contains(w)
                && IsNumber(splits, mostSplits, out int parts) && parts <= GemmWgmmaKernels.DepthTiles(shape.Rows) => new WgmmaProduct(kernels, maps, shape, new(w, parts)),
            [Mma, Splits, var splits] when IsHalf && IsNumber(splits, mostSplits, out int parts) && parts <= GemmMmaKernels.DepthTiles(shape.Rows)
                => new MmaProduct(kernels, shape, parts),
            [Float or Tf32, Splits, var splits] when !IsHalf && IsNumber(splits, mostSplits, out int parts) && parts <= GemmFloatKernels.DepthTiles(shape.Rows)
                => new FloatTileProduct(kernels, FloatProduct, shape, parts),
            _ => null,
        };
        return product?.Name == name ? product : null;
    }

    private FloatTileProduct Floats(in LinearShape shape) =>
        new(kernels, FloatProduct, shape, FloatTileProduct.ExpectedSplits(FloatProduct, shape, Context.Multiprocessors));

    private static bool IsNumber(string text, out int number) => int.TryParse(text, NumberStyles.None, CultureInfo.InvariantCulture, out number) && number >= 1;

    private TileProduct Tiles(in LinearShape shape) =>
        new(kernels, _family, shape, TileProduct.ExpectedSplits(_family, shape, Context.Multiprocessors));
}
