namespace Trainer.Cuda;

/// <summary>The implementations that there are of a linear layer's products: our own kernels, cuBLASLt, cuBLAS.</summary>
/// <param name="kernels">The kernels.</param>
/// <param name="own">The products of our own kernels.</param>
/// <param name="blas">The libraries.</param>
/// <param name="arithmetic">Of what products are computed.</param>
internal sealed class LinearCandidates(CudaKernels kernels, OwnProducts own, CublasHandles blas, LinearArithmetic arithmetic)
{
    // What the heuristic ranks below is hardly ever the fastest.
    private const int AlgorithmCount = 8;

    /// <summary>Our own kernels' product that is expected to be the fastest.</summary>
    public LinearProduct Expected(in LinearShape shape) => own.Expected(shape);

    /// <summary>The product that cuBLASLt expects to be the fastest; null without it.</summary>
    public LinearProduct? Proposed(LinearShape shape)
    {
        LinearProduct? proposed = null;
        foreach (LinearProduct product in blas.HasLt ? CublasLtProduct.Find(kernels, blas, shape, arithmetic, count: 1) : [])
        {
            // With the gradient of a bias there are two ways, of which the first saves memory traffic.
            if (proposed is null)
                proposed = product;
            else
                product.Dispose();
        }

        return proposed;
    }

    /// <summary>All that may be the fastest, our own kernels first. They are the caller's to dispose of.</summary>
    public IReadOnlyList<LinearProduct> All(LinearShape shape)
    {
        var all = new List<LinearProduct>(own.All(shape));
        if (blas.HasLt)
            all.AddRange(CublasLtProduct.Find(kernels, blas, shape, arithmetic, AlgorithmCount));
        if (blas.HasClassic && CublasProduct.Supports(shape))
            all.Add(new CublasProduct(kernels, blas, shape, arithmetic));
        return all;
    }

    /// <summary>The product that once had a name; null if there is none of that name here.</summary>
    public LinearProduct? Restore(in LinearShape shape, string name)
    {
        if (own.Restore(shape, name) is { } product)
            return product;
        if (blas.HasClassic && CublasProduct.Supports(shape) && name == CublasProduct.NameOf(blas))
            return new CublasProduct(kernels, blas, shape, arithmetic);
        return blas.HasLt ? CublasLtProduct.Restore(kernels, blas, shape, arithmetic, name) : null;
    }

    /// <summary>Whether a product is one of a library's.</summary>
    public static bool IsOfLibrary(LinearProduct product) => product is CublasLtProduct or CublasProduct;

    /// <summary>The scratch memory that any implementation of a product needs at most.</summary>
    public long ScratchBytes(in LinearShape shape)
    {
        long bytes = own.ScratchBytes(shape);
        if (blas.HasLt)
            bytes = Math.Max(bytes, CublasLtProduct.MostScratchBytes(blas, shape));
        if (blas.HasClassic && CublasProduct.Supports(shape))
            bytes = Math.Max(bytes, CublasProduct.MostScratchBytes(blas, shape));
        return bytes;
    }
}
