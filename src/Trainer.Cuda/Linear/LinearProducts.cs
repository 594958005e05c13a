using Trainer.Cuda.Kernels;

namespace Trainer.Cuda;

/// <summary>The implementation of every product that was asked for so far, by its shape.</summary>
internal sealed class LinearProducts(CudaKernels kernels, TensorMaps maps, KernelType type, bool tensorFloat32) : IDisposable
{
    private readonly Dictionary<LinearShape, LinearProduct> _products = [];
    private readonly Dictionary<string, string> _choices = [];

    /// <summary>The implementations that were chosen among several, by their product.</summary>
    public IReadOnlyDictionary<string, string> Choices => _choices;

    /// <summary>The implementation in use for a product.</summary>
    public LinearProduct For(in LinearShape shape)
    {
        if (!_products.TryGetValue(shape, out LinearProduct? product))
            _products.Add(shape, product = Own(shape));
        return product;
    }

    /// <summary>The scratch memory that some products need, at most.</summary>
    public long ScratchBytes(IEnumerable<LinearShape> shapes) => shapes.Max(shape => For(shape).ScratchBytes);

    /// <summary>Chooses the implementation of products.</summary>
    /// <param name="shapes">The products.</param>
    /// <param name="choices">Choices that were made before.</param>
    public void Prepare(IEnumerable<LinearShape> shapes, IReadOnlyDictionary<string, string>? choices)
    {
        _ = (tensorFloat32, type, choices);
        foreach (LinearShape shape in shapes)
            _ = For(shape);
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
