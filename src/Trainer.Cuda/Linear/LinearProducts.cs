namespace Trainer.Cuda;

/// <summary>The implementation of every product that was asked for so far, by its shape.</summary>
internal sealed class LinearProducts(CudaKernels kernels, TensorMaps maps) : IDisposable
{
    private readonly Dictionary<LinearShape, LinearProduct> _products = [];

    /// <summary>The implementation in use for a product.</summary>
    public LinearProduct For(in LinearShape shape)
    {
        if (!_products.TryGetValue(shape, out LinearProduct? product))
            _products.Add(shape, product = Own(shape));
        return product;
    }

    /// <summary>Our own kernel that is expected to be the fastest.</summary>
    public LinearProduct Own(in LinearShape shape) => kernels.Context.IsHopper
        ? new WgmmaProduct(kernels, maps, shape, WgmmaProduct.ExpectedPlan(shape, kernels.Context.Multiprocessors))
        : new MmaProduct(kernels, shape);

    /// <inheritdoc/>
    public void Dispose()
    {
        foreach (LinearProduct product in _products.Values)
            product.Dispose();
        _products.Clear();
    }
}
